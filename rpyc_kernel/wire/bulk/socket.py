"""Large values over a socket of their own: a head in JSON, then the buffers, straight from and into memory.

    length (4), head: {…, "buffers": [[bytes, may_be_shared], …]}
    each buffer in turn: its bytes; or, where it may be shared, one byte: 0 brings a descriptor along, 1 comes before
    the bytes after all

Memory can be shared only with the process that this socket leads to: what passes bytes on, as ssh does, passes no
descriptors. So each side compares the process that the system names with the one that the other side says it is.

A conversation is a request and an answer, again and again. Whoever meets an error in the middle of one closes the
socket: nothing else could tell the other side where the next message begins.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
from collections.abc import Callable, Iterator
from os import getpid
from struct import Struct
from typing import Any, Final

from rpyc_kernel.core.seconds import LONGEST_S
from rpyc_kernel.errors import CallTimeout, ConnectionLost, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system import shared_memory
from rpyc_kernel.system.descriptors import receive_with_descriptors, send_with_descriptors
from rpyc_kernel.system.originals import json, select, socket
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.bulk import codec
from rpyc_kernel.wire.bulk.parts import Buffer, Parcel, Tree
from rpyc_kernel.wire.sockets import prepare_socket

Progress = Callable[[int, int], None]
"""Told how many bytes are through, and of how many."""

_LENGTH: Final = Struct("!I")
(_REFUSED,) = _LENGTH.unpack_from(refusal.MARK)
_MAX_HEAD_BYTES: Final = 256 * 1024 * 1024
_STEP_BYTES: Final = 4 * 1024 * 1024
_SHARED_FROM_BYTES: Final = 16 * 1024 * 1024
"""A shared array costs its owner a descriptor, of which there are a thousand; a copy of less costs milliseconds."""
_SHARED, _NOT_SHARED = b"\0", b"\1"
_FREE_HEAD_BYTES: Final = 64 * 1024
_ALLOCATED_FROM_BYTES: Final = 64 * 1024


class Message(Frozen):
    """What came: the fields of the head, and the tree and the buffers of the value, see `codec`."""

    head: dict[str, Any]
    tree: Tree
    buffers: list[Any]

    def open(self, *, allow_pickle: bool, load: codec.Load = pickle.loads) -> Any:
        """The value; see `codec.unpack`."""
        return codec.unpack(self.tree, self.buffers, allow_pickle=allow_pickle, load=load)


class Outgoing(Frozen):
    """A message that can be sent: the encoded head, and what follows it, each of which may come as shared memory."""

    body: bytes
    buffers: list[Buffer]
    may_be_shared: list[bool]


class BulkSocket:
    """One end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        prepare_socket(sock)
        self._sock = sock
        self._peer_pid = shared_memory.peer_pid(sock)
        self.can_share = False
        self._pid = getpid()

    def meet(self, pid: Any) -> None:
        """Share memory from now on if this is the process that the socket leads to."""
        self.can_share = self._peer_pid is not None and self._peer_pid == pid

    def close(self) -> None:
        """Close the socket, which ends the other side's waiting too; a fork of its process ends nobody's."""
        if getpid() == self._pid:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    @property
    def is_stale(self) -> bool:
        """Whether the other side has ended the connection; only to be asked between two conversations."""
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        return bool(waiting.poll(0))

    def set_timeout(self, timeout_s: float | None) -> None:
        """How long to wait for the next byte, None for ever."""
        self._sock.settimeout(None if timeout_s is None else min(timeout_s, LONGEST_S))

    # ------------------------------------------------------------------ sending

    def encode(self, head: dict[str, Any], parcel: Parcel | None = None) -> Outgoing:
        """Make a message; raises `RequestError` where it is too large to be described."""
        parcel = parcel or Parcel(None, [])
        may_be_shared = [self.can_share and buffer.length >= _SHARED_FROM_BYTES for buffer in parcel.buffers]
        lengths = [[buffer.length, may] for buffer, may in zip(parcel.buffers, may_be_shared, strict=True)]
        return Outgoing(_encode({**head, "value": parcel.tree, "buffers": lengths}), parcel.buffers, may_be_shared)

    def send(self, message: Outgoing, progress: Progress | None = None) -> None:
        """Send a message; raises what `_translated` says."""
        with _translated(), self._refusals_heard():
            counter = _Counter(sum(buffer.length for buffer in message.buffers), progress)
            self._sock.sendall(_LENGTH.pack(len(message.body)) + message.body, QUIETLY)
            for buffer, may_be_shared in zip(message.buffers, message.may_be_shared, strict=True):
                if may_be_shared and self._send_shared(buffer, counter):
                    continue
                if may_be_shared:
                    self._sock.sendall(_NOT_SHARED, QUIETLY)
                self._send_bytes(buffer, counter)

    @contextlib.contextmanager
    def _refusals_heard(self) -> Iterator[None]:
        """Raise the other side's reason, if it has told one, where it has gone without taking what is sent."""
        try:
            yield
        except ConnectionError:
            reason = ""
            with contextlib.suppress(OSError, ConnectionLost):  # it is gone: none of this waits
                if self._receive_bytes(len(refusal.MARK)) == refusal.MARK:
                    reason = refusal.read_reason(self._receive_bytes)
            if reason:
                raise ConnectionLost(reason) from None
            raise

    def _send_shared(self, buffer: Buffer, counter: _Counter) -> bool:
        """Send a buffer as shared memory; False where there is no room for it, or no descriptor."""
        try:
            descriptor = buffer.share()
        except OSError:
            return False
        try:
            send_with_descriptors(self._sock, _SHARED, [descriptor])
        finally:
            os.close(descriptor)
        counter.add(buffer.length)
        return True

    def _send_bytes(self, buffer: Buffer, counter: _Counter) -> None:
        for chunk in buffer.chunks():
            for start in range(0, len(chunk), _STEP_BYTES):
                part = chunk[start : start + _STEP_BYTES]
                self._sock.sendall(part, QUIETLY)
                counter.add(len(part))

    # ------------------------------------------------------------------ receiving

    def receive(self, progress: Progress | None = None, *, max_bytes: int | None = None) -> Message:
        """Wait for a message; raises what `_translated` says, and RequestError where it is too large, or none.

        The limit is for the buffers' bytes together, and what describes them if it is long.
        """
        with _translated():
            (length,) = _LENGTH.unpack(self._receive_bytes(_LENGTH.size))
            if length == _REFUSED:
                self._receive_bytes(len(refusal.MARK) - _LENGTH.size)
                raise ConnectionLost(refusal.read_reason(self._receive_bytes))
            if length > _MAX_HEAD_BYTES:
                raise RequestError(f"a head of {length} bytes is over the limit of {_MAX_HEAD_BYTES}")
            head = _decode(self._receive_bytes(length))
            tree, lengths = head.pop("value"), head.pop("buffers")
            total = _sum_lengths(lengths)
            require_at_most(max_bytes, total + max(0, length - _FREE_HEAD_BYTES))
            counter = _Counter(total, progress)
            immutable = codec.find_bytes(tree)
            buffers: list[Any] = []
            for number, (count, may_be_shared) in enumerate(lengths):
                receive = self._receive_shared if may_be_shared else self._receive_buffer
                buffers.append(receive(count, counter, number in immutable))
            return Message(head, tree, buffers)

    def _receive_bytes(self, length: int) -> bytearray:
        data = bytearray(length)
        self._fill(memoryview(data), None)
        return data

    def _receive_buffer(self, length: int, counter: _Counter, is_immutable: bool) -> Any:
        if is_immutable:
            return self._receive_immutable(length, counter)
        memory = bytearray(length) if length < _ALLOCATED_FROM_BYTES else shared_memory.allocate(length)
        with memoryview(memory) as view:
            self._fill(view, counter)
        return memory

    def _receive_immutable(self, length: int, counter: _Counter) -> bytes:
        """Receive ``bytes``, which are never there twice: ``getvalue`` hands out what was written to."""
        collected = io.BytesIO()
        step = memoryview(bytearray(min(length, _STEP_BYTES)))
        while (missing := length - collected.tell()) > 0:
            self._fill(step[:missing], counter)
            collected.write(step[:missing])
        return collected.getvalue()

    def _receive_shared(self, length: int, counter: _Counter, is_immutable: bool) -> Any:
        how, received, is_cut = receive_with_descriptors(self._sock, 1, 1)
        if not how:
            raise ConnectionLost("the other side is gone")
        if how == _NOT_SHARED:
            return self._receive_buffer(length, counter, is_immutable)
        if len(received) != 1:
            reason = "this process has no descriptor left" if is_cut else "it came without a descriptor"
            raise RequestError(f"shared memory cannot be received: {reason}")
        try:
            shared_memory.check(received[0], length)
            receive = shared_memory.read if is_immutable else shared_memory.map_privately
            memory = receive(received[0], length)
        finally:
            os.close(received[0])
        counter.add(length)
        return memory

    def _fill(self, view: memoryview, counter: _Counter | None) -> None:
        done = 0
        while done < len(view):
            count = self._sock.recv_into(view[done : done + _STEP_BYTES])
            if count == 0:
                raise ConnectionLost("the other side is gone")
            done += count
            if counter is not None:
                counter.add(count)


