"""A watch of events that are put there by a test."""

import contextlib
import socket
from collections import deque

from rpyc_kernel.core.contract import Event


class FakeWatch:
    """Has what was put into it, from whichever thread, when it is asked to go on.

    Attributes:
        asked: how often it was told to go on.
        last: the newest event when the kernel was last greeted.
    """

    def __init__(self, *events: Event | Exception | None) -> None:
        self.asked = self.last = 0
        self.has_ended = self.is_closed = False
        self.error: Exception | None = None
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._events: deque[Event | Exception | None] = deque()
        for event in events:
            self.put(event)

    def put(self, event: Event | Exception | None) -> None:
        """Have an event come; an exception, or None, is the end."""
        self._events.append(event)
        with contextlib.suppress(OSError):  # nobody watches any more
            self._far.send(b"!")

    def fileno(self) -> int:
        return self._near.fileno()

    def go_on(self) -> None:
        self.asked += 1

    def read_ready(self, waited_s: float) -> None:
        with contextlib.suppress(BlockingIOError):
            self._near.recv(65536)

    def take(self) -> list[Event]:
        found = []
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Event):
                found.append(event)
            else:
                self.has_ended, self.error = True, event
        return found

    def close(self) -> None:
        self.is_closed = True
        self._near.close()
        self._far.close()
