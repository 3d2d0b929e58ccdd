"""Events of a kernel in an asyncio loop, which waits for other things, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from rpyc_kernel.client.events import Watch
from rpyc_kernel.core.contract import Event

_LOOK_UP_S = 1.0


async def follow(watch: Watch) -> AsyncGenerator[list[Event], None]:
    """Yield what comes, no faster than it is taken: what nobody takes waits in the kernel's journal.

    Args:
        watch: where the events come from; closed at the end.

    Raises:
        KernelError: they ended by anything but the end of what is watched.

    Example:
        >>> import asyncio, rpyc_kernel
        >>> from rpyc_kernel.frontend import follow
        >>> async def print_kinds(kernel, execution):
        ...     async for events in follow(kernel.watch(0, execution=execution)):
        ...         print(*(event.kind for event in events if event.kind in ("result", "finished")))
        >>> with rpyc_kernel.connect("demo") as kernel:
        ...     run = kernel.submit("6 * 7")
        ...     _ = run.result(timeout=30)
        ...     asyncio.run(print_kinds(kernel, run.id))
        result finished
    """
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    looks_up = False

    def look_up() -> None:
        nonlocal looks_up
        looks_up = True
        arrived.set()

    try:
        while True:
            watch.go_on()
            if watch.has_ended:
                break
            descriptor = watch.fileno()  # another one when the connection was made again
            loop.add_reader(descriptor, arrived.set)
            timer = loop.call_later(_LOOK_UP_S, look_up)  # `wait_for` takes as long as all else
            try:
                await arrived.wait()
            finally:
                timer.cancel()
                loop.remove_reader(descriptor)
            arrived.clear()
            watch.read_ready(_LOOK_UP_S if looks_up else 0.0)
            looks_up = False
            if events := watch.take():
                yield events
    finally:
        watch.close()
    if watch.error is not None:
        raise watch.error
