"""Events of a kernel, from a cursor on: the one way in which a client reads them, on the thread that wants them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event, Kind, Scope

_S = TypeVar("_S", bound="EventStream")

WAIT_S = 20.0
"""How long a question waits for an answer in the hub, at most; whoever wants to wait longer asks again."""
MARGIN_S = 40.0
"""How much longer than that its answer may take."""
BATCH = 1000
"""How many events one question asks for, at most."""
_read: Callable[[Any], tuple[int, list[Event]]] = reader_of(commands.READ)


class EventStream:
    """Events after a cursor, in order; nothing comes that was not asked for.

    Args:
        connection: what is asked by. Others may go on to use it.
        cursor: the number of the last event that is not wanted.
        execution: the number of the one execution whose events are wanted, None for all events.
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
        acknowledge: bool = False,
    ) -> None:
        self.cursor = cursor
        self._connection = connection
        self._execution = execution
        self._acknowledge = acknowledge

    @classmethod
    def of_execution(cls: type[_S], connection: HubConnection, execution: int, cursor: int = 0) -> _S:
        """The stream of one execution, which begins no earlier than that.

        Raises:
            NoSuchExecution: there never was one of this number.
        """
        first = connection.call(commands.FIND, execution)
        return cls(connection, max(cursor, first - 1), execution=execution)

    def read(
        self, wait_s: float, *, is_eager: bool = True, margin_s: float = MARGIN_S, within_s: float | None = None
    ) -> list[Event]:
        """Read once.

        Args:
            wait_s: how long to wait for something.
            is_eager: of an execution, whether to return with the first event that there is, and not only with the last.
            margin_s: how much longer than that the answer may take.
            within_s: how long all of it may take, if the connection has to be made again; None for no longer.
        """
        question = self._question(wait_s, is_eager)
        found: tuple[int, list[Event]] = self._connection.call(
            *question, timeout_s=wait_s + margin_s, within_s=within_s
        )
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
            events = self.read(min(left_s, WAIT_S), within_s=math.inf if limit_s is None else left_s + MARGIN_S)
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

    def _question(self, wait_s: float, is_eager: bool = True) -> tuple[Any, ...]:
        if self._execution is not None:
            return commands.FOLLOW, self._execution, self.cursor, wait_s, is_eager
        return commands.READ, self.cursor, BATCH, wait_s, Scope.ALL, self._acknowledge

    def _is_end(self, event: Event, last: int) -> bool:
        if self._execution is not None:
            return event.kind == Kind.FINISHED
        return event.kind == Kind.HUB_STOPPED and event.seq > last

    def _acknowledge_all(self) -> None:
        if self._acknowledge:  # a question says so of what was read before it
            self._connection.call(commands.ACKNOWLEDGE, self.cursor)


class Watch(EventStream):
    """Events after a cursor, for a loop that waits for other things, too: nothing in it waits but its making.

    Args:
        connection: an events connection; the watch owns it.
        cursor: the number of the last event that is not wanted.
        execution: as for `EventStream`.

    Attributes:
        has_ended: whether there is nothing more to come than what can be taken.
        error: why, if the kernel was not stopped.
    """

    def __init__(self, connection: HubConnection, cursor: int, *, execution: int | None = None) -> None:
        super().__init__(connection, cursor, execution=execution)
        # A stop up to here was one of an earlier life.
        self._last: int = connection.hello()["last"] if execution is None else 0
        self._answers: list[Future[Any]] = []
        self._is_asked = False
        self.has_ended = False
        self.error: Exception | None = None
        self.go_on()

    @property
    def last(self) -> int:
        """The number of the newest event that there was when the kernel was last greeted."""
        return self._connection.last

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to `read_ready`, which may change it."""
        return self._connection.fileno()

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """Read what has arrived.

        Args:
            waited_s: for how long the loop has waited for it in vain.

        Returns:
            Whether there is a connection.
        """
        return self._connection.read_ready(waited_s)

    def take(self) -> list[Event]:
        """What was read since the last time."""
        if not self._answers:
            return []
        answer = self._answers.pop()
        self._is_asked = False
        try:
            self.cursor, events = _read(answer.result())
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._end(error)
            return []
        self.has_ended = any(self._is_end(event, self._last) for event in events)
        return events

    def go_on(self) -> None:
        """Ask for what comes next. Best done when what came is dealt with: asking takes time others may wait for."""
        if self._is_asked or self.has_ended:
            return
        self._is_asked = True
        try:
            self._connection.start(*self._question(WAIT_S)).add_done_callback(self._answers.append)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told
            self._end(error)

    def close(self) -> None:
        """Stop."""
        self.has_ended = True
        self._connection.close()

    def _end(self, error: Exception) -> None:
        self.has_ended, self.error = True, self._connection.as_ours(error)
