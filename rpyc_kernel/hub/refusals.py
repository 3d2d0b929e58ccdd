"""Which refusals become events: the first at once, and those that follow soon together: no flood fills a disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

PAUSE_S: Final = 60.0


class Refusals:
    """Counts refusals; any thread may use it.

    Args:
        record: told what to record: the session that the last of them came from, if it had one, and the payload.
        now: a clock, in seconds.
    """

    def __init__(
        self, record: Callable[[str | None, dict[str, Any]], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._record = record
        self._now = now
        self._lock = threading.Lock()
        self._silent_until = float("-inf")
        self._last: tuple[str | None, str, str] | None = None
        self._count = 0

    def note(self, reason: str, *, address: str = "", session: str | None = None) -> None:
        """Somebody was refused who came from an address, or something was refused to a session."""
        with self._lock:
            self._last = (session, reason, address)
            self._count += 1
        self.look()

    def look(self) -> None:
        """Record what has gathered, if it is time."""
        with self._lock:
            now = self._now()
            if self._last is None or now < self._silent_until:
                return
            (session, reason, address), count = self._last, self._count
            self._last, self._count, self._silent_until = None, 0, now + PAUSE_S
        self._record(session, {"reason": reason, "address": address, "count": count})
