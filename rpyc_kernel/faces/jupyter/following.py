"""Events of the kernel, brought to the bridge's one thread, and no faster than it takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event


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
        self._is_due = False
        self.has_ended = False
        self.error: Exception | None = None
        self.cursor = since
        self._watch = kernel.watch(since, self._add, self._end)

    def take(self) -> list[Event]:
        """What has come since the last time."""
        with self._lock:
            taken, self._untaken = self._untaken, []
        return taken

    def go_on(self) -> None:
        """Ask for what comes next. Best called when what came is dealt with: asking takes time others may wait for."""
        with self._lock:
            is_due, self._is_due = self._is_due, False
        if is_due:
            self._watch.go_on()

    def close(self) -> None:
        """Stop."""
        self._watch.close()

    def _add(self, events: list[Event]) -> None:
        with self._lock:
            self._untaken += events
            self.cursor = events[-1].seq if events else self.cursor
            self._is_due = True
        self._arrived()

    def _end(self, error: Exception | None) -> None:
        self.error = error
        self.has_ended = True
        self._arrived()
