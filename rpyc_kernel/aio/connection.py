"""Calls to the hub by tasks of one event loop: any number at once, over one connection, without a thread for them.

A task that waits for an answer also reads, unless another one does: then it waits for its bell. Who has its answer, or
is cancelled, has the next one read. So a connection of which nobody wants to know anything takes no task, and there is
none that had to be started, watched and ended.

    task that calls ──► sends, reads until its own answer is there (answers of others ring their bells), leaves
    tasks that call ──► send, wait for their bell: their answer is there, or it is theirs to read

What the connection to the hub does by itself, it does here as well: it is made again, and questions are asked again.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from rpyc_kernel.aio.loop import Loop
from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.hub_connection import HubConnection, KeptCall
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.errors import ConnectionLost

_T = TypeVar("_T")
_LOOK_UP_S = 1.0
_SENT_AT_ONCE_CHARS = 32 * 1024
"""A socket that takes anything takes as much, in up to four bytes each."""
_WORKER_TURNS = 32
"""How many questions of a client wait for the worker at once; a hub refuses those of all its clients beyond 64."""


class _Waiting:
    """A task that waits.

    Attributes:
        bell: rung when it is time to look; only while another task reads.
    """

    __slots__ = ("bell",)

    def __init__(self) -> None:
        self.bell: anyio.Event | None = None


class LoopConnection:
    """Asks by a connection to the hub, for the tasks of a loop.

    Args:
        connection: what is asked by; other threads may go on to use it.
        loop: whose tasks ask.
        timeout_s: how long an answer may take.
    """

    def __init__(self, connection: HubConnection, loop: Loop, timeout_s: float) -> None:
        self._connection = connection
        self._loop = loop
        self._timeout_s = timeout_s
        self._turns = anyio.Semaphore(_WORKER_TURNS)
        self._reader: _Waiting | None = None
        self._reading: anyio.CancelScope | None = None  # while nothing has come
        self._queue: dict[_Waiting, None] = {}  # who waits for a bell, in order

    @property
    def loss(self) -> str:
        """Why there is no connection now, "" if nobody has noticed that; does not look."""
        return self._connection.loss

    @property
    def hub_pid(self) -> int:
        """The hub's process, when last greeted."""
        return self._connection.hub_pid

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, or gone for good; looks."""
        return self._connection.is_closed

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; looks."""
        return self._connection.is_connected

    async def hello(self) -> dict[str, Any]:
        """Ask the hub who this client is and where it left off."""
        return await self.call(commands.HELLO)

    async def call(
        self,
        command: Command[_T],
        *arguments: Any,
        read: Callable[[Any], _T] | None = None,
        timeout_s: float | None = None,
        within_s: float | None = None,
    ) -> _T:
        """Give the hub a command, wait for its answer, and return what is made of it: see `HubConnection.call`.

        Who is cancelled meanwhile leaves the connection as it was; what the hub was asked to do it does.
        """
        self._loop.require_here()
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = anyio.current_time() + (limit_s if within_s is None else within_s)
        read = read or reader_of(command)
        if not command.by_worker:
            return await self._ask(command, arguments, read, limit_s, deadline)
        end = anyio.current_time() + limit_s
        await self._take_turn(command, limit_s)
        try:
            return await self._ask(command, arguments, read, max(0.0, end - anyio.current_time()), deadline)
        finally:
            self._turns.release()

    async def _take_turn(self, command: Command[Any], limit_s: float) -> None:
        has_turn = False
        with anyio.move_on_after(limit_s):
            await self._turns.acquire()
            has_turn = True
        if not has_turn:
            raise self._connection.too_late(command, limit_s)

    async def _ask(
        self,
        command: Command[Any],
        arguments: tuple[Any, ...],
        read: Callable[[Any], _T],
        limit_s: float,
        deadline: float,
    ) -> _T:
        if not command.is_repeatable and not self._connection.is_connected:
            await self.call(commands.HELLO, timeout_s=limit_s, within_s=deadline - anyio.current_time())
        call = await self._start(command, arguments, limit_s)
        try:
            await self._wait_for(call, limit_s, deadline)
            return read(call.result(0))
        except ConnectionLost as error:
            raise (error if command.is_repeatable else self._connection.doubt(command, error)) from None
        except Exception as error:  # noqa: BLE001 - everything the wire can bring becomes ours
            raise self._connection.as_ours(error) from None
        finally:
            if not call.is_settled:
                call.cancel()
                call.ask_no_more()

    async def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait until the other side has ended the connection, or it is lost; whether it has."""
        self._loop.require_here()
        await self._stay(_Waiting(), lambda: bool(self._connection.loss), timeout_s)
        return bool(self._connection.loss)

    # ------------------------------------------------------------------ sending

    async def _start(self, command: Command[Any], arguments: tuple[Any, ...], limit_s: float) -> KeptCall:
        if self._takes_at_once(arguments):
            return self._connection.start(command, *arguments, timeout_s=limit_s)
        return await self._loop.in_thread(self._connection.start, command, *arguments, timeout_s=limit_s)

    def _takes_at_once(self, arguments: tuple[Any, ...]) -> bool:
        """Whether sending waits for nothing: the message is small, and the hub takes what it is sent."""
        connection = self._connection
        if connection.loss or (descriptor := connection.fileno()) < 0:
            return True  # it fails at once, or is asked when the connection is there again
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        return _count_chars(arguments) <= _SENT_AT_ONCE_CHARS and bool(ready.poll(0))

    # ------------------------------------------------------------------ waiting

    async def _wait_for(self, call: KeptCall, limit_s: float, deadline: float) -> None:
        waiting = _Waiting()
        call.add_done_callback(lambda _: self._hear(waiting))
        while True:
            returns = self._connection.returns
            left_s = deadline - anyio.current_time()
            await self._stay(waiting, lambda: call.is_settled, min(limit_s, left_s))
            if call.is_settled:
                return
            is_way_back = self._connection.loss or self._connection.returns != returns
            if not is_way_back or anyio.current_time() >= deadline:
                raise self._connection.too_late(call.command, limit_s)

    async def _stay(self, waiting: _Waiting, is_over: Callable[[], bool], limit_s: float) -> None:
        """Read until something is so, or have another task read."""
        try:
            with anyio.move_on_after(limit_s):
                while not is_over():
                    if self._reader in (None, waiting):
                        self._reader = waiting
                        await self._read()
                    else:
                        await self._listen(waiting)
        finally:
            if self._reader is waiting:
                self._reader = None
            if self._reader is None:
                self._ring_next()

    async def _listen(self, waiting: _Waiting) -> None:
        waiting.bell = anyio.Event()
        self._queue[waiting] = None
        try:
            await waiting.bell.wait()
        finally:
            self._queue.pop(waiting, None)
            waiting.bell = None

    async def _read(self) -> None:
        """Wait until something comes, and have it delivered."""
        connection = self._connection
        waited_s = min(_LOOK_UP_S, connection.beat_s)
        with anyio.move_on_after(waited_s) as self._reading:
            try:
                await anyio.wait_readable(connection.fileno())  # another one when the connection was made again
                waited_s = 0.0
            except (OSError, ValueError):  # it was closed just now
                await anyio.sleep(0)
                waited_s = 0.0
        self._reading = None
        connection.read_ready(waited_s)
        if connection.loss:
            for each in tuple(self._queue):
                self._wake(each)

    # ------------------------------------------------------------------ waking

    def _hear(self, waiting: _Waiting) -> None:
        """An answer has come; on whatever thread has read it."""
        if threading.get_ident() == self._loop.thread:
            self._wake(waiting)
        else:
            self._loop.soon(self._wake, waiting)

    def _wake(self, waiting: _Waiting) -> None:
        if waiting.bell is not None:
            waiting.bell.set()
        elif waiting is self._reader and self._reading is not None:
            self._reading.cancel()

    def _ring_next(self) -> None:
        for waiting in self._queue:
            self._wake(waiting)
            break


def _count_chars(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    return sum(map(_count_chars, value)) if isinstance(value, tuple) else 0
