"""Submitted code as a task sees it that has submitted it: to be awaited, and what it printed and showed."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Generator, Iterator
from functools import partial
from typing import Any, Protocol

import anyio

from rpyc_kernel.aio.event_stream import EventStream
from rpyc_kernel.aio.events import Events
from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.events import MARGIN_S, WAIT_S
from rpyc_kernel.client.execution import Interruption
from rpyc_kernel.client.execution_record import UNSET, ExecutionRecord
from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.errors import CallTimeout, KernelError, NotAvailable, NotQueued, RequestError
from rpyc_kernel.settings import KEEP_OUTPUT
from rpyc_kernel.system.futures import NotDone

_LEAST_S = 0.5


class Asker(Protocol):
    """What an execution asks of the client that it belongs to."""

    async def cancel(self, execution: int) -> None:
        """Take it out of the queue."""

    async def interrupt(self, execution: int | None = None, *, force: str = ..., wait: float = ...) -> Interruption:
        """Interrupt it."""

    async def fetch_value(self, execution: int, timeout: float | None = None) -> Any:
        """Return its value."""

    async def _follow(
        self, execution: int, cursor: int, wait_s: float, limit_s: float | None = None, within_s: float | None = None
    ) -> tuple[int, list[Event]]:
        """Read its events once, and return the cursor to go on with and them."""

    async def _open_stream(self, execution: int, since: int) -> EventStream:
        """Return where its events can be read."""

    async def _find_stack(self, generation: int) -> str:
        """Return the last stack of a generation's worker, "" if there is none any more."""


