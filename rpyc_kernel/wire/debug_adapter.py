"""Messages of the Debug Adapter Protocol on a socket: a header with the length, then a JSON object.

One thread may read while others write.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any, Final

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.system.originals import json, socket, threading
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.sockets import prepare_socket

_LENGTH: Final = b"content-length:"
_MAX_HEADER_BYTES: Final = 4096
_MAX_BYTES: Final = 256 * 1024 * 1024

Message = dict[str, Any]


class DebugChannel:
    """One end of a conversation with a debugger.

    Args:
        sock: connected, and from now on this object's.
    """

    def __init__(self, sock: socket.socket) -> None:
        prepare_socket(sock)
        self._sock = sock
        self._reading = sock.makefile("rb")
        self._send_lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            ConnectionLost: the other end is gone.
        """
        body = json.dumps(message).encode()
        try:
            with self._send_lock:
                self._sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body), QUIETLY)
        except OSError as error:
            raise ConnectionLost(f"the debugger is gone: {error}") from None

    def receive(self) -> Message:
        """Wait for the next message.

        Raises:
            ConnectionLost: there will be none, or what comes is no message.
        """
        try:
            length = self._read_header()
            body = self._reading.read(length)
            message = json.loads(body) if body and len(body) == length else None
        except (OSError, ValueError, RecursionError) as error:
            raise ConnectionLost(f"the debugger is gone: {error}") from None
        if not isinstance(message, dict):
            raise ConnectionLost("the debugger is gone")
        return message

    def _read_header(self) -> int:
        """Read up to the empty line; returns the length of what follows in bytes, 0 at the end of the stream."""
        length = 0
        while line := self._reading.readline(_MAX_HEADER_BYTES):
            if line.startswith(refusal.MARK):
                rest = io.BytesIO(line[len(refusal.MARK) :] + self._reading.read())
                raise ConnectionLost(refusal.read_reason(rest.read))
            if line == b"\r\n":
                if not 0 < length <= _MAX_BYTES:
                    raise ValueError("a message has no length, or is too long")
                return length
            if line.lower().startswith(_LENGTH):
                length = int(line[len(_LENGTH) :])
        return 0

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait for the first word of a worker's debugger.

        Raises:
            RequestError: it cannot be had.
            ConnectionLost: the worker is gone, or too slow.
        """
        self.set_timeout(timeout_s)
        greeting = self.receive()
        if not greeting.get("ready"):
            raise RequestError(str(greeting.get("message")))
        self.set_timeout(None)

    def set_timeout(self, timeout_s: float | None) -> None:
        """Limit how long each step may take; None waits as long as it takes."""
        self._sock.settimeout(timeout_s)

    def hang_up(self) -> None:
        """Have both ends notice that this is over, from any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; from the thread that reads."""
        self.hang_up()
        self._reading.close()
        self._sock.close()
