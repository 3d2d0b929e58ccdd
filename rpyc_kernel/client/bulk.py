"""Copies of large values, to and from the kernel's namespace."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rpyc_kernel.core import kinds
from rpyc_kernel.errors import ConnectionFailed, ConnectionLost, ExecutionError, RequestError, from_name
from rpyc_kernel.wire import handshake

if TYPE_CHECKING:  # the codecs and their pickle, loaded with the first transfer
    from rpyc_kernel.client.chains import Chain
    from rpyc_kernel.wire.bulk.parts import Parcel
    from rpyc_kernel.wire.bulk.socket import BulkSocket, Message, Progress


_ADVICE = "nothing is half done: variables are set all at once, or not at all. Repeat it"


class Bulk:
    """Bulk connections of one client: as many as there are transfers at once, kept for the next ones.

    A transfer has its connection for itself, in the caller's thread. Where one is broken off, by Ctrl-C as by an error,
    its connection goes with it, and the next transfer makes another.

    The hub's process has opened the door on its machine. To connect, a transfer's own limit holds if it is shorter.
    Where the connection to the hub has been made again, those of transfers are made anew, too: what broke the one has
    most likely broken the others, though nothing came to say so. A fork of its process can only close them.
    """

    def __init__(
        self,
        enter: Callable[[int, float], socket.socket],
        hub_pid: Callable[[], int],
        timeout_s: float,
        returns: Callable[[], int],
    ) -> None:
        self._enter = enter
        self._hub_pid = hub_pid
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._returns = returns
        self._seen_returns = returns()
        self._idle: list[BulkSocket] = []
        self._busy: set[BulkSocket] = set()
        self._is_closed = False
        self._pid = os.getpid()

    def push(self, values: dict[Any, Any], timeout_s: float | None, progress: Progress | None) -> None:
        """Set variables."""
        from rpyc_kernel.wire.bulk.codec import pack_named

        check_names(values)
        self.push_packed(pack_named(values), timeout_s, progress)

    def push_packed(self, parcel: Parcel, timeout_s: float | None, progress: Progress | None = None) -> None:
        """Set variables, which are packed as `pack_named` does."""
        with self._connection(timeout_s) as connection:
            answer = _ask(connection, {"do": "push"}, parcel, progress)
        _raise_error(answer)

    @contextlib.contextmanager
    def staged(
        self, parcel: Parcel, source: str | None, timeout_s: float | None, *, is_map: bool = False
    ) -> Iterator[str]:
        """Have a call kept for the queue, under this token; for as long as it is handed in, or for good after that.

        Where it is not, the worker forgets it: as the connection is closed then, by whoever or whatever fails.

        The parcel has the function, its arguments and its keywords, pickled; or its name, if there is a ``source``.
        If it ``is_map``, the arguments are sequences, and it is called with each of their items.
        """
        is_handed_in = False
        try:
            with self._connection(timeout_s) as connection:
                answer = _ask(connection, {"do": "stage", "source": source, "is_map": is_map}, parcel)
                if answer.head.get("done") is True:
                    token = str(answer.head.get("call"))
                    yield token
                    is_handed_in = True
                    answer = _ask(connection, {"do": "keep", "call": token})
        except ConnectionFailed:
            if not is_handed_in:
                raise
            return  # what has become of it, its execution tells
        _raise_error(answer)

    def pull(
        self,
        wanted: str | int | Chain,
        timeout_s: float | None,
        progress: Progress | None,
        *,
        allow_pickle: bool,
        max_bytes: int | None,
        call: str | None = None,
    ) -> Any:
        """Evaluate an expression or a chain, and return a copy of its value; or of that of an execution of this number.

        A chain with references in it cannot travel by this channel: it has been staged in the worker, as this ``call``.
        """
        from rpyc_kernel.wire.bulk.codec import pack

        chain = None if isinstance(wanted, (str, int)) else wanted
        steps = None if chain is None or call is not None else pack(chain.compile()[0], allow_pickle=True)
        with self._connection(timeout_s) as connection:
            request = {
                "do": "pull",
                "pid": os.getpid(),
                "expression": wanted if isinstance(wanted, str) else None,
                "execution": wanted if isinstance(wanted, int) else None,
                "call": call,
                "allow_pickle": allow_pickle,
                "max_bytes": max_bytes,
            }
            connection.send(connection.encode(request, steps))
            answer = connection.receive(progress, max_bytes=max_bytes)
        _raise_error(answer, chain)
        return answer.open(allow_pickle=allow_pickle)

    def close(self) -> None:
        """Close all connections; transfers that go on fail."""
        with self._lock:
            self._is_closed = True
            connections = [*self._idle, *self._busy]
            self._idle.clear()
        for connection in connections:
            connection.close()

    @contextlib.contextmanager
    def _connection(self, timeout_s: float | None) -> Iterator[BulkSocket]:
        connection = self._take(self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s))
        try:
            connection.set_timeout(timeout_s)
            yield connection
        except BaseException as error:
            with self._lock:
                self._busy.discard(connection)
                is_closed = self._is_closed
            connection.close()
            if isinstance(error, ConnectionLost) and not is_closed:
                raise ConnectionLost(f"{error}; {_ADVICE}") from None
            raise
        with self._lock:
            self._busy.discard(connection)
            if not self._is_closed:
                self._idle.append(connection)

    def _take(self, timeout_s: float) -> BulkSocket:
        from rpyc_kernel.wire.bulk.socket import BulkSocket

        with self._lock:
            self._require_open()
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_stale and self._returns() == self._seen_returns:  # its worker may be another
                    self._busy.add(connection)
                    return connection
                connection.close()
            self._seen_returns = self._returns()
        connection = BulkSocket(self._enter(handshake.BULK, timeout_s))
        try:
            connection.meet(self._hub_pid())
            with self._lock:
                self._require_open()  # as it was before the handshake
                self._busy.add(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_open(self) -> None:
        if self._is_closed:
            raise ConnectionLost("this client is closed")
        if os.getpid() != self._pid:  # two that send and receive on one socket would get each other's pieces
            raise ConnectionLost(f"this client belongs to process {self._pid}, not to this fork of it")


def check_names(values: Iterable[Any]) -> None:
    """Raise RequestError where one of these cannot name a variable."""
    for name in values:
        kinds.NAME.take(name, "the name of a variable")


def _ask(
    connection: BulkSocket, request: dict[str, Any], parcel: Parcel | None = None, progress: Progress | None = None
) -> Message:
    head = {**request, "pid": os.getpid(), "python": sys.version_info[:2]}
    connection.send(connection.encode(head, parcel), progress)
    return connection.receive()


def _raise_error(answer: Message, chain: Chain | None = None) -> None:
    head = answer.head
    if head.get("done") is True:
        return
    if head.get("class"):
        raise from_name(str(head["class"]), str(head.get("message")))
    raised = head.get("raised")
    if not isinstance(raised, dict):
        raise RequestError("the kernel's answer is none")
    error = ExecutionError(str(raised.get("ename")), str(raised.get("evalue")), str(raised.get("traceback")))
    error.__notes__ = [str(note) for note in raised.get("notes") or ()]
    raise error if chain is None else chain.explain(head.get("place"), error)
