"""How a client hears of what it submitted: it completes executions from their events.

`execute` gets all events of its code in one answer (`follow_to_end`). What is submitted is completed by a `Feed`, which
reads the session's events while there is something to complete, and rests otherwise. Nothing in here keeps an execution
alive that nobody holds: what it printed would be kept with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.client import answers
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core.contract import Event, Kind, Outcome, Scope
from rpyc_kernel.errors import ConnectionLost

_BATCH = 1000
_WAIT_S = FOLLOW_S = 20.0
_MARGIN_S = 40.0


def read_events(
    commands: HubConnection, cursor: int, *, wait_s: float, margin_s: float = _MARGIN_S, acknowledge: bool = False
) -> tuple[int, list[Event]]:
    """Read once from a cursor; returns the cursor to go on with, and the events.

    The answer may take ``margin_s`` longer than the wait.
    """
    limit_s = wait_s + margin_s
    arguments = (cursor, _BATCH, wait_s, Scope.ALL, acknowledge)
    told: tuple[int, list[Event]] = commands.call("read", *arguments, read=answers.read_events, timeout_s=limit_s)
    return told


def follow_events(commands: HubConnection, cursor: int, *, acknowledge: bool) -> Iterator[Event]:
    """Yield events after ``cursor`` without end, until the kernel stops or the connection is lost."""
    past = int(commands.hello()["last"])  # a stop up to here was one of an earlier life
    while True:
        cursor, events = read_events(commands, cursor, wait_s=_WAIT_S, acknowledge=acknowledge)
        yield from events
        if any(event.kind == Kind.HUB_STOPPED and event.seq > past for event in events):
            if acknowledge:
                commands.call("acknowledge", cursor)
            return


def follow_execution(commands: HubConnection, execution: int, cursor: int, *, waits: bool) -> Iterator[Event]:
    """Yield the events of one execution after ``cursor`` up to its end, or without waiting up to now."""
    cursor = max(cursor, commands.call("find", execution, read=answers.read_number) - 1)
    wait_s = _WAIT_S if waits else 0.0
    while True:
        cursor, events = follow_once(commands, execution, cursor, wait_s=wait_s, is_eager=True)
        yield from events
        if any(event.kind == Kind.FINISHED for event in events) or not (events or waits):
            return


def follow_once(
    commands: HubConnection,
    execution: int,
    cursor: int,
    *,
    wait_s: float,
    margin_s: float = _MARGIN_S,
    is_eager: bool = False,
) -> tuple[int, list[Event]]:
    """Read the events of one execution up to its end, as far as they come in time; see `read_events`.

    Args:
        commands: what is called by, which others may go on to use.
        execution: its number.
        cursor: where to begin.
        wait_s: how long to wait.
        margin_s: how much longer than that the answer may take.
        is_eager: whether to return with the first event that there is.
    """
    arguments = (execution, cursor, wait_s, is_eager)
    told: tuple[int, list[Event]] = commands.call(
        "follow", *arguments, read=answers.read_events, timeout_s=wait_s + margin_s
    )
    return told


def follow_to_end(
    commands: HubConnection,
    execution: Execution,
    call: Future[Any],
    told: Callable[[int], None],
    *,
    eager: bool = False,
) -> None:
    """Complete an execution from the answer of `run` or `follow`, and of as many `follow` after it as it takes.

    All of it happens on the thread that reads: the thread that waits for the execution is woken once, by its end.

    Args:
        commands: what was called by.
        execution: followed for as long as somebody holds it.
        call: the first answer.
        told: called with the number up to which the session's events are known.
        eager: be told of each event at once.
    """
    held = weakref.ref(execution)

    def take(call: Future[Any]) -> None:
        execution = held()
        if execution is None:
            return
        try:
            cursor, events = answers.read_events(call.result())
            finish = None
            for event in events:
                execution.id = event.execution or 0
                finish = execution._take(event) or finish
            told(cursor)
            if finish is None:
                following = commands.start("follow", execution.id, cursor, FOLLOW_S, eager)
                follow_to_end(commands, execution, following, told, eager=eager)
            elif execution.status == Outcome.LOST:
                commands.start("last_stack").add_done_callback(lambda stack: finish_lost(stack, finish))
            else:
                finish()
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiter must hear of it
            execution._lose(commands.as_ours(error))

    def finish_lost(stack: Future[Any], finish: Callable[[], None]) -> None:
        execution = held()
        if execution is not None:
            execution._last_stack = "" if stack.exception() else str(stack.result())
            finish()

    call.add_done_callback(take)


class Watch:
    """Hands events on as they come, on the thread that reads its connection, and asks for more when it is told to.

    Args:
        commands: an events connection; the watch owns it.
        cursor: where to begin.
        take: gets each batch, and must not wait; the next waits for `go_on`.
        ended: told that there is nothing more: None if the kernel has stopped, else why.
    """

    def __init__(
        self,
        commands: HubConnection,
        cursor: int,
        take: Callable[[list[Event]], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._commands = commands
        self._cursor = cursor
        self._take = take
        self._ended = ended
        self._past = int(commands.hello()["last"])  # a stop up to here was one of an earlier life
        self._is_over = False

    def go_on(self) -> None:
        """Ask for what comes next; once for each batch."""
        if self._is_over:
            return
        try:
            reading = self._commands.start("read", self._cursor, _BATCH, _WAIT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._ended(self._commands.as_ours(error))
        else:
            reading.add_done_callback(self._hand_on)

    def close(self) -> None:
        """Stop."""
        self._commands.close()

    def _hand_on(self, reading: Future[Any]) -> None:
        try:
            self._cursor, events = answers.read_events(reading.result())
            self._is_over = any(event.kind == Kind.HUB_STOPPED and event.seq > self._past for event in events)
            self._take(events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._ended(self._commands.as_ours(error))
            return
        if self._is_over:
            self._ended(None)


class Feed:
    """Completes what a session submits. All of it happens on the thread that reads: each answer asks for the next.

    It reads from the first submission until nothing is left to complete, and begins again with the next: what
    `execute` has printed meanwhile was told already, and is passed over.

    Args:
        open_reader: opens an events connection; the feed owns it.
    """

    def __init__(self, open_reader: Callable[[], HubConnection]) -> None:
        self._open_reader = open_reader
        self._opening = threading.Lock()
        self._reader: HubConnection | None = None
        self._lock = threading.Lock()
        self._cursor = 0
        self._chain: object = None  # of answers that each ask for the next; None while it rests
        self._awaited: dict[int, weakref.ref[Execution]] = {}
        self._expected: set[object] = set()  # submissions on their way
        self._early: dict[int, list[Event]] = {}  # what came of them before their numbers
        self._last_stack = ""
        self._is_closed = False

    def submit(self, hand_in: Callable[[], Execution]) -> Execution:
        """Hand code in, and complete its execution from then on."""
        reader = self._connect()
        submission = object()
        execution = None
        try:
            with self._lock:
                self._expected.add(submission)
            self._read_on(reader)  # before the code is handed in, so that nothing of it is missed
            execution = hand_in()
            return execution
        finally:
            self._adopt(submission, execution, reader)

    def follow(self, execution: Execution, cursor: int) -> None:
        """Complete an execution of any session, whose events all come after ``cursor``."""
        reader = self._connect()
        following = reader.start("follow", execution.id, cursor, FOLLOW_S, True)
        follow_to_end(reader, execution, following, lambda _: None, eager=True)

    def pass_over(self, cursor: int) -> None:
        """Everything up to here is known, and had been before whatever is submitted from now on."""
        with self._lock:
            if self._chain is None:
                self._cursor = max(self._cursor, cursor)

    def close(self) -> None:
        """Stop; whoever still waits gets `ConnectionLost`."""
        self._is_closed = True
        with self._opening:
            if self._reader is not None:
                self._reader.close()

    def _connect(self) -> HubConnection:
        with self._opening:
            if self._is_closed:
                raise ConnectionLost("this client is closed")
            if self._reader is None or self._reader.is_closed:
                reader = self._open_reader()
                try:
                    self.pass_over(int(reader.hello()["last"]))
                except BaseException:
                    reader.close()
                    raise
                self._reader = reader
            return self._reader

    def _adopt(self, submission: object, execution: Execution | None, reader: HubConnection) -> None:
        finish = None
        with self._lock:
            self._expected.discard(submission)
            if execution is not None:
                execution._last_stack = self._last_stack
                for event in self._early.pop(execution.id, ()):
                    finish = execution._take(event) or finish
                if finish is None:
                    self._awaited[execution.id] = weakref.ref(execution)
            if not self._expected:
                self._early.clear()
        if finish is not None:
            finish()
        elif execution is not None:
            self._read_on(reader)

    def _read_on(self, reader: HubConnection) -> None:
        """Begin to read, if that does not go on already."""
        chain = None
        try:
            with self._lock:
                if self._chain is None:
                    self._chain = chain = object()
            if chain is not None:
                self._ask(reader, chain)
        except BaseException:  # Ctrl-C, perhaps after the first was asked for; the next submission begins a new chain
            with self._lock:
                if self._chain is chain:
                    self._chain = None
            raise

    # ------------------------------------------------------------------ on the thread that reads

    def _ask(self, reader: HubConnection, chain: object) -> None:
        try:
            reading = reader.start("read", self._cursor, _BATCH, _WAIT_S, Scope.SESSION)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._end(chain, reader.as_ours(error))
        else:
            reading.add_done_callback(lambda reading: self._hear(reader, chain, reading))

    def _hear(self, reader: HubConnection, chain: object, reading: Future[Any]) -> None:
        if self._chain is not chain:
            return
        try:
            cursor, events = answers.read_events(reading.result())
            for event in events:
                self._dispatch(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._end(chain, reader.as_ours(error))
            return
        if any(event.kind == Kind.HUB_STOPPED for event in events):
            self._end(chain, ConnectionLost("the kernel has stopped"))
            return
        with self._lock:
            self._cursor = cursor
            self._awaited = {number: held for number, held in self._awaited.items() if held() is not None}
            if not (self._awaited or self._expected):
                self._chain = None
                return
        self._ask(reader, chain)

    def _end(self, chain: object, error: Exception) -> None:
        with self._lock:
            if self._chain is not chain:
                return
            self._chain = None
            waiting = [held() for held in self._awaited.values()]
            self._awaited.clear()
        for execution in waiting:
            if execution is not None:
                execution._lose(error)

    def _dispatch(self, event: Event) -> None:
        if event.kind == Kind.WORKER_DIED:
            self._last_stack = event.stack
        if event.execution is None:
            return
        with self._lock:
            held = self._awaited.get(event.execution)
            execution = None if held is None else held()
            if execution is None:
                if held is None and self._expected:
                    self._early.setdefault(event.execution, []).append(event)
                return
            execution._last_stack = self._last_stack
            finish = execution._take(event)
            if finish is not None:
                del self._awaited[event.execution]
        if finish is not None:
            finish()
