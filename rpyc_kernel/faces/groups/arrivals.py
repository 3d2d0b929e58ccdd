"""Events of a group's execution for whoever waits for other things, too: read on a thread of its own, each once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpyc_kernel.errors import KernelError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.groups.execution import GroupExecution
from rpyc_kernel.system.threads import make_thread, start_threads


class Loss(Frozen):
    """What there is to say of a connection that is lost; "" where it is there again."""

    name: str
    words: str


OVER = object()
"""What comes behind the last event."""
_LOOK_S = 0.2
"""How often it is looked whether what was lost is run again."""


def begin_reading(execution: GroupExecution, put: Callable[[Any], object]) -> None:
    """Have the names of kernels with their events handed over as they come, also of what is run again, and `OVER`."""
    start_threads(make_thread(_read, "rpyc_kernel-group-events", (execution, put)))


def _read(execution: GroupExecution, put: Callable[[Any], object]) -> None:
    try:
        _read_all(execution, put)
    finally:  # whoever waits for it does not wait for ever
        put(OVER)


def _read_all(execution: GroupExecution, put: Callable[[Any], object]) -> None:
    seen: dict[str, int] = {}
    while True:
        known, was_over, has_read_all = _number_all(execution), execution.done(), True
        try:
            for name, event in execution.events():
                if event.seq > seen.get(name, 0):
                    seen[name] = event.seq
                    put((name, event))
        except KernelError:  # some were away; if they have come back, what they have said is read at the end
            has_read_all = was_over
        while not (is_over := execution.wait(_LOOK_S)) and _number_all(execution) == known:
            pass
        if is_over and has_read_all and _number_all(execution) == known:
            return


def _number_all(execution: GroupExecution) -> dict[str, int]:
    return {name: each.id for name, each in execution.executions.items()}
