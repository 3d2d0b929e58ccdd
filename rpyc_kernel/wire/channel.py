"""How one RPyC frame travels over one socket, in RPyC's own framing.

A frame is a big-endian length, a compression flag, the data and a line feed. Both directions are capped: a frame nobody
should send is refused before its first byte leaves, and a frame nobody should receive ends the connection before memory
is set aside for it. For all others memory is taken as their bytes arrive, whatever length was announced, and within a
budget where several connections of one peer share one.

Sending belongs to one thread at a time and receiving to one thread at a time; ``close`` belongs to everybody.
"""

from __future__ import annotations

import contextlib
import ssl
import zlib
from collections.abc import Callable
from typing import Final

from rpyc.core import channel as rpyc_channel
from rpyc.core.stream import SocketStream

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.system.originals import select, socket, threading
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.budget import Budget
from rpyc_kernel.wire.sockets import prepare_socket
from rpyc_kernel.wire.tls_socket import TlsSocket

DEFAULT_MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

_HEADER: Final = rpyc_channel.Channel.FRAME_HEADER
_HEADER_BYTES: Final[int] = _HEADER.size
_FLUSHER: Final[bytes] = rpyc_channel.Channel.FLUSHER
_READ_AHEAD_BYTES: Final = 64 * 1024
_JOINED_BYTES: Final = 64 * 1024
_GROWTH: Final = memoryview(bytes(1024 * 1024))
_MAX_INFLATION: Final = 1032  # what deflate makes of a byte at most
_DONT_WAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)  # where there is none, only threads that may wait send
_AT_ONCE: Final = (_DONT_WAIT | QUIETLY,)


class FrameTooLarge(RequestError, ValueError):
    """A message is larger than the channel allows."""


