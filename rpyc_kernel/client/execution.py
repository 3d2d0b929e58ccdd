"""Submitted code as its submitter sees it: a future that also collects what the code printed and showed.

What it printed is kept up to a limit. Beyond that it is in the kernel's journal only, and is read there when it is
asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

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
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import KEEP_OUTPUT
from rpyc_kernel.system.futures import CallFuture

_UNSET: Any = object()
_LEAST_S = 0.5
_EVENT_CHARS = 500
"""What an event takes besides its text."""
_OUTPUT = (Kind.STREAM, Kind.DISPLAY, Kind.CLEAR_OUTPUT, Kind.PAGE, Kind.COMM)
"""What is no longer kept of an execution with too much of it. Its end, its error and its result are."""
_CALLING_BACK: set[Execution] = set()
"""Those that have not finished and have callbacks. All else is held by those only who want to see it."""


class Interruption(Frozen):
    """What came of an interrupt. It is true if the execution stopped.

    Attributes:
        status: ``stopped``, ``unanswered`` (it goes on; see `stack`), or ``not-running``.
        execution: the number of the execution, None if none was running.
        stack: every thread's stack, where the interrupt went unanswered.

    Example:
        >>> kernel.interrupt()
        Interruption(status='not-running', execution=None, stack='')
    """

    status: str
    execution: int | None = None
    stack: str = ""

    def __bool__(self) -> bool:
        return self.status == "stopped"


class Kernel(Protocol):
    """What an execution asks of the client that it belongs to."""

    def cancel(self, execution: int) -> None:
        """Take it out of the queue."""

    def interrupt(self, execution: int | None = None, *, force: str = ..., wait: float = ...) -> Interruption:
        """Interrupt it."""

    def fetch_value(self, execution: int, timeout: float | None = None) -> Any:
        """Return its value."""

    def _read_execution(
        self, execution: int, since: int, *, waits: bool, limit_s: float | None = None
    ) -> Iterator[Event]:
        """Yield its events from the kernel's journal."""


