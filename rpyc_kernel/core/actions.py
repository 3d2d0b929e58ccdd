"""What a decision asks the hub to do: each an imperative, carried out in order, outside the state's lock."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.payloads import encode_payload
from rpyc_kernel.core.source import Source
from rpyc_kernel.frozen import Frozen


class Record(Frozen):
    """Write an event to the journal and show it to every reader.

    Its payload is encoded when it is made: what cannot be recorded fails where the decision is made, and not when
    others' actions are carried out with it.

    Raises:
        TypeError: the payload is nothing that JSON can carry.
    """

    kind: str
    execution: int | None
    session: str | None
    payload: dict[str, Any]

    @property
    def encoded(self) -> str:
        """The payload as JSON; see `encode_payload`."""
        text: str = self.__dict__["_encoded"]
        return text

    def __post_init__(self) -> None:
        self.__dict__["_encoded"] = encode_payload(self.payload)


class RunCode(Frozen):
    """Hand an execution to the worker.

    Attributes:
        settled: on a side lane, the number below which all executions of side lanes have ended.
        count: which input of its generation it is, None of what is none.
        was_held: whether others behind it may have gone before it.
    """

    execution: int
    code: str
    lane: str
    call: str | None
    source: Source | None = None
    settled: int = 0
    count: int | None = None
    was_held: bool = False


class DropCall(Frozen):
    """Have the worker forget a staged call that will not be made."""

    call: str


class InterruptWorker(Frozen):
    """Interrupt exactly this execution, if the worker still runs it."""

    execution: int
    lane: str
    force: str


class StartGrace(Frozen):
    """Report back with `GraceElapsed` after the time an interrupt is given to work."""

    execution: int


class ReportStack(Frozen):
    """Dump every thread's stack and record it: an interrupt went unanswered."""

    execution: int
    session: str | None


class AnswerWorker(Frozen):
    """Give the worker the text for a prompt; None is end-of-file, or the refusal of whoever was asked."""

    token: int
    text: str | None
    is_refused: bool = False


class StartWorker(Frozen):
    """Start a worker with an empty namespace."""

    generation: int


class KillWorker(Frozen):
    """End the worker process; its death is reported like any other, with this reason."""

    reason: str


class StopHub(Frozen):
    """Leave, after everything recorded was written."""

    reason: str


OfWorker = RunCode | DropCall | InterruptWorker | AnswerWorker
"""What a worker is asked, if there is one: what one that is gone was to do has ended with it."""

Action = Record | OfWorker | StartGrace | ReportStack | StartWorker | KillWorker | StopHub
