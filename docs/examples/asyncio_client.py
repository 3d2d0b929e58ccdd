"""Shows what everybody does in a kernel, and runs what is typed: python asyncio_client.py NAME."""

import asyncio
import sys

import rpyc_kernel
from rpyc_kernel.frontend import Ended, Renderer, Transcript, follow


async def show(watch, transcript, ended):
    renderer = Renderer(is_colourful=sys.stdout.isatty())
    async for events in follow(watch):
        for change in transcript.take_all(events):
            print(renderer.render(change), end="", flush=True)
            if isinstance(change, Ended):
                ended.put_nowait(change.execution)
    ended.put_nowait(None)


async def main(name):
    kernel = await asyncio.to_thread(rpyc_kernel.connect, name)
    transcript, status, ended = Transcript(kernel.session), kernel.status(), asyncio.Queue()
    transcript.begin({**status, "queue": kernel.queue()})
    showing = asyncio.create_task(show(kernel.watch(status["last"]), transcript, ended))
    while code := await asyncio.to_thread(sys.stdin.readline):
        transcript.echo(code, is_handed_in=True)
        run = await asyncio.to_thread(kernel.submit, code)
        while await ended.get() not in (run.id, None):
            pass  # somebody else's
    showing.cancel()
    kernel.close()


asyncio.run(main(sys.argv[1]))
