"""Both ends of a connection in one process, stock RPyC's and ours in every pairing, and all of it closed at the end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rpyc
from rpyc.core.channel import Channel as StockChannel
from rpyc.core.stream import SocketStream

from rpyc_kernel.wire.keys import FindKey, Grant, Key
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG, Connection, connect_peer
from rpyc_kernel.wire.values.client import ValueClient
from rpyc_kernel.wire.values.server import serve_values


def of_owner(key: Key) -> FindKey:
    """The ring of a hub that has no other key than the kernel's own."""
    return {key.id: (key, Grant(key.id))}.get


DEADLINE_S = 30.0
"""How long a test waits for what should be there in milliseconds."""


def socket_pair(kind: str = "unix") -> tuple[socket.socket, socket.socket]:
    """Two connected stream sockets, by a unix socket or by TCP on the loopback interface."""
    if kind == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return client, server


class Serving:
    """A thread that serves one end; `error` is what ended it, None while it runs and after a clean end."""

    def __init__(self, serve: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._serve = serve
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            self.error = error

    @property
    def ident(self) -> int:
        assert self._thread.ident is not None
        return self._thread.ident

    @property
    def native_id(self) -> int:
        assert self._thread.native_id is not None
        return self._thread.native_id

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the serving thread hangs"


def open_stock(sock: socket.socket, service: Any = rpyc.VoidService, config: Mapping[str, Any] | None = None) -> Any:
    """A stock connection on this socket; nobody serves it but those who wait on it."""
    return service._connect(StockChannel(SocketStream(sock)), dict(config or {}))


def drop_stock(connection: Any) -> None:
    """End a stock connection, whatever state it is in, without waiting for its peer."""
    with contextlib.suppress(Exception):
        connection._channel.close()
    with contextlib.suppress(Exception):
        connection.close()


@contextlib.contextmanager
def stock_server(
    service: Any = rpyc.SlaveService, config: Mapping[str, Any] | None = None, *, kind: str = "unix"
) -> Iterator[tuple[socket.socket, Serving]]:
    """A stock server on one end; yields the other end's socket, and the serving."""
    near, far = socket_pair(kind)
    connection = open_stock(far, service, config)
    serving = Serving(connection.serve_all)
    try:
        yield near, serving
    finally:
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        near.close()
        serving.join()
        drop_stock(connection)
        far.close()


@contextlib.contextmanager
def stock_client(
    sock: socket.socket, service: Any = rpyc.VoidService, config: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """A stock client on this socket, with a request timeout that keeps a test from hanging."""
    connection = open_stock(sock, service, {"sync_request_timeout": DEADLINE_S, **(config or {})})
    try:
        yield connection
    finally:
        drop_stock(connection)


@contextlib.contextmanager
def our_client(
    sock: socket.socket,
    service: Any = rpyc.VoidService,
    config: Mapping[str, Any] = CLIENT_CONFIG,
    timeout_s: float | None = DEADLINE_S,
    **options: Any,
) -> Iterator[Connection]:
    """Our connection on this socket."""
    connection = connect_peer(sock, service, name="client", config=config, request_timeout_s=timeout_s, **options)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def value_client(sock: socket.socket, **options: Any) -> Iterator[ValueClient]:
    """A client for calls by value on this socket."""
    client = ValueClient(sock, **options)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def our_server(
    service: Any = rpyc.SlaveService,
    config: Mapping[str, Any] = WORKER_CONFIG,
    *,
    kind: str = "unix",
    timeout_s: float | None = DEADLINE_S,
) -> Iterator[tuple[socket.socket, Connection]]:
    """Our connection on one end; yields the other end's socket, and the connection."""
    near, far = socket_pair(kind)
    connection = connect_peer(far, service, name="server", config=config, request_timeout_s=timeout_s)
    try:
        yield near, connection
    finally:
        connection.close()
        near.close()


@contextlib.contextmanager
def value_server(service: Any, *, kind: str = "unix", **options: Any) -> Iterator[tuple[socket.socket, Serving]]:
    """`serve_values` on one end; yields the other end's socket, and the serving."""
    near, far = socket_pair(kind)
    serving = Serving(lambda: serve_values(far, service, name="values", **options))
    try:
        yield near, serving
    finally:
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        near.close()
        serving.join()


@contextlib.contextmanager
def our_pair(
    server: Any = rpyc.SlaveService,
    client: Any = rpyc.VoidService,
    *,
    kind: str = "unix",
    server_config: Mapping[str, Any] = WORKER_CONFIG,
    client_config: Mapping[str, Any] = CLIENT_CONFIG,
    timeout_s: float | None = DEADLINE_S,
) -> Iterator[tuple[Connection, Connection]]:
    """Our client and our server, connected."""
    with (
        our_server(server, server_config, kind=kind) as (sock, far),
        our_client(sock, client, client_config, timeout_s) as near,
    ):
        yield near, far


@contextlib.contextmanager
def stock_pair(
    server: Any = rpyc.SlaveService, client: Any = rpyc.VoidService, *, kind: str = "unix", **options: Any
) -> Iterator[tuple[Any, Serving]]:
    """A stock client and the thread in which a stock server serves it."""
    with stock_server(server, kind=kind) as (sock, serving), stock_client(sock, client, options) as near:
        yield near, serving
