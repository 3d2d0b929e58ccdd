"""What this console's session has running or queued, and which of it asks for input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rpyc_kernel.core.contract import Event, Kind


@dataclass
class Job:
    """An unfinished execution of the session.

    Attributes:
        number: the number of the execution.
        code: its source, or the beginning of it.
        started: when it began to run, in seconds since the epoch; None while it is queued.
        question: the event by which it asks for input, None if it does not.
        is_held: whether it waits until somebody approves it.
    """

    number: int
    code: str
    started: float | None = None
    question: Event | None = None
    is_held: bool = False


class Jobs:
    """The unfinished executions of one session, as its events tell.

    Args:
        session: the session's id.

    Example:
        >>> from rpyc_kernel.frontend import Jobs
        >>> jobs = Jobs("1234abcd")
        >>> jobs.expect(7, "input('who? ')")
        >>> jobs.list(), jobs.question is None
        ([Job(number=7, code="input('who? ')", started=None, question=None, is_held=False)], True)
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._unfinished: dict[int, Job] = {}

    def begin(self, status: dict[str, Any]) -> None:
        """Know what was unfinished before the first event to come."""
        running = [status["running"]] if status["running"] else []
        for item in [*running, *status["side"], *status["queue"]]:
            if item["session"] == self._session:
                is_held = item.get("is_held", False)
                self._unfinished[item["execution"]] = Job(item["execution"], item["code"], is_held=is_held)
        for item in [*running, *status["side"]]:
            if item["execution"] in self._unfinished:
                self._unfinished[item["execution"]].started = status["busy_since"]
        for prompt in status["prompts"]:
            job = self._unfinished.get(prompt["execution"])
            if job is not None:
                # Its words are in an event of the past; whoever answers may have seen them.
                unknown = {"prompt": "", "password": False, "token": None}
                job.question = Event(0, 0.0, Kind.INPUT_REQUESTED, job.number, self._session, unknown)

    def expect(self, number: int, code: str) -> None:
        """Know an execution whose first event has not come yet."""
        self._unfinished[number] = Job(number, code)

    def forget(self) -> None:
        """The kernel that knew of them is gone."""
        self._unfinished.clear()

    def take(self, event: Event) -> None:
        """Learn from an event."""
        if event.execution is None or event.session != self._session:
            return
        if event.kind == Kind.QUEUED:
            is_held = event.payload.get("is_held", False)
            self._unfinished[event.execution] = Job(event.execution, event.code, is_held=is_held)
        elif event.kind == Kind.FINISHED:
            self._unfinished.pop(event.execution, None)
        job = self._unfinished.get(event.execution)
        if job is None:
            return
        if event.kind == Kind.APPROVED:
            job.is_held = False
        elif event.kind == Kind.STARTED:
            job.started = event.time
        elif event.kind == Kind.INPUT_REQUESTED:
            job.question = event
        elif event.kind == Kind.INPUT_ANSWERED and job.question and job.question.token in (None, event.token):
            job.question = None

    def find(self, number: int) -> Job | None:
        """The job of this number, None when it has finished or is somebody else's."""
        return self._unfinished.get(number)

    def list(self) -> list[Job]:
        """All of them, oldest first."""
        return sorted(self._unfinished.values(), key=lambda job: job.number)

    @property
    def question(self) -> Event | None:
        """The event by which the oldest of them that asks asks, None if none does."""
        return next((job.question for job in self.list() if job.question is not None), None)