class Execution(CallFuture):
    """The future of a submitted piece of code. Its result is the value of the last expression.

    Attributes:
        id: the number of the execution.
        status: ``queued``, ``running``, or how it ended: ``ok``, ``error``, ``interrupted``, ``cancelled``,
            ``aborted``, ``lost``.
        count: which input of its generation it is, as in ``Out[count]``; None until it has begun, and of calls.
        duration_s: how long it ran, in seconds, measured in the worker; None until it finished.

    Example:
        >>> job = kernel.submit("print('hello'); 6 * 7")
        >>> job.result(timeout=30), job.status, job.stdout.strip()
        (42, 'ok', 'hello')
    """

    def __init__(self, kernel: Kernel, execution: int, *, keep_output: int = KEEP_OUTPUT) -> None:
        super().__init__()
        self._begin(kernel, execution, keep_output)

    @classmethod
    def _unwaited(cls, kernel: Kernel, keep_output: int) -> Execution:
        """One that nobody sees before `_conclude`, without what it takes to be waited for."""
        execution = cls.__new__(cls)
        execution._begin(kernel, 0, keep_output)
        return execution

    def _begin(self, kernel: Kernel, execution: int, keep_output: int) -> None:
        self.id = execution
        self.status = "queued"
        self.count: int | None = None
        self.duration_s: float | None = None
        self._kernel = kernel
        self._taking = threading.Lock()
        self._seen = 0  # the number of the last event that was taken in
        self._events: list[Event] = []
        self._room_chars = keep_output
        self._value: Any = _UNSET
        self._error: Event | None = None
        self._end: Event | None = None

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self.status}>"

    # ------------------------------------------------------------------ what came of it

    @property
    def stdout(self) -> str:
        """What was printed to standard output so far.

        Example:
            >>> kernel.execute("print('hello')").stdout.strip()
            'hello'
        """
        return self._text_of("stdout")

    @property
    def stderr(self) -> str:
        """What was printed to standard error so far.

        Example:
            >>> kernel.execute("import sys; print('careful', file=sys.stderr)").stderr.strip()
            'careful'
        """
        return self._text_of("stderr")

    @property
    def outputs(self) -> list[Event]:
        """The displays and the result so far: events, each with `data`, a dict from MIME type to content.

        Example:
            >>> run = kernel.execute("display('shown'); 6 * 7")
            >>> [(output.kind, output.data["text/plain"]) for output in run.outputs]
            [('display', "'shown'"), ('result', '42')]
        """
        return [event for event in self._look_back() if event.kind in (Kind.DISPLAY, Kind.RESULT)]

    @property
    def value(self) -> Any:
        """The value of the last expression, None if there was none: by value where plain, else a netref.

        Waits for the end of the execution.

        Raises:
            ExecutionError: the code raised.
            NotAvailable: the worker no longer holds the value; it keeps only the last few.

        Example:
            >>> kernel.execute("6 * 7").value
            42
        """
        super().result(None)
        return self._get_value(None)

    def _get_value(self, timeout_s: float | None) -> Any:
        if self._value is _UNSET:
            self._value = self._fetch_value(timeout_s)
        return self._value

    def _fetch_value(self, timeout_s: float | None) -> Any:
        shown = [event for event in self._events if event.kind == Kind.RESULT]
        if not shown:
            return None
        if shown[-1].literal is not None:
            try:
                return read_literal(shown[-1].literal)
            except (TypeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
                raise KernelError(f"the value of execution {self.id} came as no literal: {error}") from None
        return self._kernel.fetch_value(self.id, timeout_s)

    def _text_of(self, name: str) -> str:
        return "".join(e.text for e in self._look_back() if e.kind == Kind.STREAM and e.name == name)

    def _look_back(self) -> Iterator[Event]:
        """All events so far, from the journal if not all of them were kept."""
        if self._room_chars < 0:
            return self._kernel._read_execution(self.id, 0, waits=False)
        return iter(self._events)

    # ------------------------------------------------------------------ waiting

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the value of the last expression.

        Args:
            timeout: in seconds; for the value, if it is a live object, there is at least half a second.

        Returns:
            The value: a copy where it is immutable and plain, else a netref; None if there was none.

        Raises:
            TimeoutError: it goes on; nothing was interrupted.
            WorkerBusy: it has ended, but the worker does not hand over the value; this is a `TimeoutError`, too.
            ExecutionError: the code raised; `ExecutionInterrupted` if it was interrupted.
            ExecutionDropped: it was cancelled or aborted.
            KernelDied: the worker died.
            ConnectionLost: the connection is gone; the code may go on.

        Example:
            >>> kernel.submit("6 * 7").result(timeout=30)
            42
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
            timeout: how long to wait for the next one, in seconds; None waits as long as it takes.

        Yields:
            The events, in the order of their numbers.

        Raises:
            TimeoutError: nothing came for ``timeout`` seconds.
            ConnectionLost: the connection is gone.

        Example:
            >>> job = kernel.submit("6 * 7")
            >>> [event.kind for event in job.events()]
            ['queued', 'started', 'result', 'finished']
        """
        if self._end is not None and self._room_chars >= 0:
            yield from (event for event in self._events if event.seq > since)
            return
        is_gapless = since <= self._seen
        for event in self._kernel._read_execution(self.id, since, waits=True, limit_s=timeout):
            # So that whoever sees an event finds it here, too; its end only when those are told who wait for it.
            if event.kind == Kind.FINISHED:
                self._wait(None)
            elif is_gapless:
                self._take(event)
            yield event

    # ------------------------------------------------------------------ stopping

    def cancel(self) -> bool:
        """Take the execution out of the queue.

        Returns:
            Whether it was; False when it has begun.

        Example:
            >>> asking = kernel.submit("input()")
            >>> kernel.submit("1").cancel()
            True
            >>> stopped = asking.interrupt()
        """
        try:
            self._kernel.cancel(self.id)
        except NotQueued:
            return False
        return True

    def cancelled(self) -> bool:
        """Whether it was taken out of the queue before it began.

        Example:
            >>> kernel.execute("1").cancelled()
            False
        """
        return self.status in (Outcome.CANCELLED, Outcome.ABORTED)

    def running(self) -> bool:
        """Whether the worker runs it now.

        Example:
            >>> asking = kernel.submit("input()")
            >>> question = next(event for event in asking.events() if event.kind == "input_requested")
            >>> asking.running()
            True
            >>> stopped = asking.interrupt()
        """
        return self.status == "running"

    def interrupt(self, **options: Any) -> Interruption:
        """Interrupt exactly this execution, never the next one.

        Args:
            **options: as of `KernelClient.interrupt`: ``force`` and ``wait``.

        Returns:
            What came of it, which is true if the execution stopped.

        Example:
            >>> run = kernel.submit("while True: pass")
            >>> started = next(event for event in run.events() if event.kind == "started")
            >>> bool(run.interrupt(wait=30))
            True
        """
        return self._kernel.interrupt(self.id, **options)

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have a function called with the execution when it has ended, also if nobody holds the execution.

        Args:
            fn: called on a thread of the client, or at once if the execution has ended. What it raises is logged.

        Example:
            >>> import queue
            >>> ended = queue.Queue()
            >>> kernel.submit("6 * 7").add_done_callback(ended.put)
            >>> ended.get(timeout=30).result(timeout=30)
            42
        """
        if fn is not CallFuture._wake:
            _CALLING_BACK.add(self)
        super().add_done_callback(fn)
        if self.done():
            _CALLING_BACK.discard(self)

    # ------------------------------------------------------------------ fed by the client

    def _take(self, event: Event) -> bool:
        """Take in one of this execution's events; whether it is the last one, after which `_finish` is due.

        More than one thread may read them, each from the first and in order: what was taken in is passed over.
        """
        with self._taking:
            if event.seq > self._seen:
                self._seen = event.seq
                self._note(event)
        return event.kind == Kind.FINISHED

    def _note(self, event: Event) -> None:
        if event.kind in _OUTPUT:
            self._keep(event)
            return
        self._events.append(event)
        if event.kind == Kind.QUEUED:
            self.id = event.execution or 0
        elif event.kind == Kind.STARTED:
            self._note_start(event)
        elif event.kind == Kind.ERROR:
            self._error = event
        elif event.kind == Kind.FINISHED:
            self.status = event.outcome
            self.duration_s = event.duration_s
            self._end = event

    def _keep(self, event: Event) -> None:
        if self._room_chars < 0:
            return
        self._room_chars -= _EVENT_CHARS + _count_chars(event)
        if self._room_chars >= 0:
            self._events.append(event)
        else:
            self._events = [event for event in self._events if event.kind not in _OUTPUT]

    def _note_start(self, event: Event) -> None:
        if self.status == "queued":
            self.status = "running"
        self.count = event.payload.get("count")

    def _lose(self, error: Exception) -> None:
        """The connection is gone, and with it the news."""
        self._complete(error)

    def _conclude(self, last_stack: str) -> None:
        """All is taken in of one that nobody has waited for; raises what came of it."""
        error = self._make_error(last_stack)
        self._init_finished(error)
        if error is not None:
            raise error

    def _finish(self, last_stack: str) -> None:
        """All is taken in; wake those who wait."""
        self._complete(self._make_error(last_stack))

    def _make_error(self, last_stack: str) -> Exception | None:
        """What came of it, where that is not a value."""
        finished = self._end
        assert finished is not None
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
            message = f"execution {self.id} is lost: {finished.reason}"
            return KernelDied(message, finished.reason, finished.generation, last_stack)
        return ExecutionDropped(f"execution {self.id} was {outcome}: {finished.reason}", outcome, self.id)

    def _complete(self, error: Exception | None) -> None:
        _CALLING_BACK.discard(self)
        if self.done():
            return
        if error is None:
            self.set_result(None)
        else:
            self.set_exception(error)


def _count_chars(event: Event) -> int:
    if event.kind == Kind.STREAM:
        return len(event.text)
    data = event.payload.get("data")
    return sum(len(shown) for shown in data.values() if isinstance(shown, str)) if isinstance(data, dict) else 0