class Channel(rpyc_channel.Channel):
    """A drop-in for RPyC's channel that never stalls, never re-slices and never trusts a length.

    Args:
        sock: A connected stream socket; the channel owns it from here on.
        max_frame_bytes: The most one frame's data may occupy, before and after decompression.
        compress: Whether to deflate large frames when sending. Deflated frames are always understood.
        budget: What large frames that come in are charged to, each until the next one is received.

    Attributes:
        received_bytes: How much has come in.
        sends_atomically: Whether ``transmit`` sends and notes how much by one call into C, so that no interrupt comes
            in between.
    """

    __slots__ = (
        "_budget",
        "_buffer",
        "_end",
        "_is_closing",
        "_is_receiving",
        "_sending",
        "_sock",
        "_start",
        "_view",
        "_waiting",
        "max_frame_bytes",
        "received_bytes",
        "sends_atomically",
    )

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
        compress: bool = False,
        budget: Budget | None = None,
    ) -> None:
        prepare_socket(sock)
        super().__init__(SocketStream(sock), compress)
        self.max_frame_bytes = max_frame_bytes
        self._budget = budget
        self.received_bytes = 0
        self._sock: socket.socket | TlsSocket = TlsSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock
        self.sends_atomically = bool(_DONT_WAIT) and self._sock is sock
        self._buffer = bytearray(_READ_AHEAD_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._is_closing = self._is_receiving = False
        self._sending = threading.Lock()
        self._waiting = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called."""
        return self._is_closing

    @property
    def has_more(self) -> bool:
        """Whether part of another frame has been read ahead."""
        return self._end > self._start

    def poll(self, timeout: object) -> bool:
        """Whether something can be read within the timeout, bytes read ahead included."""
        return self.has_more or bool(self.stream.poll(timeout))

    def close(self) -> None:
        """Cut the connection and free the socket; a thread blocked on it gets ``ConnectionLost``.

        The descriptor is released by the last thread to leave ``recv`` or ``send``, so that its number cannot be reused
        under them.
        """
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._release()
        if self._budget is not None:
            self._budget.give_back(id(self))

    def abandon(self) -> None:
        """Free this process's descriptor and leave the connection as it is; for a forked child."""
        self._is_closing = True
        self._sock.close()

    def recv(self) -> bytes | bytearray:
        """Wait for the next frame and return its data.

        Raises:
            ConnectionLost: The connection ended first, or the peer says why it does not serve.
            FrameTooLarge: The peer announced, or packed, more than ``max_frame_bytes``.
        """
        self._is_receiving = True
        if self._budget is not None:
            self._budget.give_back(id(self))
        try:
            if self._is_closing:
                raise ConnectionLost("closed here")
            header = self._read(_HEADER_BYTES)
            length, is_compressed = _HEADER.unpack(header)
            if length > self.max_frame_bytes:
                if header == refusal.MARK:
                    raise ConnectionLost(refusal.read_reason(self._read))
                raise FrameTooLarge(
                    f"the peer announced a frame of {length} bytes; the limit is {self.max_frame_bytes}"
                )
            size = min(length * _MAX_INFLATION, self.max_frame_bytes) if is_compressed else length
            if self._budget is not None and size > _READ_AHEAD_BYTES:
                self._budget.take(id(self), size, lambda: self._is_closing)
            data = self._read(length + len(_FLUSHER), drop=len(_FLUSHER))
        finally:
            self._is_receiving = False
            if self._is_closing:
                self._release()
                if self._budget is not None:
                    self._budget.give_back(id(self))
        return self._decompress(data) if is_compressed else data

    def send(self, data: bytes) -> None:
        """Send one frame, waiting for as long as the peer takes.

        Raises:
            FrameTooLarge: The data exceeds ``max_frame_bytes``; nothing was sent.
            ConnectionLost: The connection ended.
        """
        for part in self.pack(data):
            self._guard(self._sending, self._sock.sendall, part, QUIETLY)

    def transmit(self, data: bytes | memoryview, sent: list[int]) -> None:
        """Send as many framed bytes as the socket takes at once, and append to ``sent`` how many, if any."""
        self._guard(self._sending, sent.extend, map(self._sock.send, (data,), _AT_ONCE))

    def wait_writable(self, timeout_s: float | None = None) -> None:
        """Wait until the socket may take some bytes, or the connection ends, or the time is over."""
        self._guard(self._waiting, self._wait_writable, None if timeout_s is None else timeout_s * 1000)

    def pack(self, data: bytes) -> list[bytes]:
        """The bytes that carry this data, in one part or, to save copying, several; raises like ``send``."""
        self.check_size(data)
        is_compressed = bool(self.compress) and len(data) > self.COMPRESSION_THRESHOLD
        if is_compressed:
            data = zlib.compress(data, self.COMPRESSION_LEVEL)
        header = _HEADER.pack(len(data), is_compressed)
        return [header, data, _FLUSHER] if len(data) > _JOINED_BYTES else [b"".join((header, data, _FLUSHER))]

    def check_size(self, data: bytes) -> None:
        """Raise ``FrameTooLarge`` where ``send`` would."""
        if len(data) > self.max_frame_bytes:
            raise FrameTooLarge(
                f"a message of {len(data)} bytes exceeds the limit of {self.max_frame_bytes}; "
                "send it in parts, or by the bulk channel"
            )

    def _guard(self, lock: threading.Lock, operation: Callable[..., object], *args: object) -> None:
        """Do something with the sending half under a lock that keeps its descriptor from being released."""
        try:
            with lock:
                if self._is_closing:  # asked under the lock: who closes looks at the lock after saying so
                    raise ConnectionLost("closed here")
                operation(*args)
        except BlockingIOError:
            pass
        except OSError as error:
            raise ConnectionLost(f"sending failed: {error}") from error
        finally:
            if self._is_closing:
                self._release()

    def _wait_writable(self, timeout_ms: float | None) -> None:
        if isinstance(self._sock, TlsSocket):
            self._sock.wait_writable(timeout_ms)
        elif not self._is_closing:
            waiting = select.poll()
            waiting.register(self._sock, select.POLLOUT)
            waiting.poll(timeout_ms)

    def _read(self, count: int, drop: int = 0) -> bytes | bytearray:
        """Exactly ``count`` bytes, without the last ``drop``."""
        if count > _READ_AHEAD_BYTES:
            return self._read_large(count, drop)
        if self._start + count > _READ_AHEAD_BYTES:
            kept = self._end - self._start
            self._view[:kept] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, kept
        while self._end - self._start < count:
            self._end += self._receive_into(self._view[self._end :])
        first, self._start = self._start, self._start + count
        data = bytes(self._view[first : self._start - drop])
        if self._start == self._end:
            self._start = self._end = 0
        return data

    def _read_large(self, count: int, drop: int) -> bytearray:
        data = bytearray(self._view[self._start : self._end])
        filled = len(data)
        self._start = self._end = 0
        while filled < count:
            if filled == len(data):
                # As much again as has come, at most: who announces much and sends little takes little.
                data += _GROWTH[: min(count - filled, max(filled, _READ_AHEAD_BYTES), len(_GROWTH))]
            with memoryview(data) as view:
                filled += self._receive_into(view[filled:])
        del data[count - drop :]
        return data

    def _receive_into(self, view: memoryview) -> int:
        try:
            received = self._sock.recv_into(view)
        except OSError as error:
            raise ConnectionLost(f"receiving failed: {error}") from error
        if not received:
            raise ConnectionLost("closed here" if self._is_closing else "closed by the peer")
        self.received_bytes += received
        return received

    def _decompress(self, data: bytes | bytearray) -> bytes:
        inflater = zlib.decompressobj()
        try:
            inflated = inflater.decompress(data, self.max_frame_bytes + 1)
        except zlib.error as error:
            raise ConnectionLost(f"the peer sent a frame that does not inflate: {error}") from error
        if len(inflated) > self.max_frame_bytes:
            raise FrameTooLarge(f"the peer sent a frame that inflates beyond the limit of {self.max_frame_bytes} bytes")
        if not inflater.eof:
            raise ConnectionLost("the peer sent a frame whose compressed data is cut short")
        return inflated

    def _release(self) -> None:
        if not (self._is_receiving or self._sending.locked() or self._waiting.locked()):
            self._sock.close()
