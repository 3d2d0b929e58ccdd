"""Messages between hub and worker: one JSON value per frame on a unix socket, with descriptors alongside where needed.

JSON, because the worker runs anybody's code and the hub must never unpickle what comes from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

from rpyc_kernel.system.descriptors import receive_with_descriptors, send_with_descriptors
from rpyc_kernel.system.originals import json, socket
from rpyc_kernel.system.sending import QUIETLY

_LENGTH = Struct("!I")
_MAX_FRAME_BYTES = 256 * 1024 * 1024
_MAX_DESCRIPTORS = 8
_encode = json.JSONEncoder(separators=(",", ":")).encode


def send(sock: socket.socket, message: Any, descriptors: Iterable[int] = ()) -> None:
    """Send one message, and with its first byte the descriptors.

    Raises:
        OSError: the other side is gone.
    """
    send_encoded(sock, encode(message), descriptors)


def encode(message: Any) -> bytes:
    """Return the frame of a message.

    Raises:
        TypeError, ValueError: JSON has no such value.
    """
    body = _encode(message).encode("ascii")
    return _LENGTH.pack(len(body)) + body


def send_encoded(sock: socket.socket, data: bytes, descriptors: Iterable[int] = ()) -> None:
    """Send a frame as `send` does."""
    descriptors = list(descriptors)
    if descriptors:
        data = data[send_with_descriptors(sock, data, descriptors) :]
    sock.sendall(data, QUIETLY)


class FrameReader:
    """Puts the bytes of one socket together to messages; works on blocking and non-blocking sockets."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.descriptors: list[int] = []

    def receive(self) -> Any:
        """Wait for the next message of a blocking socket.

        Raises:
            EOFError: the other side is gone, or sends what is no message.
        """
        while True:
            message = self._take()
            if message is not None:
                return message[0]
            self._fill()

    def receive_available(self) -> list[Any]:
        """Return the messages that are there on a non-blocking socket, perhaps none.

        Raises:
            EOFError: the other side is gone and everything it sent was returned before.
        """
        gone: EOFError | None = None
        try:
            while True:
                self._fill()
        except BlockingIOError:
            pass
        except EOFError as error:
            gone = error
        messages = []
        while (message := self._take()) is not None:
            messages.append(message[0])
        if gone and not messages:
            raise gone
        return messages

    def _fill(self) -> None:
        try:
            data, received, _ = receive_with_descriptors(self._sock, 65536, _MAX_DESCRIPTORS)
        except BlockingIOError:
            raise
        except OSError as error:
            raise EOFError(str(error)) from error
        self.descriptors += received
        if not data:
            raise EOFError("the other side closed the socket")
        self._buffer += data

    def _take(self) -> tuple[Any] | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > _MAX_FRAME_BYTES:
            raise EOFError(f"a frame of {length} bytes is over the limit of {_MAX_FRAME_BYTES}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        try:
            message = json.loads(bytes(self._buffer[_LENGTH.size : end]))
        except (ValueError, RecursionError) as error:
            raise EOFError(f"a frame cannot be read: {error}") from None
        del self._buffer[:end]  # only now: whatever else was raised, it can be tried again
        return (message,)
