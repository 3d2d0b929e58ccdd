"""Clients of kernels in programs of asyncio or trio, by anyio: the extra ``aio``.

    >>> import asyncio, rpyc_kernel.aio as aio
    >>> async def main():
    ...     async with aio.connect("demo") as kernel:
    ...         run = await kernel.execute("6 * 7")
    ...         return run.value
    >>> asyncio.run(main())  # doctest: +SKIP
    42

What a client does is what one of `rpyc_kernel` does, with the same names, arguments and errors; here it is awaited.
"""

try:
    import anyio as _anyio  # noqa: F401
except ImportError:
    from rpyc_kernel.system.own_command import way_to_install as _way_to_install

    raise ImportError(f"rpyc_kernel.aio needs anyio; install it with: {_way_to_install('aio')}") from None

from rpyc_kernel.aio.client import KernelClient
from rpyc_kernel.aio.connecting import attach, connect, kernels, start
from rpyc_kernel.aio.execution import Execution

__all__ = ["Execution", "KernelClient", "attach", "connect", "kernels", "start"]
