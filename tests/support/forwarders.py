"""A way to a server that can be blocked: connections stay open, and nothing comes through any more."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Forwarder:
    """Forwards connections to a TCP port until it is blocked; as a tunnel that is stuck, it goes on accepting.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_blocked = threading.Event()
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def block(self) -> None:
        """Let nothing through any more, in either direction."""
        self._is_blocked.set()

    def close(self) -> None:
        """End all connections."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _start(self, target, *args) -> None:  # type: ignore[no-untyped-def]
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                if self._is_blocked.is_set():
                    continue
                far = socket.create_connection(self._target)
                self._sockets.append(far)
                self._start(self._pump, near, far)
                self._start(self._pump, far, near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._is_blocked.is_set():
                    target.sendall(data)
        if not self._is_blocked.is_set():
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def forwarding(port: int) -> Iterator[Forwarder]:
    """A forwarder to this port, closed at the end."""
    forwarder = Forwarder(port)
    try:
        yield forwarder
    finally:
        forwarder.close()
