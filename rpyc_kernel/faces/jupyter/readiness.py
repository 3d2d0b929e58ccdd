"""How the kernel stands, also for questions that come while its worker, which alone can tell, is starting."""

from __future__ import annotations

import threading
import time
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import State

_WORKER_START_S = 30.0


class Readiness:
    """Asks for the kernel's status, and waits while that cannot be whole."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._changes = 0

    def note_change(self) -> None:
        """There may be a worker now, or none any more; from any thread."""
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def ask(self, kernel: KernelClient) -> dict[str, Any]:
        """The kernel's status, with what only the worker knows; without it if there is none, or not in time."""
        deadline = time.monotonic() + _WORKER_START_S
        while True:
            seen = self._changes  # before the status: what changes behind it ends the waiting
            status = kernel.status()
            left_s = deadline - time.monotonic()
            if status["engine"] or status["state"] != State.STARTING or left_s <= 0:
                return status
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._changes != seen, left_s)  # type: ignore[misc]
