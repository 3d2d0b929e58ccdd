"""Events for ``async for``: read when the next one is wanted, so that nobody who looks away costs anything.

This is no asynchronous generator: one that is left in the middle would have to be closed, which is easily forgotten.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import anyio

from rpyc_kernel.aio.event_stream import EventStream
from rpyc_kernel.client.events import MARGIN_S, WAIT_S
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import RequestError


class Events(AsyncIterator[Event]):
    """Events in the order of their numbers, for one task at a time; it may leave them at any moment.

    Args:
        open_stream: says where they are read.
        is_following: whether to go on as things happen; else they end with what has happened by now.
        limit_s: how long nothing may come, in seconds.
        note: is told of each before it is handed out.
        ready: those that were read before.
    """

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[EventStream]] | None,
        *,
        is_following: bool = True,
        limit_s: float | None = None,
        note: Callable[[Event], Awaitable[None]] | None = None,
        ready: Iterable[Event] = (),
    ) -> None:
        self._open_stream = open_stream
        self._is_following = is_following
        self._limit_s = limit_s
        self._note = note
        self._ready = deque(ready)
        self._stream: EventStream | None = None
        self._has_ended = open_stream is None
        self._is_taken = False

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        if self._is_taken:
            raise RequestError("another task waits for the next of these events; give each task events of its own")
        self._is_taken = True
        try:
            while not self._ready:
                if self._has_ended:
                    raise StopAsyncIteration
                await self._read()
            if self._note is not None:
                await self._note(self._ready[0])
            return self._ready.popleft()  # last: who is cancelled meanwhile has lost none
        finally:
            self._is_taken = False

    @property
    def has_next(self) -> bool:
        """Whether the next one is here already, so that it is not waited for."""
        return bool(self._ready)

    async def aclose(self) -> None:
        """End them; there is no need to, but ``contextlib.aclosing`` asks for it."""
        self._ready.clear()
        self._has_ended = True

    async def _read(self) -> None:
        if self._stream is None:
            assert self._open_stream is not None
            stream = await self._open_stream()
            await stream.greet()
            self._stream = stream
        stream = self._stream
        events = await (self._wait(stream) if self._is_following else stream.read_now())
        is_over = stream.is_ended_by(events) or not (events or self._is_following)
        if is_over:
            await stream.acknowledge_all()
        self._ready.extend(events)
        self._has_ended = is_over

    async def _wait(self, stream: EventStream) -> list[Event]:
        since = anyio.current_time()
        while True:
            left_s = WAIT_S if self._limit_s is None else max(0.0, since + self._limit_s - anyio.current_time())
            within_s = math.inf if self._limit_s is None else left_s + MARGIN_S
            if events := await stream.read(min(left_s, WAIT_S), within_s=within_s):
                return events
            if self._limit_s is not None and left_s <= 0:
                raise TimeoutError(f"nothing came for {self._limit_s:g} s")
