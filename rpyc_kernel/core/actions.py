"""What a decision asks the hub to do: each an imperative, carried out in order, outside the state's lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.core.payloads import encode_payload
from rpyc_kernel.core.source import Source


@dataclass(frozen=True, slots=True)
class Record:
    """Write an event to the journal and show it to every reader.

    Its payload is encoded when it is made: what cannot be recorded fails where the decision is made, and not when
    others' actions are carried out with it.

    Attributes:
        encoded: the payload as JSON; see `encode_payload`.

    Raises:
        TypeError: the payload is nothing that JSON can carry.
    """

    kind: str
    execution: int | None = None
    session: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    encoded: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoded", encode_payload(self.payload))


@dataclass(frozen=True, slots=True)
class RunCode:
    """Hand an execution to the worker.

    Attributes:
        settled: on a side lane, the number below which all executions of side lanes have ended.
        count: which input of its generation it is, None of what is none.
    """

    execution: int
    code: str
    lane: str
    call: str | None
    source: Source | None = None
    settled: int = 0
    count: int | None = None


@dataclass(frozen=True, slots=True)
class DropCall:
    """Have the worker forget a staged call that will not be made."""

    call: str


@dataclass(frozen=True, slots=True)
class InterruptWorker:
    """Interrupt exactly this execution, if the worker still runs it."""

    execution: int
    lane: str
    force: str


@dataclass(frozen=True, slots=True)
class StartGrace:
    """Report back with `GraceElapsed` after the time an interrupt is given to work."""

    execution: int


@dataclass(frozen=True, slots=True)
class ReportStack:
    """Dump every thread's stack and record it: an interrupt went unanswered."""

    execution: int
    session: str | None


@dataclass(frozen=True, slots=True)
class AnswerWorker:
    """Give the worker the text for a prompt; None is end-of-file, or the refusal of whoever was asked."""

    token: int
    text: str | None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker with an empty namespace."""

    generation: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """End the worker process; its death is reported like any other, with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopHub:
    """Leave, after everything recorded was written."""

    reason: str


OfWorker = RunCode | DropCall | InterruptWorker | AnswerWorker
"""What a worker is asked, if there is one: what one that is gone was to do has ended with it."""

Action = Record | OfWorker | StartGrace | ReportStack | StartWorker | KillWorker | StopHub
