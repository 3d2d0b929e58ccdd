"""Submitted code as its submitter sees it: a future that also collects what the code printed and showed.

What comes of it stands in the kernel's journal, and is read there by whoever wants to know, on the thread that does:
who waits, iterates, or looks. Only who is to be told without asking (callbacks, ``concurrent.futures.wait``, asyncio)
needs somebody who reads in the meantime. All of these begin by asking for the future's condition, so there is none
before, and with it comes the `notifier`.

What it printed is kept up to a limit. Beyond that it is in the journal only, and is read again when it is asked for.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.client.events import MARGIN_S, WAIT_S
from rpyc_kernel.client.execution_record import UNSET, ExecutionRecord
from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.errors import (
    CallTimeout,
    KernelError,
    NotQueued,
)
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import KEEP_OUTPUT
from rpyc_kernel.system.futures import LazyFuture

_LEAST_S = 0.5
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

    def _follow(
        self, execution: int, cursor: int, wait_s: float, limit_s: float | None = None, within_s: float | None = None
    ) -> tuple[int, list[Event]]:
        """Read its events once, and return the cursor to go on with and them."""

    def _read_execution(
        self, execution: int, since: int, *, waits: bool, limit_s: float | None = None
    ) -> Iterator[Event]:
        """Yield its events from the kernel's journal."""

    def _notify(self, execution: Execution) -> None:
        """Complete its future when it has ended."""

    def _find_stack(self, generation: int) -> str:
        """Return the last stack of a generation's worker, "" if there is none any more."""


class Execution(ExecutionRecord, LazyFuture):
    """The future of a submitted piece of code. Its result is the value of the last expression.

    Whoever looks at one that has not ended asks the kernel how far it is.

    Attributes:
        id: the number of the execution.

    Example:
        >>> job = kernel.submit("print('hello'); 6 * 7")
        >>> job.result(timeout=30), job.status, job.stdout.strip()
        (42, 'ok', 'hello')
    """

    def __init__(self, kernel: Kernel, execution: int, *, cursor: int = 0, keep_output: int = KEEP_OUTPUT) -> None:
        ExecutionRecord.__init__(self, execution, cursor, keep_output)
        self._kernel = kernel

    def _begin_telling(self) -> None:
        self._kernel._notify(self)

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self._last_status}>"

    # ------------------------------------------------------------------ what came of it

    @property
    def status(self) -> str:
        """``held``, ``queued``, ``running``, or how it ended: ``ok``, ``error``, ``interrupted``, ``cancelled``, ...

        The others are ``aborted`` and ``lost``. What is held waits until somebody approves it.

        Example:
            >>> kernel.execute("1").status
            'ok'
        """
        self._catch_up()
        return self._last_status

    @property
    def count(self) -> int | None:
        """Which input of its generation it is, as in ``Out[count]``; None until it has begun, and of calls.

        Example:
            >>> kernel.execute("1").count > 0
            True
        """
        self._catch_up()
        return self._count

    @property
    def duration_s(self) -> float | None:
        """How long it ran, in seconds, measured in the worker; None until it finished.

        Example:
            >>> kernel.execute("1").duration_s < 30
            True
        """
        self._catch_up()
        return None if self._end is None else self._end.payload.get("duration_s")

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
        return self.result()

    def _get_value(self, timeout_s: float | None) -> Any:
        if self._value is UNSET:
            self._value = self._fetch_value(timeout_s)
        return self._value

    def _fetch_value(self, timeout_s: float | None) -> Any:
        return self._kernel.fetch_value(self.id, timeout_s) if self._has_live_value else self._read_plain_value()

    def _text_of(self, name: str) -> str:
        return "".join(e.text for e in self._look_back() if e.kind == Kind.STREAM and e.name == name)

    def _look_back(self) -> Iterator[Event]:
        """All events so far, from the journal if not all of them were kept."""
        self._catch_up()
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
        begun = time.monotonic()
        self._wait(timeout)
        self._raise_failure()
        return self._get_value(None if timeout is None else max(_LEAST_S, timeout - (time.monotonic() - begun)))

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the end and return what `result` would raise, None if that is a value.

        Example:
            >>> kernel.submit("1 / 0").exception(timeout=30).ename
            'ZeroDivisionError'
        """
        self._wait(timeout)
        return self._get_failure()

    def done(self) -> bool:
        """Whether it has ended.

        Example:
            >>> kernel.execute("1").done()
            True
        """
        self._catch_up()
        return self._is_over

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
        is_gapless = since <= self._cursor
        for event in self._kernel._read_execution(self.id, max(since, self._start), waits=True, limit_s=timeout):
            if is_gapless:
                self._take((event,), event.seq)  # so that whoever sees an event finds it here, too
            elif event.kind == Kind.FINISHED:
                self._wait(None)
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
        _CALLING_BACK.add(self)
        super().add_done_callback(fn)
        if self._is_over:
            _CALLING_BACK.discard(self)

    # ------------------------------------------------------------------ reading

    def _wait_completed(self, timeout_s: float | None) -> bool:
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not self._is_over:
            left_s = max(0.0, deadline - time.monotonic())
            try:
                self._read(min(left_s, WAIT_S), max(_LEAST_S, min(left_s, WAIT_S + MARGIN_S)), max(_LEAST_S, left_s))
            except CallTimeout:
                if time.monotonic() < deadline:
                    raise
            if time.monotonic() >= deadline:
                break
        return self._is_over

    def _catch_up(self) -> None:
        """Take in what there is by now; who cannot be reached in time has not told anything new."""
        with contextlib.suppress(CallTimeout):
            while not self._is_over and self._read(0.0):
                pass

    def _read(self, wait_s: float, limit_s: float | None = None, within_s: float | None = None) -> bool:
        """Read once, to the end if that comes in time; whether there was anything new."""
        try:
            cursor, events = self._kernel._follow(self.id, self._cursor, wait_s, limit_s, within_s)
        except CallTimeout:
            raise
        except KernelError as error:
            self._lose(error)
            return False
        self._take(events, cursor)
        return bool(events)

    # ------------------------------------------------------------------ what it raises

    def _raise_failure(self) -> None:
        failure = self._get_failure()
        if failure is not None:
            raise failure

    def _find_stack(self, generation: int) -> str:
        return self._kernel._find_stack(generation)

    # ------------------------------------------------------------------ told by the notifier

    def _complete(self) -> None:
        """See `LazyFuture`."""
        super()._complete()
        _CALLING_BACK.discard(self)