@check_methods
class Execution(ExecutionRecord):
    """A submitted piece of code; to await it is to wait for the value of its last expression.

    What it tells without being awaited is what has been read of it: all there is once it was awaited, as after
    `KernelClient.execute`; while it runs, what there was when `refresh` was last awaited, or an event of `events` was
    taken. Any number of tasks may await it, again and again; one that is cancelled leaves it running.

    Attributes:
        id: the number of the execution.
    """

    def __init__(self, kernel: Asker, execution: int, *, cursor: int = 0, keep_output: int = KEEP_OUTPUT) -> None:
        super().__init__(execution, cursor, keep_output)
        self._kernel = kernel
        self._stack = ""

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self._last_status}>"

    # ------------------------------------------------------------------ what came of it so far

    @property
    def status(self) -> str:
        """``queued``, ``running``, or how it ended, as of `rpyc_kernel.Execution`."""
        return self._last_status

    @property
    def count(self) -> int | None:
        """Which input of its generation it is, as in ``Out[count]``; None until it has begun, and of calls."""
        return self._count

    @property
    def duration_s(self) -> float | None:
        """How long it ran, in seconds, measured in the worker; None until it finished."""
        return None if self._end is None else self._end.payload.get("duration_s")

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
        """The displays and the result so far: events, each with `data`, a dict from MIME type to content."""
        return [event for event in self._kept() if event.kind in (Kind.DISPLAY, Kind.RESULT)]

    @property
    def value(self) -> Any:
        """The value of the last expression of an execution that has ended, None if there was none.

        Raises:
            RequestError: it has not ended, or its value is a live object: await the execution.
            ExecutionError: the code raised.
        """
        if not self._is_over:
            raise RequestError(f"execution {self.id} has not ended: await it")
        if (failure := self._get_failure()) is not None:
            raise failure
        if self._value is UNSET:
            if self._has_live_value:
                raise RequestError(f"the value of execution {self.id} is a live object: await the execution for it")
            self._value = self._read_plain_value()
        return self._value

    def done(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def cancelled(self) -> bool:
        """Whether it was taken out of the queue before it began."""
        return self._last_status in (Outcome.CANCELLED, Outcome.ABORTED)

    def running(self) -> bool:
        """Whether the worker runs it."""
        return self._last_status == "running"

    def _text_of(self, name: str) -> str:
        return "".join(e.text for e in self._kept() if e.kind == Kind.STREAM and e.name == name)

    def _kept(self) -> Iterator[Event]:
        if self._room_chars < 0:
            raise NotAvailable(
                f"execution {self.id} has printed and shown more than this client keeps; read it by "
                "'async for event in run.events()', or connect with a larger keep_output"
            )
        return iter(self._events)

    # ------------------------------------------------------------------ waiting

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    async def result(self, timeout: float | None = None) -> Any:
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
        """
        begun = anyio.current_time()
        await self._wait(timeout)
        await self._raise_failure()
        if self._value is UNSET and self._has_live_value:
            left_s = None if timeout is None else max(_LEAST_S, timeout - (anyio.current_time() - begun))
            self._value = await self._kernel.fetch_value(self.id, left_s)
        return self.value

    async def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the end and return what `result` would raise, None if that is a value."""
        await self._wait(timeout)
        return await self._learn_failure()

    async def refresh(self) -> None:
        """Ask the kernel how far it is."""
        await self._catch_up()

    def events(self, *, since: int = 0, timeout: float | None = None) -> AsyncIterator[Event]:
        """Return the events of this execution, from the first to the last, as they come, for ``async for``.

        Args:
            since: the number of the last event already seen.
            timeout: how long to wait for the next one, in seconds; None waits as long as it takes.

        Returns:
            The events, in the order of their numbers.

        Raises:
            TimeoutError: nothing came for ``timeout`` seconds.
            ConnectionLost: the connection is gone.
        """
        if self._end is not None and self._room_chars >= 0:
            return Events(None, ready=[event for event in self._events if event.seq > since])
        is_gapless = since <= self._cursor

        async def note(event: Event) -> None:
            if is_gapless:
                self._take((event,), event.seq)  # so that whoever sees an event finds it here, too
            elif event.kind == Kind.FINISHED:
                await self._wait(None)

        return Events(partial(self._kernel._open_stream, self.id, max(since, self._start)), limit_s=timeout, note=note)

    # ------------------------------------------------------------------ stopping

    async def cancel(self) -> bool:
        """Take the execution out of the queue.

        Returns:
            Whether it was; False when it has begun.
        """
        try:
            await self._kernel.cancel(self.id)
        except NotQueued:
            return False
        return True

    async def interrupt(self, *, force: str = "signal", wait: float = 3.0) -> Interruption:
        """Interrupt exactly this execution, never the next one; see `KernelClient.interrupt`."""
        return await self._kernel.interrupt(self.id, force=force, wait=wait)

    # ------------------------------------------------------------------ reading

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait for its end.

        Raises:
            TimeoutError: it has not come in time.
        """
        deadline = math.inf if timeout_s is None else anyio.current_time() + timeout_s
        while not self._is_over:
            left_s = max(0.0, deadline - anyio.current_time())
            try:
                await self._read(
                    min(left_s, WAIT_S), max(_LEAST_S, min(left_s, WAIT_S + MARGIN_S)), max(_LEAST_S, left_s)
                )
            except CallTimeout:
                if anyio.current_time() < deadline:
                    raise
            if anyio.current_time() >= deadline:
                break
        if not self._is_over:
            raise NotDone(f"not done within {timeout_s:g} s; it goes on")

    async def _catch_up(self) -> None:
        while not self._is_over and await self._read(0.0):
            pass

    async def _read(self, wait_s: float, limit_s: float | None = None, within_s: float | None = None) -> bool:
        """Read once, to the end if that comes in time; whether there was anything new."""
        try:
            cursor, events = await self._kernel._follow(self.id, self._cursor, wait_s, limit_s, within_s)
        except CallTimeout:
            raise
        except KernelError as error:
            self._lose(error)
            return False
        self._take(events, cursor)
        return bool(events)

    # ------------------------------------------------------------------ what it raises

    async def _raise_failure(self) -> None:
        failure = await self._learn_failure()
        if failure is not None:
            raise failure

    async def _learn_failure(self) -> Exception | None:
        if self._failure is UNSET and self._end is not None and self._end.outcome == Outcome.LOST:
            self._stack = await self._kernel._find_stack(self._end.payload.get("generation", 0))
        return self._get_failure()

    def _find_stack(self, generation: int) -> str:
        return self._stack
