"""What the hub does later: one thread, one heap of deadlines.

Nothing done here may wait for a worker, a client or a process, or everything else that is due would wait with it: such
an answer comes as an event of its own, by a callback of its future. A commit is as long as anything may take.

New tasks come by a queue, and the heap is the thread's alone. So there is no lock that a signal's handler could find
held by the very code that it interrupts.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Callable
from heapq import heappop, heappush
from queue import Empty, SimpleQueue

_log = logging.getLogger(__name__)
_numbers = itertools.count()


_Task = tuple[float, int, Callable[[], object]]
"""When it is due by the monotonic clock, a number by which those of one time come as they were asked for, and what."""


class Scheduler:
    """Does what it was given when that is due, until it is closed."""

    def __init__(self) -> None:
        self._incoming: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-scheduler", daemon=True)
        self._thread.start()

    def after(self, delay_s: float, do: Callable[[], object]) -> None:
        """Do something once; a signal's handler may ask for it, too."""
        self._add((time.monotonic() + delay_s, next(_numbers), do))

    def _add(self, task: _Task) -> None:
        self._incoming.put(task)

    def close(self) -> None:
        """End when what is being done is done; what is due later is not done."""
        self._incoming.put(None)
        self._thread.join()

    def _run(self) -> None:
        heap: list[_Task] = []
        while True:
            wait_s = max(0.0, heap[0][0] - time.monotonic()) if heap else None
            with contextlib.suppress(Empty):
                while True:
                    task = self._incoming.get(timeout=wait_s)
                    if task is None:
                        return
                    heappush(heap, task)
                    wait_s = 0.0
            if heap[0][0] <= time.monotonic():
                _do(heappop(heap)[2])


def _do(do: Callable[[], object]) -> None:
    try:
        do()
    except Exception:  # noqa: BLE001 - one task's trouble is its own: nobody waits for it, or it is tried again
        _log.exception("what was to be done later failed")
