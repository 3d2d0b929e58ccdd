"""Events of the kernel, brought to the bridge's one thread, and no faster than it takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event

_MAX_UNTAKEN = 2000


class Following:
    """Reads events until the kernel stops or cannot be reached.

    Args:
        kernel: whose.
        since: the number of the last event that is not wanted.
        arrived: called on another thread when there is something to `take`.

    Attributes:
        has_ended: whether there is nothing more to come than what can be taken.
        error: why, if the kernel was not stopped.
        cursor: the number of the last event that came.
    """

    def __init__(self, kernel: KernelClient, since: int, arrived: Callable[[], None]) -> None:
        self._arrived = arrived
        self._lock = threading.Lock()
        self._untaken: list[Event] = []
        self._is_paused = False
        self.has_ended = False
        self.error: Exception | None = None
        self.cursor = since
        self._watch = kernel.watch(since, self._add, self._end)

    def take(self) -> list[Event]:
        """What has come since the last time."""
        with self._lock:
            taken, self._untaken = self._untaken, []
            was_paused, self._is_paused = self._is_paused, False
        if was_paused:
            self._watch.go_on()
        return taken

    def close(self) -> None:
        """Stop."""
        self._watch.close()

    def _add(self, events: list[Event]) -> bool:
        with self._lock:
            self._untaken += events
            self.cursor = events[-1].seq if events else self.cursor
            self._is_paused = len(self._untaken) >= _MAX_UNTAKEN
            goes_on = not self._is_paused
        self._arrived()
        return goes_on

    def _end(self, error: Exception | None) -> None:
        self.error = error
        self.has_ended = True
        self._arrived()
