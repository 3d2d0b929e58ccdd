"""How long nobody was connected and nothing ran: what ends a kernel that is to end by itself."""

from __future__ import annotations

from typing import Any


class IdleClock:
    """Measures it, by looking now and then.

    Args:
        limit_s: how long it may be so, in seconds; 0 for as long as it is.

    Attributes:
        limit_s: the same.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._mark: object | None = None
        self._since = 0.0

    def look(self, mark: object | None, now: float) -> bool:
        """Take in how it is; whether it was so for long enough.

        Args:
            mark: None where somebody is there or something runs; else what is another one if that was so meanwhile.
            now: seconds of a clock that nobody sets.
        """
        if mark is None or mark != self._mark:
            self._mark, self._since = mark, now
        return mark is not None and 0 < self.limit_s <= now - self._since

    def describe(self, mark: object | None, now: float) -> dict[str, Any]:
        """What a status says of it."""
        idle_s = None if mark is None or mark != self._mark else now - self._since
        return {"idle_timeout_s": self.limit_s or None, "idle_s": idle_s}
