"""The end of the journal in memory, for readers who keep up: as many events as a budget in bytes allows."""

from __future__ import annotations

import operator

from rpyc_kernel.core.contract import WireEvent

_EVENT_BYTES = 300
_KEPT_SHARE = 0.75
"""What is left when the budget is used up: cutting a little with every event would move all the others each time."""

payload_of = operator.itemgetter(5)
"""The payload of an event, as JSON."""


def cost_of(payload: str) -> int:
    """What an event takes in memory, in bytes: the tuple, its number, its time, and the payload, which is ASCII."""
    return len(payload) + _EVENT_BYTES


class Tail:
    """The newest events, without a gap.

    Args:
        max_bytes: the budget. One event is always held.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._events: list[WireEvent] = []
        self._total = 0

    @property
    def first(self) -> int | None:
        """The number of the oldest event that is held."""
        return self._events[0][0] if self._events else None

    @property
    def bytes(self) -> int:
        """What is held costs so much."""
        return self._total

    @property
    def events(self) -> list[WireEvent]:
        """All that is held."""
        return list(self._events)

    def extend(self, events: list[WireEvent], first_unsaved: int | None) -> None:
        """Take in what follows; nothing is given up that stands nowhere else, from ``first_unsaved`` on."""
        self._events += events
        self._total += sum(map(len, map(payload_of, events))) + _EVENT_BYTES * len(events)
        if self._total <= self._max_bytes:
            return
        drop, left = 0, self._total
        for event in self._events[:-1]:
            if left <= self._max_bytes * _KEPT_SHARE or event[0] == first_unsaved:
                break
            left -= cost_of(event[5])
            drop += 1
        del self._events[:drop]
        self._total = left

    def after(self, cursor: int, limit: int, max_chars: int) -> list[WireEvent] | None:
        """Return events after ``cursor``, None when they are not all held."""
        if not self._events or cursor + 1 < self._events[0][0]:
            return None
        start = cursor + 1 - self._events[0][0]
        return cut(self._events[start : start + limit], max_chars)


def cut(events: list[WireEvent], max_chars: int) -> list[WireEvent]:
    """Cut off what would make a reply too long; the first event always stays."""
    total = 0
    for count, event in enumerate(events):
        total += len(event[5])
        if total >= max_chars:
            return events[: count + 1]
    return events
