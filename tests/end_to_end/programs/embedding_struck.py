"""embedding_struck.py MAIN: a program that goes on with its own work until its kernel is stopped, and then says so."""

import asyncio
import sys

import rpyc_kernel


def block() -> None:
    rpyc_kernel.embed("demo", namespace=globals())


def thread() -> None:
    with rpyc_kernel.embed("demo", namespace=globals(), main="thread") as kernel:  # type: ignore[union-attr]
        while not kernel.wait(0.0005):
            pass


def loop() -> None:
    async def serve() -> None:
        kernel = rpyc_kernel.embed("demo", namespace=globals(), main="loop")
        while kernel.is_open:
            await asyncio.sleep(0.0005)

    asyncio.run(serve())


def poll() -> None:
    kernel = rpyc_kernel.embed("demo", namespace=globals(), main="poll")
    while kernel.poll(0.0005):
        pass


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print("goes on")
    raise SystemExit(3)
