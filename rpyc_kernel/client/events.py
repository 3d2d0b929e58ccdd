"""Events of a kernel, from a cursor on: the one way in which a client reads them, on the thread that wants them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event, Kind, Scope
from rpyc_kernel.system.threads import make_thread, start_threads

WAIT_S = 20.0
"""How long a question waits for an answer in the hub, at most; whoever wants to wait longer asks again."""
_BATCH = 1000
_MARGIN_S = 40.0
_JOIN_S = 2.0


class EventStream:
    """Events after a cursor, in order; nothing comes that was not asked for.

    Args:
        connection: what is asked by. Others may go on to use it.
        cursor: the number of the last event that is not wanted.
        execution: the number of the one execution whose events are wanted, None for all events.
        scope: whose events are wanted, one of `Scope`.
        acknowledge: whether the kernel is to remember how far the session has read.

    Attributes:
        cursor: the number of the last event that was read, or that there was when nothing came.
    """

    def __init__(
        self,
        connection: HubConnection,
        cursor: int,
        *,
        execution: int | None = None,
        scope: str = Scope.ALL,
        acknowledge: bool = False,
    ) -> None:
        self.cursor = cursor
        self._connection = connection
        self._execution = execution
        self._scope = scope
        self._acknowledge = acknowledge

    @classmethod
    def of_execution(cls, connection: HubConnection, execution: int, cursor: int = 0) -> EventStream:
        """The stream of one execution, which begins no earlier than that.

        Raises:
            NoSuchExecution: there never was one of this number.
        """
        first = connection.call(commands.FIND, execution)
        return cls(connection, max(cursor, first - 1), execution=execution)

    def read(self, wait_s: float, *, is_eager: bool = True, margin_s: float = _MARGIN_S) -> list[Event]:
        """Read once.

        Args:
            wait_s: how long to wait for something.
            is_eager: of an execution, whether to return with the first event that there is, and not only with the last.
            margin_s: how much longer than that the answer may take.
        """
        question: tuple[Any, ...] = (commands.FOLLOW, self._execution, self.cursor, wait_s, is_eager)
        if self._execution is None:
            question = (commands.READ, self.cursor, _BATCH, wait_s, self._scope, self._acknowledge)
        found: tuple[int, list[Event]] = self._connection.call(*question, timeout_s=wait_s + margin_s)
        self.cursor, events = found
        return events

    def follow(self, limit_s: float | None = None) -> Iterator[list[Event]]:
        """Yield batches to the end: of the execution, or of the kernel.

        Args:
            limit_s: how long nothing may come.

        Raises:
            TimeoutError: nothing came for so long.
        """
        # A stop up to here was one of an earlier life.
        last = self._connection.hello()["last"] if self._execution is None else 0
        since = time.monotonic()
        while True:
            left_s = WAIT_S if limit_s is None else max(0.0, since + limit_s - time.monotonic())
            events = self.read(min(left_s, WAIT_S))
            if events:
                yield events
                since = time.monotonic()
            elif limit_s is not None and left_s <= 0:
                raise TimeoutError(f"nothing came for {limit_s:g} s")
            if any(self._is_end(event, last) for event in events):
                break
        self._acknowledge_all()

    def read_all(self) -> Iterator[list[Event]]:
        """Yield batches up to what there is now."""
        if self._execution is not None:
            while events := self.read(0):
                yield events
                if any(self._is_end(event, 0) for event in events):
                    break
            return
        last = self._connection.hello()["last"]
        while self.cursor < last:
            yield [event for event in self.read(0) if event.seq <= last]
        self._acknowledge_all()

    def _is_end(self, event: Event, last: int) -> bool:
        if self._execution is not None:
            return event.kind == Kind.FINISHED
        return event.kind == Kind.HUB_STOPPED and event.seq > last

    def _acknowledge_all(self) -> None:
        if self._acknowledge:  # a question says so of what was read before it
            self._connection.call(commands.ACKNOWLEDGE, self.cursor)


class Watch:
    """Hands events on as they come, on a thread of its own, and asks for more when it is told to.

    Args:
        connection: an events connection; the watch owns it.
        cursor: where to begin.
        take: gets each batch, and must not wait; the next waits for `go_on`.
        ended: told that there is nothing more: None if the kernel has stopped, else why.
    """

    def __init__(
        self,
        connection: HubConnection,
        cursor: int,
        take: Callable[[list[Event]], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._connection = connection
        self._stream = EventStream(connection, cursor)
        self._take = take
        self._ended = ended
        self._may_go_on = threading.Semaphore(0)
        self._thread = make_thread(self._run, "rpyc_kernel-watch")
        start_threads(self._thread)

    def go_on(self) -> None:
        """Ask for what comes next; once for each batch."""
        self._may_go_on.release()

    def close(self) -> None:
        """Stop."""
        self._connection.close()
        self.go_on()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            for batch in self._stream.follow():
                self._take(batch)
                self._may_go_on.acquire()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._ended(self._connection.as_ours(error))
        else:
            self._ended(None)
        finally:
            self._connection.close()
