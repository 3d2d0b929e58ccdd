"""Submitted code as its submitter sees it: a future that also collects what the code printed and showed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.answers import read_literal
from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.errors import (
    ExecutionDropped,
    ExecutionError,
    ExecutionInterrupted,
    KernelDied,
    KernelError,
    NotQueued,
)
from rpyc_kernel.system.futures import CallFuture, GuardedCondition

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import Interruption, KernelClient

_UNSET: Any = object()
_LEAST_S = 0.5
_CALLING_BACK: set[Execution] = set()
"""Those that have not finished and have callbacks. All else is held by those only who want to see it."""


class Execution(CallFuture):
    """The future of a submitted piece of code. Its result is the value of the last expression.

    Attributes:
        id: the number of the execution.
        status: ``queued``, ``running``, or how it ended: ``ok``, ``error``, ``interrupted``, ``cancelled``,
            ``aborted``, ``lost``.
        count: which input of its generation it is, as in ``Out[count]``; None until it has begun, and of calls.
        duration_s: how long it ran, in seconds, measured in the worker; None until it finished.
    """

    def __init__(self, kernel: KernelClient, execution: int) -> None:
        super().__init__()
        self.id = execution
        self.status = "queued"
        self.count: int | None = None
        self.duration_s: float | None = None
        self._kernel = kernel
        self._events: list[Event] = []
        self._changed = GuardedCondition()
        self._value: Any = _UNSET
        self._error: Event | None = None
        self._last_stack = ""

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self.status}>"

    # ------------------------------------------------------------------ what came of it

    @property
    def stdout(self) -> str:
        """What was printed to standard output so far."""
        return self._text_of("stdout")

    @property
    def stderr(self) -> str:
        """What was printed to standard error so far."""
        return self._text_of("stderr")

    @property
    def outputs(self) -> list[Event]:
        """The displays and the result so far; each has `data`, a dict from MIME type to content."""
        with self._changed:
            return [event for event in self._events if event.kind in (Kind.DISPLAY, Kind.RESULT)]

    @property
    def value(self) -> Any:
        """The value of the last expression, None if there was none: by value where plain, else a netref.

        Waits for the end of the execution.

        Raises:
            ExecutionError: the code raised.
            NotAvailable: the worker no longer holds the value; it keeps only the last few.
        """
        super().result(None)
        return self._get_value(None)

    def _get_value(self, timeout_s: float | None) -> Any:
        if self._value is _UNSET:
            self._value = self._fetch_value(timeout_s)
        return self._value

    def _fetch_value(self, timeout_s: float | None) -> Any:
        shown = [event for event in self.outputs if event.kind == Kind.RESULT]
        if not shown:
            return None
        if shown[-1].literal is not None:
            try:
                return read_literal(shown[-1].literal)
            except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
                raise KernelError(f"the value of execution {self.id} came as no literal: {error}") from None
        return self._kernel.fetch_value(self.id, timeout_s)

    def _text_of(self, name: str) -> str:
        with self._changed:
            return "".join(e.text for e in self._events if e.kind == Kind.STREAM and e.name == name)

    # ------------------------------------------------------------------ waiting

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the value of the last expression.

        Args:
            timeout: in seconds; for the value, if it is a live object, there is at least half a second.

        Raises:
            TimeoutError: it goes on; nothing was interrupted.
            WorkerBusy: it has ended, but the worker does not hand over the value; this is a `TimeoutError`, too.
            ExecutionError: the code raised; `ExecutionInterrupted` if it was interrupted.
            ExecutionDropped: it was cancelled or aborted.
            KernelDied: the worker died.
            ConnectionLost: the connection is gone; the code may go on.
        """
        if timeout is None:
            return self.value
        begun = time.monotonic()
        super().result(timeout)
        return self._get_value(max(_LEAST_S, timeout - (time.monotonic() - begun)))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Any:
        import asyncio  # here, because who awaits has it, and others save 3 MB and its import

        try:
            await asyncio.wrap_future(self)
        except asyncio.CancelledError:
            # asyncio takes an execution that was dropped for a cancellation of whoever waits.
            if not (self.done() and self.cancelled()):
                raise
            super().result(0)
        return await asyncio.get_running_loop().run_in_executor(None, lambda: self.value)

    @check_arguments
    def events(self, *, since: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """Yield the events of this execution, from the first to the last, as they come.

        Args:
            since: the number of the last event already seen.
            timeout: how long to wait for the next one, in seconds.

        Raises:
            TimeoutError: nothing came for ``timeout`` seconds.
            ConnectionLost: the connection is gone.
        """
        position = 0
        limit_s = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)

        def has_news() -> bool:
            return len(self._events) > position or self.done()

        while True:
            with self._changed:
                if not self._changed.wait_for(has_news, limit_s):
                    raise TimeoutError(f"execution {self.id} produced nothing for {timeout} s")
                fresh = self._events[position:]
            yield from (event for event in fresh if event.seq > since)
            position += len(fresh)
            if fresh and fresh[-1].kind == Kind.FINISHED:
                return
            if not fresh:
                super().result(0)
                return

    # ------------------------------------------------------------------ stopping

    def cancel(self) -> bool:
        """Take the execution out of the queue; False when it has begun."""
        try:
            self._kernel.cancel(self.id)
        except NotQueued:
            return False
        return True

    def cancelled(self) -> bool:
        """Whether it was taken out of the queue before it began."""
        return self.status in (Outcome.CANCELLED, Outcome.ABORTED)

    def running(self) -> bool:
        """Whether the worker runs it now."""
        return self.status == "running"

    def interrupt(self, **options: Any) -> Interruption:
        """Interrupt exactly this execution; see `KernelClient.interrupt`."""
        return self._kernel.interrupt(self.id, **options)

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """See ``concurrent.futures.Future``; what is to be called is called, also if nobody holds the execution."""
        if fn is not CallFuture._wake:
            _CALLING_BACK.add(self)
        super().add_done_callback(fn)
        if self.done():
            _CALLING_BACK.discard(self)

    # ------------------------------------------------------------------ fed by the client

    def _take(self, event: Event) -> Callable[[], None] | None:
        """Take in one of this execution's events; the last one gives back what finishes the future."""
        with self._changed:
            self._events.append(event)
            if event.kind == Kind.STARTED:
                self.status = "running"
                self.count = event.payload.get("count")
            elif event.kind == Kind.ERROR:
                self._error = event
            elif event.kind == Kind.FINISHED:
                self.status = event.outcome
                self.duration_s = event.duration_s
        if event.kind == Kind.FINISHED:
            return lambda: self._finish(event)
        with self._changed:
            self._changed.notify_all()
        return None

    def _lose(self, error: Exception) -> None:
        """The connection is gone, and with it the news."""
        self._complete(error)

    def _finish(self, finished: Event) -> None:
        outcome = finished.outcome
        if outcome == Outcome.OK:
            self._complete(None)
        elif outcome in (Outcome.ERROR, Outcome.INTERRUPTED):
            kind = ExecutionInterrupted if outcome == Outcome.INTERRUPTED else ExecutionError
            told = self._error
            if told is None:
                self._complete(kind("KeyboardInterrupt", "", "KeyboardInterrupt\n", self.id))
                return
            error = kind(told.ename, told.evalue, told.traceback, self.id)
            error.__notes__ = list(told.notes)
            self._complete(error)
        elif outcome == Outcome.LOST:
            message = f"execution {self.id} is lost: {finished.reason}"
            self._complete(KernelDied(message, finished.reason, finished.generation, self._last_stack))
        else:
            self._complete(ExecutionDropped(f"execution {self.id} was {outcome}: {finished.reason}", outcome, self.id))

    def _complete(self, error: Exception | None) -> None:
        _CALLING_BACK.discard(self)
        if self.done():
            return
        if error is None:
            self.set_result(None)
        else:
            self.set_exception(error)
        with self._changed:
            self._changed.notify_all()
