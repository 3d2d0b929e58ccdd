"""Those who wait for the end of one execution: they get all its events in one answer, instead of one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.core.contract import Kind, WireEvent

_FULL_CHARS = 1024 * 1024

Reading = tuple[int, tuple[WireEvent, ...]]
"""What a reader gets: the cursor to go on with, and events."""


@dataclass(eq=False)
class Follower:
    """One who waits for an execution.

    Attributes:
        execution: its number.
        cursor: the number of the last event of it that was gathered.
        deadline: when to answer with what there is, by the monotonic clock.
        is_eager: whether to answer with the first event that there is.
        future: the answer.
    """

    execution: int
    cursor: int
    deadline: float
    is_eager: bool = False
    future: Future[Any] = field(default_factory=Future)
    _events: list[WireEvent] = field(default_factory=list)
    _chars: int = 0
    _has_end: bool = False

    def gather(self, events: Iterable[WireEvent]) -> None:
        """Take in those that belong to the execution."""
        for event in events:
            if event[3] == self.execution and event[0] > self.cursor:
                self.cursor = event[0]
                self._events.append(event)
                self._chars += len(event[5])
                self._has_end = self._has_end or event[2] == Kind.FINISHED

    @property
    def is_satisfied(self) -> bool:
        """Whether the end is there, or as much as one answer should hold, or anything for who is eager."""
        return self._has_end or self._chars >= _FULL_CHARS or (self.is_eager and bool(self._events))

    @property
    def reading(self) -> Reading:
        """The answer."""
        return self.cursor, tuple(self._events)
