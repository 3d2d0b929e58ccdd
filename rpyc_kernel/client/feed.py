"""The client's own reader: it follows the session's events and completes executions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.commands import Commands
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.core.contract import Event, Kind, Outcome, Scope, decode_events
from rpyc_kernel.errors import ConnectionLost

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient

_BATCH = 1000
_WAIT_S = FOLLOW_S = 20.0
_MARGIN_S = 40.0
_KEPT_FINISHED = 200


def read_events(
    commands: Commands, cursor: int, *, wait_s: float, scope: str = Scope.ALL, acknowledge: bool = False
) -> tuple[int, list[Event]]:
    """Read once from a cursor; returns the cursor to go on with, and the events."""
    cursor, text = commands.call("read", cursor, _BATCH, wait_s, scope, acknowledge, timeout_s=wait_s + _MARGIN_S)
    return cursor, decode_events(text)


def follow_events(commands: Commands, cursor: int, *, acknowledge: bool) -> Iterator[Event]:
    """Yield events after ``cursor`` without end, until the kernel stops or the connection is lost."""
    past = int(dict(commands.call("hello"))["last"])  # a stop up to here was one of an earlier life
    while True:
        cursor, events = read_events(commands, cursor, wait_s=_WAIT_S, acknowledge=acknowledge)
        yield from events
        if any(event.kind == Kind.HUB_STOPPED and event.seq > past for event in events):
            if acknowledge:
                commands.call("acknowledge", cursor)
            return


def follow_to_end(commands: Commands, execution: Execution, call: Future[Any]) -> None:
    """Complete an execution from the answer of `run`, and of as many `follow` after it as it takes.

    All of it happens on the thread that reads: the thread that waits for the execution is woken once, by its end.
    """

    def take(call: Future[Any]) -> None:
        try:
            cursor, text = call.result()
            finish = None
            for event in decode_events(text):
                execution.id = event.execution or 0
                finish = execution.take(event) or finish
            if finish is None:
                follow_to_end(commands, execution, commands.start("follow", execution.id, cursor, FOLLOW_S))
            elif execution.status == Outcome.LOST:
                commands.start("last_stack").add_done_callback(lambda told: finish_lost(told, finish))
            else:
                finish()
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiter must hear of it
            execution.lose(commands.as_ours(error))

    def finish_lost(told: Future[Any], finish: Callable[[], None]) -> None:
        execution.last_stack = "" if told.exception() else told.result()
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
        commands: Commands,
        cursor: int,
        take: Callable[[list[Event]], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._commands = commands
        self._cursor = cursor
        self._take = take
        self._ended = ended
        self._past = int(dict(commands.call("hello"))["last"])  # a stop up to here was one of an earlier life
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
            self._cursor, text = reading.result()
            events = decode_events(text)
            self._is_over = any(event.kind == Kind.HUB_STOPPED and event.seq > self._past for event in events)
            self._take(events)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._ended(self._commands.as_ours(error))
            return
        if self._is_over:
            self._ended(None)


class Feed:
    """Follows a session. All of it happens on the thread that reads its connection: each reply asks for the next.

    Args:
        commands: an events connection; the feed owns it.
        kernel: whose executions it completes.
        cursor: where to begin.
    """

    def __init__(self, commands: Commands, kernel: KernelClient, cursor: int) -> None:
        self._commands = commands
        self._kernel = kernel
        self._cursor = cursor
        self._lock = threading.Lock()
        self._open: dict[int, Execution] = {}
        self._adopted: set[int] = set()
        self._finished: OrderedDict[int, Execution] = OrderedDict()
        self._lost: Exception | None = None
        self._ended = threading.Event()
        self._last_stack = ""

    def start(self) -> None:
        """Begin to follow."""
        self._ask()

    def adopt(self, execution: Execution) -> None:
        """Complete this execution from now on; what came for its number before is handed over to it."""
        with self._lock:
            early = self._finished.pop(execution.id, None) or self._open.get(execution.id)
            lost = self._lost
            finish = execution.take_over(early) if early is not None else None
            if finish is None:
                self._open[execution.id] = execution
                self._adopted.add(execution.id)
        if finish is not None:
            finish()
        elif lost is not None:
            execution.lose(lost)

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is nothing more to follow."""
        return self._ended.wait(timeout_s)

    def close(self) -> None:
        """Stop; whoever still waits gets `ConnectionLost`."""
        self._commands.close()

    # ------------------------------------------------------------------ on the thread that reads

    def _ask(self) -> None:
        try:
            reading = self._commands.start("read", self._cursor, _BATCH, _WAIT_S, Scope.SESSION)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._end(self._commands.as_ours(error))
        else:
            reading.add_done_callback(self._take)

    def _take(self, reading: Future[Any]) -> None:
        try:
            self._cursor, text = reading.result()
            events = decode_events(text)
            for event in events:
                self._dispatch(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must hear of it
            self._end(self._commands.as_ours(error))
            return
        if any(event.kind == Kind.HUB_STOPPED for event in events):
            self._end(ConnectionLost("the kernel has stopped"))
        else:
            self._ask()

    def _end(self, error: Exception) -> None:
        with self._lock:
            self._lost = error
            waiting = list(self._open.values())
            self._open.clear()
        for execution in waiting:
            execution.lose(error)
        self._ended.set()

    def _dispatch(self, event: Event) -> None:
        if event.kind == Kind.WORKER_DIED:
            self._last_stack = event.stack
        if event.execution is None:
            return
        with self._lock:
            execution = self._open.get(event.execution)
            if execution is None:
                if event.kind not in (Kind.QUEUED, Kind.STARTED):
                    return  # late output of an execution that has finished
                execution = self._open[event.execution] = Execution(self._kernel, event.execution)
            execution.last_stack = self._last_stack
            finish = execution.take(event)
            if finish is not None:
                del self._open[event.execution]
                if event.execution in self._adopted:
                    self._adopted.discard(event.execution)
                else:
                    # Its number may still be on the way to the thread that submitted it.
                    self._finished[event.execution] = execution
                while len(self._finished) > _KEPT_FINISHED:
                    self._finished.popitem(last=False)
        if finish is not None:
            finish()