class _Counter:
    """Counts bytes, and tells of them after every few."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = self._told = 0
        if total:
            self._tell()

    def add(self, count: int) -> None:
        """So many more are through."""
        self._done += count
        if self._done - self._told >= _STEP_BYTES or self._done == self._total:
            self._tell()

    def _tell(self) -> None:
        self._told = self._done
        if self._progress is not None:
            try:
                self._progress(self._done, self._total)
            except Exception as error:  # noqa: BLE001 - the caller's function; it is raised again
                raise _ProgressError(error) from None


class _ProgressError(Exception):
    """Carries what the caller's own function raised past those who translate errors."""


def _encode(head: dict[str, Any]) -> bytes:
    body = json.dumps(head, separators=(",", ":")).encode()
    if len(body) > _MAX_HEAD_BYTES or len(head["buffers"]) > codec.MAX_BUFFERS:
        raise RequestError("the value has too many parts; take fewer at a time, or put its numbers into an array")
    return body


def _decode(body: bytes | bytearray) -> dict[str, Any]:
    try:
        head = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"what came is no message: {error}") from None
    if not (isinstance(head, dict) and "value" in head and isinstance(head.get("buffers"), list)):
        raise RequestError("what came is no message")
    return head


def require_at_most(max_bytes: Any, total: int) -> None:
    """Raise `RequestError` where it is larger."""
    if isinstance(max_bytes, int) and total > max_bytes:
        raise RequestError(f"the value has {total} bytes, over the limit of {max_bytes}")


def _sum_lengths(lengths: list[Any]) -> int:
    for entry in lengths:
        if not (isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int and entry[0] >= 0):
            raise RequestError("what came is no message")
    return sum(entry[0] for entry in lengths)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what a socket raises, and a lack of memory, into errors of this package.

    Raises:
        RequestError: the message cannot be transferred to its end.
        ConnectionLost: the other side is gone.
        CallTimeout: it takes or sends nothing.
    """
    try:
        yield
    except _ProgressError as carrier:
        raise carrier.args[0] from None
    except TimeoutError:
        raise CallTimeout("the other side lets this one wait too long") from None
    except (ConnectionLost, RequestError):
        raise
    except (MemoryError, OverflowError, ValueError) as error:
        raise RequestError(f"the value cannot be received: {str(error) or type(error).__name__}") from None
    except OSError as error:
        if isinstance(error, ConnectionError) or error.errno == errno.EBADF:  # which is: closed by another thread
            raise ConnectionLost(f"the other side is gone: {error}") from None
        raise RequestError(f"the value cannot be transferred: {error}") from None
