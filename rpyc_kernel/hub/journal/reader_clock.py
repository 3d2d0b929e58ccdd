"""Wakes the journal's readers: those whose time is over, and those for whom something quiet is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class ReaderClock:
    """Wakes readers when their time is over, and publishes what nothing else has published soon enough.

    Args:
        publish: shows readers what is new.
        expire: answers readers whose time is over, and says when the next one's is.
    """

    def __init__(self, publish: Callable[[], None], expire: Callable[[float], float | None]) -> None:
        self._publish = publish
        self._expire = expire
        self._changed = threading.Condition()
        self._publish_at: float | None = None
        self._expire_at: float | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="journal-clock", daemon=True)
        self._thread.start()

    def publish_within(self, seconds: float) -> None:
        """Publish at the latest in so many seconds."""
        with self._changed:
            if self._publish_at is None:
                self._publish_at = time.monotonic() + seconds
                self._changed.notify()

    def expire_at(self, deadline: float) -> None:
        """Look for readers whose time is over at this time of the monotonic clock."""
        with self._changed:
            if self._expire_at is None or deadline < self._expire_at:
                self._expire_at = deadline
                self._changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._is_stopped:
                    return
                now = time.monotonic()
                due = [moment for moment in (self._publish_at, self._expire_at) if moment is not None]
                if not due or min(due) > now:
                    self._changed.wait(min(due) - now if due else None)
                    continue
                publishes = self._publish_at is not None and self._publish_at <= now
                expires = self._expire_at is not None and self._expire_at <= now
                if publishes:
                    self._publish_at = None
                if expires:
                    self._expire_at = None
            if publishes:
                self._publish()
            following = self._expire(now) if expires else None
            if following is not None:
                self.expire_at(following)
