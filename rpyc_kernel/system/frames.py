"""Messages between hub and worker: one JSON value per frame on a unix socket, with descriptors alongside where needed.

JSON, because the worker runs anybody's code and the hub must never unpickle what comes from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

from rpyc_kernel.core.json_text import make_decoder, make_encoder
from rpyc_kernel.system.descriptors import receive_with_descriptors, send_with_descriptors
from rpyc_kernel.system.originals import json, socket
from rpyc_kernel.system.sending import QUIETLY

_LENGTH = Struct("!I")
_MAX_FRAME_BYTES = 256 * 1024 * 1024
_MAX_DESCRIPTORS = 8
_READ_BYTES = 65536
_encode = make_encoder(json)
_decode = make_decoder(json)


def send(sock: socket.socket, message: Any, descriptors: Iterable[int] = ()) -> None:
    """Send one message, and with its first byte the descriptors; raises `OSError` where the other side is gone."""
    send_encoded(sock, encode(message), descriptors)


def encode(message: Any) -> bytes:
    """Return the frame of a message; raises `TypeError` or `ValueError` where JSON has no such value."""
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

    def receive(self) -> Any:
        """Wait for the next message of a blocking socket; EOFError where the other side is gone, or sends none."""
        while (message := self._take()) is None:
            self._fill()
        return message[0]

    def receive_available(self) -> list[Any]:
        """Return the messages that came on a non-blocking socket, perhaps none; perhaps there are more at once.

        Raises:
            EOFError: the other side is gone and everything it sent was returned before.
        """
        self._fill()
        messages: list[Any] = []
        while self._buffer and (message := self._take()) is not None:
            messages += message
        return messages

    def _fill(self) -> None:
        try:
            data = self._read()
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError("the other side closed the socket")
        self._buffer += data

    def _read(self) -> bytes:
        return self._sock.recv(_READ_BYTES)

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
            message = _decode(self._buffer[_LENGTH.size : end].decode())
        except (ValueError, RecursionError) as error:
            raise EOFError(f"a frame cannot be read: {error}") from None
        del self._buffer[:end]  # only now: whatever else was raised, it can be tried again
        return (message,)


class DescriptorReader(FrameReader):
    """The same where descriptors come with messages.

    Attributes:
        descriptors: those that have come, for who reads the message that tells of them.
        are_expected: whether there may be more; else none are taken, which is sooner done.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.descriptors: list[int] = []
        self.are_expected = True

    def _read(self) -> bytes:
        if not self.are_expected:
            return super()._read()
        data, received, _ = receive_with_descriptors(self._sock, _READ_BYTES, _MAX_DESCRIPTORS)
        self.descriptors += received
        return data
