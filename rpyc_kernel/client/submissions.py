"""How a client hears of what it has submitted: one thread reads the session's events and completes executions by them.

It begins with the first submission, reads while there is something to complete, and rests otherwise. Nothing in here
keeps an execution alive that nobody holds: what it printed would be kept with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.client import answers
from rpyc_kernel.client.events import WAIT_S, EventStream
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event, Kind, Outcome, Scope
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.originals import queue
from rpyc_kernel.system.threads import make_thread, start_threads

_JOIN_S = 2.0


class Submissions:
    """Completes what a session submits.

    What `execute` has printed while it rests was told already, and is passed over.

    Args:
        open_reader: opens an events connection, which is owned from then on.
    """

    def __init__(self, open_reader: Callable[[], HubConnection]) -> None:
        self._open_reader = open_reader
        self._opening = threading.Lock()
        self._reader: HubConnection | None = None
        self._thread: threading.Thread | None = None
        self._runner: dict[int, int] = {}  # at 0 the thread that came first, if an interrupt had a second one started
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False ends the thread
        self._lock = threading.Lock()
        self._cursor = 0
        self._awaited: dict[int, weakref.ref[Execution]] = {}
        self._followed: set[weakref.ref[Execution]] = set()  # of any session, each by a question of its own
        self._expected: set[object] = set()  # submissions on their way
        self._early: dict[int, list[Event]] = {}  # what came of them before their numbers
        self._last_stack = ""
        self._is_closed = False

    def submit(self, hand_in: Callable[[], Execution]) -> Execution:
        """Hand code in, and complete its execution from then on."""
        self._connect()
        submission = object()
        execution = None
        try:
            with self._lock:
                self._expected.add(submission)
            execution = hand_in()
            return execution
        finally:
            self._adopt(submission, execution)

    def follow(self, execution: Execution, cursor: int) -> None:
        """Complete an execution of any session, of which everything up to the cursor is known."""
        reader = self._connect()
        held = weakref.ref(execution)
        with self._lock:
            self._followed.add(held)
        self._ask(reader, held, execution.id, cursor)
        self._bell.put(True)

    def pass_over(self, cursor: int) -> None:
        """Everything up to here is known, and had been before whatever is submitted from now on."""
        with self._lock:
            if not (self._awaited or self._expected):
                self._cursor = max(self._cursor, cursor)

    def close(self) -> None:
        """Stop; whoever still waits gets `ConnectionLost`."""
        self._is_closed = True
        self._bell.put(False)
        with self._opening:
            if self._reader is not None:
                self._reader.close()
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def _connect(self) -> HubConnection:
        with self._opening:
            if self._is_closed:
                raise ConnectionLost("this client is closed")
            if self._reader is None or self._reader.is_closed:
                reader = self._open_reader()
                try:
                    self.pass_over(int(reader.hello()["last"]))
                    if self._thread is None or self._thread.ident is None:  # as an interrupt may leave it
                        self._thread = make_thread(self._run, "rpyc_kernel-submissions")
                        start_threads(self._thread)
                except BaseException:
                    reader.close()
                    raise
                self._reader = reader
            return self._reader

    def _adopt(self, submission: object, execution: Execution | None) -> None:
        has_ended = False
        with self._lock:
            self._expected.discard(submission)
            if execution is not None:
                for event in self._early.pop(execution.id, ()):
                    has_ended = execution._take(event) or has_ended
                if not has_ended:
                    self._awaited[execution.id] = weakref.ref(execution)
            if not self._expected:
                self._early.clear()
        if execution is None:
            return
        if has_ended:
            execution._finish(self._last_stack)
        else:
            self._bell.put(True)

    # ------------------------------------------------------------------ on the thread

    def _run(self) -> None:
        if self._runner.setdefault(0, threading.get_ident()) != threading.get_ident():
            return
        while self._bell.get():
            while (reader := self._reader) is not None and self._has_work():
                try:
                    self._read(reader)
                except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
                    self._lose(reader.as_ours(error))

    def _has_work(self) -> bool:
        with self._lock:
            self._awaited = {number: held for number, held in self._awaited.items() if held() is not None}
            self._followed = {held for held in self._followed if held() is not None}
            return bool(self._awaited or self._followed or self._expected)

    def _read(self, reader: HubConnection) -> None:
        stream = EventStream(reader, self._cursor, scope=Scope.SESSION)
        events = stream.read(WAIT_S)
        for event in events:
            self._dispatch(event)
        self._cursor = stream.cursor
        if any(event.kind == Kind.HUB_STOPPED for event in events):
            raise ConnectionLost("the kernel has stopped")

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
            has_ended = execution._take(event)
            if has_ended:
                del self._awaited[event.execution]
        if has_ended:
            execution._finish(self._last_stack)

    def _lose(self, error: Exception) -> None:
        with self._lock:
            waiting = [held() for held in (*self._awaited.values(), *self._followed)]
            self._awaited.clear()
            self._followed.clear()
        for execution in waiting:
            if execution is not None:
                execution._lose(error)

    # ------------------------------------------------------------------ on whichever thread reads

    def _ask(self, reader: HubConnection, held: weakref.ref[Execution], number: int, cursor: int) -> None:
        asked = reader.start(commands.FOLLOW, number, cursor, WAIT_S, True)
        asked.add_done_callback(lambda asked: self._hear(reader, held, asked))

    def _hear(self, reader: HubConnection, held: weakref.ref[Execution], asked: Future[Any]) -> None:
        execution = held()
        if execution is None or held not in self._followed:
            return
        try:
            cursor, events = answers.read_events(asked.result())
            has_ended = False
            for event in events:
                has_ended = execution._take(event) or has_ended
            if not has_ended:
                self._ask(reader, held, execution.id, cursor)
            elif execution.status == Outcome.LOST:
                reader.start(commands.LAST_STACK).add_done_callback(lambda stack: self._finish(held, stack))
            else:
                self._finish(held, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiter must hear of it
            execution._lose(reader.as_ours(error))
            self._followed.discard(held)

    def _finish(self, held: weakref.ref[Execution], stack: Future[Any] | None) -> None:
        execution = held()
        if execution is not None:
            execution._finish("" if stack is None or stack.exception() else str(stack.result()))
        self._followed.discard(held)
