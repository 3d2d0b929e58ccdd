"""Which of the kernel's executions a cell has become: told by its number, whichever of the two is known first."""

from __future__ import annotations

from collections.abc import Callable

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.jupyter.executions import BridgedExecutions


class Pairing:
    """Holds the events of an execution as long as it may be that of a cell whose number is on its way.

    The number of a cell comes with the kernel's answer, and what happens to it comes by another connection.

    Args:
        cells: those whose numbers are known.
        awaits_number: whether a session of the kernel has handed in something that has no number yet.
    """

    def __init__(self, cells: BridgedExecutions, awaits_number: Callable[[str | None], bool]) -> None:
        self._cells = cells
        self._awaits_number = awaits_number
        self._held: dict[int, list[Event]] = {}

    def admit(self, events: list[Event]) -> list[Event]:
        """Those of some events that need not be held."""
        admitted = []
        for event in events:
            if event.execution in self._held:
                self._held[event.execution].append(event)
            elif event.kind == Kind.QUEUED and event.execution and self._may_be_ours(event.execution, event.session):
                self._held[event.execution] = [event]
            else:
                admitted.append(event)
        return admitted

    def release(self) -> list[Event]:
        """What is to be held no longer: a number has come, or there is none to come."""
        free = [number for number, (queued, *_) in self._held.items() if not self._may_be_ours(number, queued.session)]
        return [event for number in free for event in self._held.pop(number)]

    def _may_be_ours(self, number: int, session: str | None) -> bool:
        return self._cells.known_header(number) is None and self._awaits_number(session)
