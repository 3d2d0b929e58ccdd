"""Lazy values for tasks: recorded as for threads, and awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from rpyc_kernel.aio.loop import Loop
from rpyc_kernel.client.chains import Chain
from rpyc_kernel.client.lazy import Evaluator, Lazy


class AwaitedLazy(Lazy):
    """A lazy value; to await it is to have it done, in one round trip, as by `get`.

    What `get`, `netref` and `pull` return is awaited, too.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Any]:
        awaitable: Awaitable[Any] = self.get()
        return awaitable.__await__()


class LoopEvaluator:
    """Has chains done on threads.

    Args:
        evaluator: what does them.
        loop: whose tasks ask.
    """

    def __init__(self, evaluator: Evaluator, loop: Loop) -> None:
        self._evaluator = evaluator
        self._loop = loop

    async def get(self, chain: Chain, *, timeout: float | None) -> Any:
        """The value, if it is immutable and plain, else a netref of it."""
        return await self._loop.in_thread(self._evaluator.get, chain, timeout=timeout)

    async def netref(self, chain: Chain, *, timeout: float | None) -> Any:
        """A netref of the value, whatever it is."""
        return await self._loop.in_thread(self._evaluator.netref, chain, timeout=timeout)

    async def pull(self, chain: Chain, *, progress: Callable[[int, int], None] | None, **options: Any) -> Any:
        """A copy of the value."""
        told = progress and partial(self._loop.soon, progress)
        return await self._loop.in_thread(self._evaluator.pull, chain, progress=told, **options)
