"""Events after a cursor, read one batch after the other: as `rpyc_kernel.client.events` does it, awaited."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.aio.connection import LoopConnection
from rpyc_kernel.client.events import BATCH, MARGIN_S
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event, Kind, Scope


class EventStream:
    """Events after a cursor, in order; nothing comes that was not asked for.

    Args:
        connection: what is asked by.
        cursor: the number of the last event that is not wanted.
        execution: the number of the one execution whose events are wanted, None for all events.
        acknowledge: whether the kernel is to remember how far the session has read.

    Attributes:
        cursor: the number of the last event that was read, or that there was when nothing came.
    """

    def __init__(
        self, connection: LoopConnection, cursor: int, *, execution: int | None = None, acknowledge: bool = False
    ) -> None:
        self.cursor = cursor
        self._connection = connection
        self._execution = execution
        self._acknowledge = acknowledge
        self._last = 0

    async def greet(self) -> None:
        """Learn which event is the newest by now: a stop up to there was one of an earlier life."""
        if self._execution is None:
            self._last = (await self._connection.hello())["last"]

    async def read(
        self, wait_s: float, *, is_eager: bool = True, margin_s: float = MARGIN_S, within_s: float | None = None
    ) -> list[Event]:
        """Read once: see `rpyc_kernel.client.events.EventStream`."""
        question: tuple[Any, ...] = (commands.READ, self.cursor, BATCH, wait_s, Scope.ALL, self._acknowledge)
        if self._execution is not None:
            question = (commands.FOLLOW, self._execution, self.cursor, wait_s, is_eager)
        found: tuple[int, list[Event]] = await self._connection.call(
            *question, timeout_s=wait_s + margin_s, within_s=within_s
        )
        self.cursor, events = found
        return events

    async def read_now(self) -> list[Event]:
        """Read on, up to what there was when it was greeted, or of an execution what there is; nothing at the end."""
        if self._execution is not None:
            return await self.read(0)
        while self.cursor < self._last:
            if events := [event for event in await self.read(0) if event.seq <= self._last]:
                return events
        return []

    def is_ended_by(self, events: list[Event]) -> bool:
        """Whether nothing more comes after these."""
        if self._execution is not None:
            return any(event.kind == Kind.FINISHED for event in events)
        return any(event.kind == Kind.HUB_STOPPED and event.seq > self._last for event in events)

    async def acknowledge_all(self) -> None:
        """Have the kernel remember what was read, if it is to: a question says so only of what was read before it."""
        if self._acknowledge:
            await self._connection.call(commands.ACKNOWLEDGE, self.cursor)
