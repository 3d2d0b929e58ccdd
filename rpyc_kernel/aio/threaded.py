"""What waits by itself, live objects and copies of large values, on threads of an event loop's client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rpyc_kernel.aio.loop import Loop
from rpyc_kernel.client.bulk import Bulk
from rpyc_kernel.client.live_objects import LiveObjects


class ThreadedObjects:
    """Questions to the worker's live objects."""

    def __init__(self, live: LiveObjects, loop: Loop) -> None:
        self._live = live
        self._loop = loop

    async def ask(self, target: str | None, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """See `LiveObjects.ask`."""
        return await self._loop.in_thread(self._live.ask, target, method, *args, timeout_s=timeout_s)


class ThreadedBulk:
    """Transfers; how far they are is told in the loop."""

    def __init__(self, bulk: Bulk, loop: Loop) -> None:
        self._bulk = bulk
        self._loop = loop

    async def push(
        self, values: dict[Any, Any], timeout_s: float | None, progress: Callable[[int, int], None] | None
    ) -> None:
        """See `Bulk.push`."""
        await self._loop.in_thread(self._bulk.push, values, timeout_s, self._in_loop(progress))

    async def pull(
        self,
        expression: str,
        timeout_s: float | None,
        progress: Callable[[int, int], None] | None,
        *,
        allow_pickle: bool,
        max_bytes: int | None,
    ) -> Any:
        """See `Bulk.pull`."""
        return await self._loop.in_thread(
            self._bulk.pull,
            expression,
            timeout_s,
            self._in_loop(progress),
            allow_pickle=allow_pickle,
            max_bytes=max_bytes,
        )

    def _in_loop(self, progress: Callable[[int, int], None] | None) -> Callable[[int, int], None] | None:
        return progress and partial(self._loop.soon, progress)
