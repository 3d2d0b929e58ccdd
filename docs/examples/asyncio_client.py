"""Shows what everybody does in a kernel, and runs what is typed: python asyncio_client.py NAME."""

import asyncio
import sys
import threading
from functools import partial

import rpyc_kernel
from rpyc_kernel.frontend import Ended, Renderer, Transcript, follow


def read(put):
    with open(0, "rb", buffering=0) as lines:  # a buffer that is being read could not be closed at the end
        for line in lines:
            put(line.decode())
    put("")


async def show(watch, transcript, ended):
    renderer = Renderer(is_colourful=sys.stdout.isatty())
    async for events in follow(watch):
        for change in transcript.take_all(events):
            print(renderer.render(change), end="", flush=True)
            if isinstance(change, Ended):
                ended.put_nowait(change.execution)


async def run(kernel, transcript, lines, ended):
    while code := await lines.get():
        transcript.echo(code, is_handed_in=True)
        execution = await asyncio.to_thread(kernel.submit, code)
        while await ended.get() != execution.id:
            pass  # somebody else's


async def main(name):
    kernel, loop, lines, ended = rpyc_kernel.connect(name), asyncio.get_running_loop(), asyncio.Queue(), asyncio.Queue()
    transcript, status = Transcript(kernel.session), kernel.status()
    transcript.begin({**status, "queue": kernel.queue()})
    threading.Thread(target=read, args=(partial(loop.call_soon_threadsafe, lines.put_nowait),), daemon=True).start()
    watch = kernel.watch(status["last"], on_loss=lambda words: print(words or "connected again", file=sys.stderr))
    doing = [show(watch, transcript, ended), run(kernel, transcript, lines, ended)]
    done, _ = await asyncio.wait(map(asyncio.create_task, doing), return_when=asyncio.FIRST_COMPLETED)
    kernel.close()
    done.pop().result()  # the kernel has stopped, nothing more is to be run, or what went wrong


asyncio.run(main(sys.argv[1]))
