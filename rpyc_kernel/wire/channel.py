"""How one RPyC frame travels over one socket, in RPyC's own framing.

A frame is a big-endian length, a compression flag, the data and a line feed. Both directions are capped: a frame nobody
should send is refused before its first byte leaves, and a frame nobody should receive ends the connection before memory
is set aside for it. For all others memory is taken as their bytes arrive, whatever length was announced, and within a
budget where several connections of one peer share one.

Sending belongs to one thread at a time and receiving to one thread at a time; ``close`` belongs to everybody. A thread
that Ctrl-C can reach does not receive. It looks at what has come, and takes whole frames by one call into C each.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final

from rpyc.core import channel as rpyc_channel
from rpyc.core.stream import SocketStream

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.system import switching
from rpyc_kernel.system.originals import select, socket
from rpyc_kernel.system.readiness import Readiness
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.budget import Budget
from rpyc_kernel.wire.sockets import prepare_socket

DEFAULT_MAX_FRAME_BYTES: Final = 64 * 1024 * 1024

_HEADER: Final = rpyc_channel.Channel.FRAME_HEADER
_HEADER_BYTES: Final[int] = _HEADER.size
_FLUSHER: Final[bytes] = rpyc_channel.Channel.FLUSHER
_READ_AHEAD_BYTES: Final = 64 * 1024
_JOINED_BYTES: Final = 64 * 1024
_GROWTH: Final = memoryview(bytes(1024 * 1024))
_MAX_INFLATION: Final = 1032  # what deflate makes of a byte at most
_AT_ONCE: Final = (socket.MSG_DONTWAIT | QUIETLY,)
_PEEKED_BYTES: Final = 16 * 1024
_TIMEVAL: Final = Struct("ll")
_LOOK_UP_S: Final = 0.25
_LOOK_UP_US: Final = 250_000


class FrameTooLarge(RequestError, ValueError):
    """A message is larger than the channel allows."""


class Channel(rpyc_channel.Channel):
    """A drop-in for RPyC's channel that never stalls, never re-slices and never trusts a length.

    It owns the socket. The limit is for one frame's data, before and after decompression; deflated frames are always
    understood. Large frames that come in are charged to the budget, each until the next one is received.

    Attributes:
        received_bytes: How much has come in.
        readiness: Tells when there is something to ``peek`` at; None where that is not allowed for.
    """

    __slots__ = (
        "_arriving",
        "_budget",
        "_buffer",
        "_end",
        "_inside",
        "_is_charged",
        "_is_closing",
        "_sock",
        "_start",
        "_view",
        "max_frame_bytes",
        "readiness",
        "received_bytes",
    )

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
        compress: bool = False,
        budget: Budget | None = None,
        may_peek: bool = False,
    ) -> None:
        prepare_socket(sock)
        super().__init__(SocketStream(sock), compress)
        self.max_frame_bytes = max_frame_bytes
        self._budget = budget
        self.received_bytes = 0
        self._sock = sock
        self._buffer = bytearray(_READ_AHEAD_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._is_closing = self._is_charged = False
        self._inside: list[None] = []  # one for each call that needs the descriptor
        # Who waits in `recv` on a unix socket is woken as well whenever the peer has taken something of what was sent.
        self._arriving = select.poll() if sock.family == socket.AF_UNIX and not may_peek else None
        if self._arriving is not None:
            self._arriving.register(sock, select.POLLIN)
        self.readiness: Readiness | None = None
        if may_peek:
            # Who peeks looks up now and then: see `Reading.call`.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(0, _LOOK_UP_US))
            self.readiness = Readiness(sock.fileno())

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
        self._give_back()

    def abandon(self) -> None:
        """Free this process's descriptor and leave the connection as it is; for a forked child."""
        self._is_closing = True
        self._sock.close()
        if self.readiness is not None:
            self.readiness.close()

    def recv(self) -> bytes | bytearray:
        """Wait for the next frame and return its data.

        Raises:
            ConnectionLost: The connection ended first, or the peer says why it does not serve.
            FrameTooLarge: The peer announced, or packed, more than ``max_frame_bytes``.
        """
        if self._is_charged:
            self._give_back()
        try:
            self._inside.append(None)
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
                self._is_charged = True
                self._budget.take(id(self), size, lambda: self._is_closing)
            data = self._read(length + len(_FLUSHER), drop=len(_FLUSHER))
        finally:
            self._inside.pop()
            if self._is_closing:
                self._release()
                self._give_back()
        return self._decompress(data) if is_compressed else data

    def wait_readable(self) -> None:
        """Wait until ``readiness`` tells of something, or the connection ends; reads nothing."""
        if self.readiness is not None:
            with contextlib.suppress(ConnectionLost):
                self._guard(self.readiness.wait)

    def peek(self, timeout_s: float | None = None) -> bytes:
        """Wait for some bytes, and return them, but leave them in the socket; none where none have come for a while.

        Raises:
            ConnectionLost: The connection ended.
        """
        seen: list[bytes] = []
        if timeout_s is None or timeout_s >= _LOOK_UP_S or self._guard(self._wait_for, select.POLLIN, timeout_s * 1000):
            self._guard(seen.extend, map(self._sock.recv, (_PEEKED_BYTES,), (socket.MSG_PEEK,)))
        if seen == [b""]:
            raise ConnectionLost("closed by the peer")
        return b"".join(seen)

    def take(self, size: int, permit: list[bool], taken: list[bytes]) -> None:
        """Append so many bytes that were peeked at to ``taken``, by one call into C, unless the permit is empty.

        Raises:
            ConnectionLost: The connection ended.
        """
        taking = map(self._sock.recv, (size,))  # made now: nothing may run after the look
        self._guard(_extend, taken, taking, permit)
        if taken:
            self.received_bytes += size

    def send(self, data: bytes) -> None:
        """Send one frame, waiting for as long as the peer takes.

        Raises:
            FrameTooLarge: The data exceeds ``max_frame_bytes``; nothing was sent.
            ConnectionLost: The connection ended.
        """
        for part in self.pack(data):
            self._guard(self._sock.sendall, part, QUIETLY)

    def transmit(self, data: bytes | memoryview, sent: list[int]) -> None:
        """Send as many framed bytes as the socket takes at once, and append to ``sent`` how many, if any.

        Both are one call into C, so that no interrupt comes in between.
        """
        self._guard(sent.extend, map(self._sock.send, (data,), _AT_ONCE))

    def wait_writable(self, timeout_s: float | None = None) -> None:
        """Wait until the socket may take some bytes, or the connection ends, or the time is over."""
        self._guard(self._wait_for, select.POLLOUT, None if timeout_s is None else timeout_s * 1000)

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

    def _guard(self, operation: Callable[..., Any], *args: object) -> Any:
        """Do something with the descriptor, which is kept meanwhile; return what that returns, None if it would wait.

        No lock: a signal's handler may get here in the middle of it.
        """
        try:
            self._inside.append(None)
            if self._is_closing:  # asked inside: who closes looks whether anybody is there after saying so
                raise ConnectionLost("closed here")
            return operation(*args)
        except OSError as error:
            if _is_foreign(error):
                raise
            if isinstance(error, BlockingIOError):
                return None
            raise ConnectionLost(f"the socket failed: {error}") from error
        finally:
            self._inside.pop()
            if self._is_closing:
                self._release()

    def _wait_for(self, event: int, timeout_ms: float | None) -> Any:
        waiting = select.poll()
        waiting.register(self._sock, event)
        return waiting.poll(timeout_ms)

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
        while True:
            try:
                if self._arriving is not None and self._sock.gettimeout() is None:
                    self._arriving.poll()
                received = self._sock.recv_into(view)
                switching.relax()  # at once: others look at how long they have to wait
            except BlockingIOError:
                continue  # the time after which who peeks looks up
            except OSError as error:
                raise ConnectionLost(f"receiving failed: {error}") from error
            break
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

    def _give_back(self) -> None:
        if self._budget is not None:
            self._budget.give_back(id(self))
        self._is_charged = False

    def _release(self) -> None:
        if not self._inside:
            self._sock.close()
            if self.readiness is not None:
                self.readiness.close()


def _extend(taken: list[bytes], taking: Iterator[bytes], permit: list[bool]) -> None:
    if permit:
        taken.extend(taking)


def _is_foreign(error: OSError) -> bool:
    """Whether it comes from a signal's handler that ran in the middle of the socket's call, all of which is C."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace is not None


def whole_frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The frames that are complete in these bytes, and where each ends; up to the first that is not, or is packed."""
    start = 0
    while len(data) - start >= _HEADER_BYTES:
        length, is_compressed = _HEADER.unpack_from(data, start)
        first = start + _HEADER_BYTES
        start = first + length + len(_FLUSHER)
        if is_compressed or start > len(data):
            return
        yield data[first : first + length], start
