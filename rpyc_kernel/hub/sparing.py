"""Tells sparingly of what others can make happen as often as they like: no flood fills a log, or a disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_What = TypeVar("_What")


class Sparing(Generic[_What]):
    """Tells of the first at once, and of those that follow soon together; any thread may use it.

    Args:
        tell: called with the last of those it tells of, how many they are, and whether all are alike.
        pause_s: for how long it tells nothing then.
        now: a clock, in seconds.
    """

    def __init__(
        self, tell: Callable[[_What, int, bool], None], pause_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._pause_s = pause_s
        self._now = now
        self._lock = threading.Lock()
        self._silent_until = float("-inf")
        self._last: _What | None = None
        self._count = 0
        self._are_alike = True

    def note(self, what: _What) -> None:
        """It has happened."""
        with self._lock:
            self._are_alike = self._are_alike and self._last in (None, what)
            self._last = what
            self._count += 1
        self.look()

    def look(self) -> None:
        """Tell of what has gathered, if it is time; about once a second."""
        with self._lock:
            last, count, are_alike, now = self._last, self._count, self._are_alike, self._now()
            if last is None or now < self._silent_until:
                return
            self._last, self._count, self._are_alike, self._silent_until = None, 0, True, now + self._pause_s
        self._tell(last, count, are_alike)
