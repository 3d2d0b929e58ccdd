"""What is known of one submitted piece of code: its events so far, and what follows from them. It asks nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from rpyc_kernel.client.answers import read_literal
from rpyc_kernel.core.contract import Event, Kind, MissingField, Outcome
from rpyc_kernel.errors import ExecutionDropped, ExecutionError, ExecutionInterrupted, KernelDied, KernelError

UNSET: Any = object()
_EVENT_CHARS = 500
"""What an event takes besides its text."""
_OUTPUT = (Kind.STREAM, Kind.DISPLAY, Kind.CLEAR_OUTPUT, Kind.PAGE, Kind.COMM)
"""What is no longer kept of an execution with too much of it. Its end, its error and its result are."""


class ExecutionRecord:
    """The events of an execution that were read, and what they say of it.

    Args:
        execution: its number.
        cursor: the number of an event before its first one.
        keep_output: how much of what it prints and shows is kept, in characters.
    """

    def __init__(self, execution: int, cursor: int, keep_output: int) -> None:
        self.id = execution
        self._taking = threading.Lock()
        self._start = self._cursor = cursor  # all up to here is taken in
        self._events: list[Event] = []
        self._room_chars = keep_output
        self._last_status = "queued"
        self._count: int | None = None
        self._value: Any = UNSET
        self._error: Event | None = None
        self._end: Event | None = None
        self._loss: Exception | None = None
        self._failure: Any = UNSET

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is to come that could be read."""
        return self._end is not None or self._loss is not None

    def _take(self, events: Iterable[Event], cursor: int) -> None:
        """Take in its events up to the cursor.

        More than one thread may read them, each in order and from no later than what is known, which is passed over.
        An interrupt has one taken in again.
        """
        with self._taking:
            for event in events:
                if event.seq > self._cursor:
                    self._note(event)
                    self._cursor = event.seq
            self._cursor = max(self._cursor, cursor)

    def _note(self, event: Event) -> None:
        if self._events and self._events[-1].seq == event.seq:
            pass  # again, after an interrupt
        elif event.kind not in _OUTPUT or self._has_room(event):
            self._events.append(event)
        if event.kind == Kind.QUEUED:
            self.id = event.execution or 0
            self._last_status = "held" if event.payload.get("is_held") else "queued"
        elif event.kind == Kind.APPROVED:
            self._last_status = "queued"
        elif event.kind == Kind.STARTED:
            self._last_status = "running"
            self._count = event.payload.get("count")
        elif event.kind == Kind.ERROR:
            self._error = event
        elif event.kind == Kind.FINISHED:
            self._last_status = event.outcome
            self._end = event

    def _has_room(self, event: Event) -> bool:
        if self._room_chars >= 0:
            self._room_chars -= _EVENT_CHARS + _count_chars(event)
            if self._room_chars < 0:
                self._events = [event for event in self._events if event.kind not in _OUTPUT]
        return self._room_chars >= 0

    def _lose(self, error: Exception) -> None:
        """The connection is gone, and with it the news."""
        with self._taking:
            if not self._is_over:
                self._loss = error

    # ------------------------------------------------------------------ what came of it

    @property
    def _has_live_value(self) -> bool:
        """Whether its value, now that it has ended, is an object that only the worker has."""
        shown = self._last_result
        return shown is not None and shown.literal is None

    @property
    def _last_result(self) -> Event | None:
        return next((event for event in reversed(self._events) if event.kind == Kind.RESULT), None)

    def _read_plain_value(self) -> Any:
        shown = self._last_result
        if shown is None:
            return None
        try:
            return read_literal(shown.literal)
        except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise KernelError(f"the value of execution {self.id} came as no literal: {error}") from None

    def _get_failure(self) -> Exception | None:
        """What came of it, where that is not a value."""
        if self._failure is UNSET:
            try:
                self._failure = self._make_failure()
            except MissingField as error:
                self._failure = KernelError(f"the end of execution {self.id} cannot be read: {error}")
        failure: Exception | None = self._failure
        return failure

    def _make_failure(self) -> Exception | None:
        finished = self._end
        if finished is None:
            return self._loss
        outcome = finished.outcome
        if outcome == Outcome.OK:
            return None
        if outcome in (Outcome.ERROR, Outcome.INTERRUPTED):
            kind = ExecutionInterrupted if outcome == Outcome.INTERRUPTED else ExecutionError
            told = self._error
            if told is None:
                return kind("KeyboardInterrupt", "", "KeyboardInterrupt\n", self.id)
            error = kind(told.ename, told.evalue, told.traceback, self.id)
            error.__notes__ = list(told.notes)
            return error
        if outcome == Outcome.LOST:
            message, generation = f"execution {self.id} is lost: {finished.reason}", finished.generation
            return KernelDied(message, finished.reason, generation, self._find_stack(generation))
        return ExecutionDropped(f"execution {self.id} was {outcome}: {finished.reason}", outcome, self.id)

    def _find_stack(self, generation: int) -> str:
        """The last stack of a generation's worker, "" if there is none any more."""
        raise NotImplementedError


def _count_chars(event: Event) -> int:
    if event.kind == Kind.STREAM:
        return len(event.text)
    data = event.payload.get("data")
    return sum(len(shown) for shown in data.values() if isinstance(shown, str)) if isinstance(data, dict) else 0
