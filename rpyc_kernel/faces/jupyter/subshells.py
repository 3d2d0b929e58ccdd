"""Subshells: each a queue of its own beside the main one, run in turn on a side lane of the kernel."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.executions import BridgedExecution


class Subshells:
    """All subshells of this bridge.

    Args:
        run: hands a cell in to a side lane.
        abort: answers a cell that will not run.
    """

    def __init__(self, run: Callable[[BridgedExecution], None], abort: Callable[[BridgedExecution], None]) -> None:
        self._run = run
        self._abort = abort
        self._waiting: dict[str, deque[BridgedExecution]] = {}
        self._running: dict[str, BridgedExecution] = {}

    def create(self) -> str:
        """Make one; returns its id."""
        name = os.urandom(16).hex()
        self._waiting[name] = deque()
        return name

    def names(self) -> list[str]:
        """The ids of all."""
        return [*self._waiting]

    def delete(self, name: str) -> None:
        """Take one away; what waits in it is aborted, what runs goes on.

        Raises:
            RequestError: there is none of this id.
        """
        self._require(name)
        for cell in self._waiting.pop(name):
            self._abort(cell)

    def add(self, name: str, cell: BridgedExecution) -> None:
        """Run a cell in its turn.

        Raises:
            RequestError: there is no subshell of this id.
        """
        self._require(name)
        self._waiting[name].append(cell)
        self._advance(name)

    def finish(self, cell: BridgedExecution, outcome: str) -> None:
        """A cell of any kind has ended; an error aborts what its client has queued behind it in the same subshell."""
        name = next((name for name, running in self._running.items() if running is cell), None)
        if name is None:
            return
        del self._running[name]
        assert cell.request is not None
        if outcome != Outcome.OK and cell.request.content.get("stop_on_error", True):
            waiting = self._waiting.get(name, deque())
            behind = [other for other in waiting if other.request and other.request.session == cell.request.session]
            for other in behind:
                waiting.remove(other)
                self._abort(other)
        self._advance(name)

    def running(self, name: str | None = None) -> list[int]:
        """The numbers of what runs in one subshell, or in all."""
        return [cell.number for key, cell in self._running.items() if name in (None, key) and cell.number]

    def _advance(self, name: str) -> None:
        waiting = self._waiting.get(name)
        if waiting and name not in self._running:
            self._running[name] = waiting.popleft()
            self._run(self._running[name])

    def _require(self, name: str) -> None:
        if name not in self._waiting:
            raise RequestError(f"there is no subshell {name!r}")
