"""What a client with nothing but RPyC finds: the root of classic RPyC on the shared namespace, and the kernel's queue.

    stock client ──► root ──► namespace, eval, execute, modules …    here and now, on the connection's thread
                      └─────► run, submit, interrupt, kernel …       by the hub, in the session of this connection

What classic RPyC has means what it means there. Everything that passes the queue is recorded and attributed, runs on
the main thread in its turn, and can be seen and interrupted by all.
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event, Force, Kind, Lane, Outcome, decode_events
from rpyc_kernel.core.seconds import read_seconds
from rpyc_kernel.errors import ExecutionDropped, ExecutionError, ExecutionInterrupted, KernelDied
from rpyc_kernel.system.originals import socket, time
from rpyc_kernel.wire.netrefs.configuration import STOCK_CONFIG
from rpyc_kernel.wire.netrefs.connection import Connection, connect_peer
from rpyc_kernel.wire.netrefs.requests import Later
from rpyc_kernel.wire.netrefs.service import ModuleNamespace
from rpyc_kernel.worker.hub_calls import Commands, HubCalls, Steps, go_through
from rpyc_kernel.worker.objects import ObjectsService
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.values import Values

_REQUEST_TIMEOUT_S = 30.0
"""How long code waits for a client's object that it calls, as with RPyC's own servers: a stock client answers only
while it waits for something itself."""
_WAIT_S = 20.0
"""How long a question waits for an answer in the hub; whoever waits longer asks again."""


class Submission:
    """Code in the kernel's queue, with the names of RPyC's ``AsyncResult``.

    Each question about it is answered when there is an answer, and the client's other requests are served meanwhile.

    Attributes:
        number: the number of the execution.
    """

    def __init__(self, number: int, first: int, hub: HubCalls, values: Values) -> None:
        self.number = number
        self._first = self._cursor = first - 1
        self._hub = hub
        self._values = values
        self._has_value = False
        self._error: Event | None = None
        self._end: Event | None = None

    def __repr__(self) -> str:
        state = "pending" if self._end is None else self._end.outcome
        return f"<Submission {self.number} ({state})>"

    @property
    def ready(self) -> Later:
        """Whether it has ended."""
        return go_through(self._ask_whether(lambda end: True))

    @property
    def error(self) -> Later:
        """Whether it has ended, and with anything but a value."""
        return go_through(self._ask_whether(lambda end: end.outcome != Outcome.OK))

    @property
    def value(self) -> Later:
        """The value of the last expression, waited for; raises what the code raised."""
        return self.result()

    def wait(self, timeout: float | None = None) -> Later:
        """Wait for its end; raises ``TimeoutError`` where that takes longer."""
        return go_through(self._wait_for_end(timeout))

    def result(self, timeout: float | None = None) -> Later:
        """Wait for its end, at most so many seconds; returns the value of the last expression, or raises."""
        return go_through(self._wait_for_result(timeout))

    @property
    def stdout(self) -> Later:
        """What was printed so far."""
        return go_through(self._read_text("stdout"))

    @property
    def stderr(self) -> Later:
        """What was printed to standard error so far."""
        return go_through(self._read_text("stderr"))

    def cancel(self) -> Later:
        """Take it out of the queue."""
        return self._hub.ask(commands.CANCEL, self.number)

    def interrupt(self, force: str = Force.SIGNAL) -> Later:
        """Interrupt it; answers its number."""
        return self._hub.ask(commands.INTERRUPT, self.number, force)

    @property
    def _has_ended(self) -> bool:
        return self._end is not None

    # ------------------------------------------------------------------ step by step

    def _wait_for_end(self, timeout: float | None) -> Steps:
        limit_s = None if timeout is None else read_seconds(timeout, "timeout", may_be_past=True)
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while not self._has_ended:
            left_s = _WAIT_S if deadline is None else max(0.0, min(_WAIT_S, deadline - time.monotonic()))
            yield from self._read(left_s)
            if left_s <= 0 and not self._has_ended:
                raise TimeoutError(f"execution {self.number} has not ended within {limit_s:g} s; it goes on")

    def _wait_for_result(self, timeout: float | None) -> Steps:
        yield from self._wait_for_end(timeout)
        assert self._end is not None
        failure = self._make_failure(self._end)
        if failure is not None:
            raise failure
        if not self._has_value:
            return None
        return self._values.of(self.number)

    def _ask_whether(self, is_so: Callable[[Event], bool]) -> Steps:
        yield from self._read(0.0)
        return self._end is not None and is_so(self._end)

    def _read(self, wait_s: float) -> Steps:
        """Read on to the end, if that comes in this time; of much output an answer holds only a part."""
        events: Sequence[Event] | None = None
        while events != [] and not self._has_ended:
            cursor, text = yield self._hub.ask(commands.FOLLOW, self.number, self._cursor, wait_s)
            events, wait_s = decode_events(text), 0.0
            for event in events:
                if event.kind == Kind.ERROR:
                    self._error = event
                elif event.kind == Kind.RESULT:
                    self._has_value = True
                elif event.kind == Kind.FINISHED:
                    self._end = event
            self._cursor = max(self._cursor, cursor)

    def _read_text(self, name: str) -> Steps:
        cursor, parts = self._first, []
        while True:
            cursor, text = yield self._hub.ask(commands.FOLLOW, self.number, cursor, 0.0)
            events = decode_events(text)
            parts += [event.text for event in events if event.kind == Kind.STREAM and event.name == name]
            if not events or events[-1].kind == Kind.FINISHED:
                return "".join(parts)

    def _make_failure(self, end: Event) -> Exception | None:
        outcome = end.outcome
        if outcome == Outcome.OK:
            return None
        if outcome == Outcome.ERROR and self._error is not None:
            return _raised_again(self._error, self.number)
        if outcome in (Outcome.ERROR, Outcome.INTERRUPTED):
            text = "KeyboardInterrupt\n" if self._error is None else self._error.traceback
            return ExecutionInterrupted("KeyboardInterrupt", "", text, self.number)
        if outcome == Outcome.LOST:
            return KernelDied(f"execution {self.number} is lost: {end.reason}", end.reason, end.generation)
        return ExecutionDropped(f"execution {self.number} was {outcome}: {end.reason}", outcome, self.number)


def _raised_again(told: Event, number: int) -> Exception:
    """An exception of Python's own as itself, so that a client can catch it by its class; any other by its name."""
    error = ExecutionError(told.ename, told.evalue, told.traceback, number)
    kind = getattr(builtins, told.ename, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return error
    try:
        known: Exception = kind(told.evalue)
    except TypeError:  # a class that takes more than a message
        return error
    known.__cause__ = error
    return known


class StockService(ObjectsService):
    """The root of a stock client's connection.

    Args:
        namespace: the namespace of user code.
        values: the last values.
        staged: calls that wait for their turn on the main thread.
        hub: calls to the hub, in the client's session.
    """

    def __init__(self, namespace: dict[str, Any], values: Values, staged: StagedCalls, hub: HubCalls) -> None:
        super().__init__(namespace, values, staged)
        self.kernel = Commands(hub)
        self._hub = hub

    def on_disconnect(self, conn: Connection) -> None:
        """The client is gone, and with it its session."""
        super().on_disconnect(conn)
        self._hub.close()

    @property
    def modules(self) -> Any:
        """All modules, as attributes or items; they are imported as they are asked for."""
        return ModuleNamespace(self.getmodule)

    @property
    def builtins(self) -> Any:
        """Python's builtin functions."""
        return builtins

    # ------------------------------------------------------------------ the queue

    def submit(self, code: str, stop_on_error: bool = True, lane: str = Lane.MAIN) -> Later:
        """Queue code, and answer with a `Submission` at once."""
        return go_through(self._submit(code, stop_on_error, lane))

    def run(self, code: str, stop_on_error: bool = True, lane: str = Lane.MAIN) -> Later:
        """Queue code, and answer with the value of its last expression when it has ended; raises what it raised."""
        return go_through(self._run(code, stop_on_error, lane))

    def _submit(self, code: str, stop_on_error: bool, lane: str) -> Steps:
        number = yield self._hub.ask(commands.EXECUTE, code, stop_on_error, lane)
        first = yield self._hub.ask(commands.FIND, number)
        return Submission(number, first, self._hub, self._values)

    def _run(self, code: str, stop_on_error: bool, lane: str) -> Steps:
        submission = yield from self._submit(code, stop_on_error, lane)
        return (yield from submission._wait_for_result(None))

    def interrupt(self, execution: int | None = None, force: str = Force.SIGNAL) -> Later:
        """Interrupt a running execution, by default that of the main lane; answers its number."""
        return self._hub.ask(commands.INTERRUPT, execution, force)

    def status(self) -> Later:
        """A snapshot of the kernel, as pairs."""
        return self._hub.ask(commands.STATUS)

    def complete(self, code: str, cursor: int | None = None) -> Later:
        """What could stand at a place in code, as a JSON text."""
        return self._hub.ask(commands.COMPLETE, code, cursor)

    def variables(self) -> Later:
        """What the user defined, as a JSON text."""
        return self._hub.ask(commands.VARIABLES)


class StockConnections:
    """All connections of stock clients to this worker."""

    def __init__(self, namespace: dict[str, Any], values: Values, staged: StagedCalls) -> None:
        self._parts = (namespace, values, staged)
        self._numbers = itertools.count(1)

    def add(self, sock: socket.socket, hub_socket: socket.socket) -> None:
        """Serve a client whose socket the hub handed over, with one to the hub in the client's session."""
        sock.setblocking(True)
        name = f"stock-{next(self._numbers)}"
        hub = HubCalls(hub_socket, name)
        service = StockService(*self._parts, hub)
        try:
            hub.start()
            connect_peer(sock, service, name=name, config=STOCK_CONFIG, request_timeout_s=_REQUEST_TIMEOUT_S)
        except BaseException:
            hub.close()
            raise
