"""What the peers of these tests offer each other."""

from __future__ import annotations

import threading
from typing import Any

import rpyc


class Workshop(rpyc.SlaveService):
    """A classic service that the test shares objects with, since both ends live in one process."""

    def __init__(self, **shared: Any) -> None:
        super().__init__()
        self.namespace.update(shared)
        self.goodbyes = 0

    def on_disconnect(self, conn: Any) -> None:
        self.goodbyes += 1


class Gate:
    """A place in a served call: tells that it was reached, and holds the call there until it is opened."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        self._timeout_s = timeout_s

    def __call__(self, *args: Any) -> bool:
        self.reached.set()
        return self._open.wait(self._timeout_s)

    def wait_reached(self) -> None:
        assert self.reached.wait(self._timeout_s), "nobody came"

    def open(self) -> None:
        self._open.set()
