"""A TLS connection that one thread may read while another writes.

OpenSSL allows one thread at a time in a connection, and a blocking read would keep the writer out for as long as the
peer is silent. So the socket is set not to block, each step into OpenSSL is made under a lock, and waiting happens
outside it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from rpyc_kernel.system.originals import select, socket, threading

_MOST_AT_ONCE = 256 * 1024  # OpenSSL copies what it encrypts, and the reader waits meanwhile


class TlsSocket:
    """The part of a socket's interface that a channel needs, on top of a connected ``SSLSocket``."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()
        self._is_shut = False
        self._wanted = select.POLLOUT  # by the last write that could not be made

    def recv_into(self, view: memoryview) -> int:
        """Wait for data; return how much came, 0 at the end."""
        try:
            return self._step(lambda: self._sock.recv_into(view), may_wait=True)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Send everything, waiting for as long as the peer takes, whatever the flags."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                part = view[sent : sent + _MOST_AT_ONCE]
                sent += self._step(lambda part=part: self._sock.send(part), may_wait=True)  # type: ignore[misc]

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send what is taken at once, whatever the flags; raises ``BlockingIOError`` where that is nothing."""
        with memoryview(data) as view:
            return self._step(lambda: self._sock.send(view[:_MOST_AT_ONCE]), may_wait=False)

    def wait_writable(self, timeout_ms: float | None = None) -> None:
        """Wait until another ``send`` is worth trying, or the time is over."""
        if not self._is_shut:
            self._wait(self._wanted, timeout_ms)

    def shutdown(self, how: int) -> None:
        """Cut the connection below TLS, which wakes whoever waits for it."""
        self._is_shut = True
        socket.socket.shutdown(self._sock, how)

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Free the descriptor."""
        self._sock.close()

    def _step(self, step: Callable[[], int], *, may_wait: bool) -> int:
        while True:
            try:
                with self._lock:
                    return step()
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            if self._is_shut:
                raise ConnectionAbortedError("the connection was closed here")
            if not may_wait:
                self._wanted = event
                raise BlockingIOError("the peer takes nothing at the moment")
            self._wait(event)

    def _wait(self, event: int, timeout_ms: float | None = None) -> None:
        waiting = select.poll()
        waiting.register(self._sock.fileno(), event)
        waiting.poll(timeout_ms)
