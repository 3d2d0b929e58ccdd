"""A client for calls by value over one socket: one lock, no thread. Who calls reads the reply.

    a thread that calls ──► sends, takes the baton ──► reads until its own reply is there, and lays the baton down
                                                       (replies of others that it meets it delivers)
    other threads that call ──► send, wait for their bell: their reply is there, or the baton is theirs to take

Nobody sends to such a client without being asked, so nobody need read while nothing is awaited. Nothing in here can
hold a reference to an object of the peer: what is no answer by value is refused.

Ctrl-C may surface in the main thread after any call into C. So every step that others rely on is one such call, or may
be repeated:

* received bytes and the note of them are one call (``chunks.extend(map(sock.recv, ...))``), and so are sent bytes and
  the note of how many they were; whoever comes next goes on from the note;
* an answer is delivered before its entry goes, and the entry before its bytes: an interrupt repeats a delivery;
* to take the baton is ``dict.setdefault``, which also says who has it; it is laid down by whoever finds it is his.

Whoever waits looks again at least once in a beat, so that what an interrupt kept from being told is found then.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import InvalidStateError  # everybody's, as of `CallFuture`
from os import getpid
from struct import Struct
from typing import Any, Final, NoReturn, Protocol

from rpyc_kernel.errors import CallTimeout, ConnectionLost, RequestError
from rpyc_kernel.system.futures import CallFuture
from rpyc_kernel.system.originals import logging, queue, select, socket, threading, time
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.sockets import prepare_socket
from rpyc_kernel.wire.values import plain_codec
from rpyc_kernel.wire.values.call import (
    HANDLE_CLOSE,
    HANDLE_GETROOT,
    HANDLE_PING,
    LABEL_REMOTE_REF,
    LABEL_VALUE,
    MSG_EXCEPTION,
    MSG_REPLY,
    MSG_REQUEST,
    CallEncoder,
    encode_request,
)

_log = logging.getLogger(__name__)

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
_HEADER: Final = Struct("!LB")  # of RPyC's frames: how much data, and whether it is compressed
_FLUSHER: Final = b"\n"  # behind it
_RECEIVED_BYTES: Final = 64 * 1024
_MOST_RECEIVED_BYTES: Final = 1024 * 1024
_DONT_WAIT: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
_AT_ONCE: Final = (_DONT_WAIT | QUIETLY,)
_DISMISSED: Final = "the other side has ended it; it was stopped, or has sent this client away"
_BEATS: Final = 5
_BY_TURNS_S: Final = 0.001
_LAST_WORDS_S: Final = 1.0
"""A hub that ends stops to listen first, and says goodbye next."""


class RemoteError(Exception):
    """What the peer says has gone wrong there. No class that it names is looked for or made.

    Attributes:
        remote_type: the full name of the exception's class at the peer.
    """

    def __init__(self, remote_type: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.remote_type = remote_type


class Call:
    """A call whose answer is to come; also whoever waits for anything else here.

    Attributes:
        is_over: whether there is an answer or a failure.
        bell: rung when it is time to look; only for whoever waits while somebody else reads.
        thread: who reads for it.
    """

    __slots__ = ("answer", "bell", "failure", "future", "is_over", "thread")

    def __init__(self, future: StartedCall | None = None) -> None:
        self.answer: Any = None
        self.failure: Exception | None = None
        self.is_over = False
        self.bell: queue.SimpleQueue[None] | None = None
        self.future = future
        self.thread = 0

    def finish(self, answer: Any, failure: Exception | None) -> None:
        """Deliver the answer; may be repeated."""
        if not self.is_over:
            self.answer, self.failure = answer, failure
            self.is_over = True
        if self.bell is not None:
            self.bell.put(None)
        if self.future is not None:
            self.future.settle(self.answer, self.failure)


class Reader(Protocol):
    """Who reads for calls that were started."""

    def read_ready(self) -> object:
        """Deliver what has arrived; never waits."""

    def wait_for(self, future: StartedCall, timeout_s: float | None) -> None:
        """Read until a call is answered, or the time is over."""


class StartedCall(CallFuture):
    """A call that nobody waits for yet. It is completed when somebody reads, as whoever waits for it does."""

    def __init__(self, client: Reader) -> None:
        super().__init__()
        self._client = client
        self._is_telling = False

    @property
    def is_settled(self) -> bool:
        """Whether it is completed; does not look."""
        return self._completed.is_set

    def done(self) -> bool:
        """See ``concurrent.futures.Future``; reads what is there."""
        if not super().done():
            self._client.read_ready()
        return super().done()

    def settle(self, answer: Any, failure: Exception | None) -> None:
        """Complete it, unless it was cancelled; may be repeated."""
        try:
            if failure is None:
                self.set_result(answer)
            else:
                self.set_exception(failure)
        except InvalidStateError:  # cancelled, or an interrupt came between completing and telling
            self._completed.set()
            self._invoke_callbacks()

    def _invoke_callbacks(self) -> None:
        if self._is_telling:  # one of them ends the connection, or another thread does meanwhile
            return
        self._is_telling = True
        try:
            callbacks: list[Callable[[StartedCall], object]] = self._done_callbacks
            while callbacks:  # each goes when it has been called, so that an interrupt loses none
                try:
                    callbacks[0](self)
                except Exception:  # noqa: BLE001 - the callback's own; nobody is there to catch it
                    _log.exception("a callback of %r raised", self)
                del callbacks[0]
        finally:
            self._is_telling = False

    def _wait_completed(self, timeout_s: float | None) -> bool:
        if not self._completed.is_set:
            self._client.wait_for(self, timeout_s)
        return self._completed.is_set


class _Transfer:
    """A frame on its way out, and how much of it has left."""

    __slots__ = ("data", "sent")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent: list[int] = []

    @property
    def is_done(self) -> bool:
        return sum(self.sent) == len(self.data)


class ValueClient:
    """Calls the methods of a peer's root; see the module's description.

    It lives until it is closed or lost. A fork of its process can only close it.

    Args:
        sock: a connected socket; the client owns it from here on.
        silence_s: for how long the peer may be silent while something is awaited of it; None means for ever.
        advice: what to say to people when it was silent for longer.
        max_frame_bytes: the largest message sent or accepted.

    Attributes:
        was_dismissed: whether the peer has said that it ends the connection, and did not just go.
        was_silent: whether the connection is lost as nothing came by it any more, and nobody has ended it.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        silence_s: float | None = None,
        advice: str = "",
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        prepare_socket(sock)
        self._sock = sock
        self._silence_s = silence_s
        self._advice = advice
        self._max_frame_bytes = max_frame_bytes
        self._beat_s = 3600.0 if silence_s is None else silence_s / _BEATS
        self._arriving = select.poll()  # for whoever has the baton
        self._arriving.register(sock, select.POLLIN)
        self._numbers = itertools.count(1)
        self._encoder: CallEncoder | None = None
        self._pending: dict[int, Call] = {}
        self._baton: dict[int, Call] = {}  # at 0 whoever reads
        self._chunks: list[bytes] = []  # received and not yet dealt with
        self._missing_bytes = 0  # of the frame of which these are the beginning
        self._turn = threading.Lock()  # to send; never held while waiting
        self._outgoing: deque[_Transfer] = deque()
        self._silent_s = 0.0  # how long was waited in vain; not measured, see `_note_silence`
        self._inside: set[Call] = set()  # who may be in a call of the socket, whose descriptor must stay theirs
        self._loss = ""
        self.was_dismissed = False
        self.was_silent = False
        self._pid = getpid()

    # ---- calls ----

    def call(self, method: str, arguments: tuple[Any, ...] = (), timeout_s: float | None = None) -> Any:
        """Call a method and return its answer.

        Raises:
            RemoteError: what the method raised.
            TypeError: the answer is nothing that crosses by value.
            RequestError: an argument is nothing that crosses by value, or they are too large together.
            CallTimeout: no answer came in time; the connection is still good.
            ConnectionLost: the connection is gone.
            ValueError: the answer cannot be read.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        number = next(self._numbers)
        return self._exchange(number, self._encode(number, method, arguments, deadline), deadline)

    def start(
        self,
        method: str,
        arguments: tuple[Any, ...] = (),
        timeout_s: float | None = None,
        future: StartedCall | None = None,
    ) -> StartedCall:
        """Call a method, and return when the call is sent; raises like `call`, at once or as the future's exception.

        Callbacks of the future run on the thread that happens to read then, and must not wait for this client.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        number = next(self._numbers)
        future = future or StartedCall(self)
        transfer = self._frame(self._encode(number, method, arguments, deadline))
        sender = Call()
        try:
            try:
                self._enter(sender)
                self._pending[number] = Call(future)
                self._send(transfer)
                if not transfer.is_done:
                    self._wait(sender, deadline, lambda: transfer.is_done)
            finally:
                self._leave(sender)
        except BaseException:
            self._pending.pop(number, None)
            self._withdraw(transfer)
            self._leave(sender)
            raise
        return future

    def wait_for(self, future: StartedCall, timeout_s: float | None) -> None:
        """Read until a call that was started is answered, or the time is over."""
        waiting = Call()
        future.add_done_callback(lambda _: waiting.finish(None, None))
        self._stay(waiting, timeout_s, lambda: waiting.is_over)
        if self._loss:
            future.settle(None, ConnectionLost(self._loss))

    def read_until(self, is_over: Callable[[], bool]) -> None:
        """Read until something is so that the callbacks of calls bring about, or the connection is gone."""
        self._stay(Call(), None, is_over)

    def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait until the other side has ended the connection; whether it has."""
        self._stay(Call(), timeout_s, lambda: bool(self._loss), counts_silence=False)
        return bool(self._loss)

    # ---- for a loop that waits for several things ----

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to `read_ready`."""
        return self._sock.fileno()

    def read_ready(self, waited_s: float = 0.0) -> None:
        """Deliver what has arrived; never waits.

        Args:
            waited_s: for how long the caller has waited for it in vain.
        """
        self._read_at_once(waited_s)

    def _read_at_once(self, waited_s: float = 0.0, *, to_the_end: bool = False) -> None:
        """The same; only where asked to also look whether more comes behind what is less than could be received."""
        reader = Call()
        try:
            try:
                self._enter(reader)
                if self._baton.setdefault(0, reader) is reader:
                    reader.thread = threading.get_ident()
                    if waited_s and self._pending:
                        self._note_silence(waited_s)
                    self._take_frames()
                    while (received_bytes := self._receive()) and (to_the_end or received_bytes >= _RECEIVED_BYTES):
                        pass
            except ConnectionLost:
                pass  # whoever asks for an answer hears of it
            finally:
                self._leave(reader)
        except BaseException:  # an interrupt that may have come before it was left
            self._leave(reader)
            raise

    @property
    def beat_s(self) -> float:
        """How long such a loop may wait before it tells `read_ready` of it."""
        return self._beat_s

    # ---- life ----

    @property
    def loss(self) -> str:
        """Why the connection is gone, "" as long as nobody has noticed that; does not look."""
        return self._loss

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone; looks."""
        if not self._loss and getpid() == self._pid:
            self._read_at_once(to_the_end=True)
        return bool(self._loss)

    def close(self) -> None:
        """End the connection, from any thread; everything that is awaited fails with ``ConnectionLost``."""
        if getpid() != self._pid:  # without ending the connection of the process that this is a fork of
            self._loss = self._loss or "it was closed here"
            self._sock.close()
            return
        closing = Call()
        self._inside.add(closing)
        try:
            is_first = not self._loss
            self._loss = self._loss or "it was closed here"  # before the peer ends it in answer
            if is_first and not self._outgoing:
                with contextlib.suppress(ConnectionLost):
                    self._send(self._frame(encode_request(next(self._numbers), HANDLE_CLOSE)))
            self._end(self._loss)
        finally:
            self._leave(closing)

    def _end(self, reason: str) -> None:
        self._loss = self._loss or reason
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        for number, call in tuple(self._pending.items()):
            call.finish(None, ConnectionLost(self._loss))
            self._pending.pop(number, None)

    def _encode(self, number: int, method: str, arguments: tuple[Any, ...], deadline: float | None) -> bytes:
        encoder = self._encoder or self._fetch_root(deadline)
        try:
            return encoder.encode(number, method, arguments)
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(f"an argument of {method!r} cannot be passed by value: {error}") from None

    def _fetch_root(self, deadline: float | None) -> CallEncoder:
        number = next(self._numbers)
        root = self._exchange(number, encode_request(number, HANDLE_GETROOT), deadline, is_root=True)
        if type(root) is not tuple:
            raise TypeError("the peer's root is not an object")
        self._encoder = CallEncoder(root)
        return self._encoder

    # ---- who is in here ----

    def _enter(self, call: Call) -> None:
        self._inside.add(call)  # first: who closes looks at this after saying so
        if self._loss:
            raise ConnectionLost(self._loss)
        if getpid() != self._pid:
            raise ConnectionLost(f"it belongs to process {self._pid}, not to this fork of it")

    def _leave(self, call: Call) -> None:
        """Lay the baton down if it is this one's, and have the next take it; may be repeated."""
        if self._baton.get(0) is call:
            self._baton.pop(0, None)
        self._inside.discard(call)
        if self._pending and 0 not in self._baton:
            for waiting in tuple(self._pending.values()):
                if waiting.bell is not None and not waiting.is_over:
                    waiting.bell.put(None)
                    break
        if self._loss and not self._inside and getpid() == self._pid:
            self._sock.close()

    def _exchange(self, number: int, data: bytes, deadline: float | None, *, is_root: bool = False) -> Any:
        transfer = self._frame(data)
        call = Call()
        try:
            try:
                self._enter(call)
                self._pending[number] = call
                self._send(transfer)
                self._wait(call, deadline)
            finally:
                self._leave(call)
        except BaseException:
            self._pending.pop(number, None)
            self._withdraw(transfer)
            self._leave(call)
            raise
        failure = call.failure
        if is_root and isinstance(failure, _Reference):
            return failure.id_pack
        if failure is None:
            return call.answer
        try:
            raise failure
        finally:
            del call, failure  # or the error would hold itself, by its traceback

    def _stay(
        self, waiting: Call, timeout_s: float | None, is_over: Callable[[], bool], *, counts_silence: bool = True
    ) -> None:
        """Read until something is so, or the connection is gone, or the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        number = -next(self._numbers)  # nothing is sent under it: who lays the baton down finds it there
        try:
            try:
                self._enter(waiting)
                self._pending[number] = waiting
                self._wait(waiting, deadline, is_over, counts_silence=counts_silence)
            except (CallTimeout, ConnectionLost):
                pass
            finally:
                self._pending.pop(number, None)
                self._leave(waiting)
        except BaseException:
            self._pending.pop(number, None)
            self._leave(waiting)
            raise

    def _wait(
        self,
        call: Call,
        deadline: float | None,
        is_over: Callable[[], bool] | None = None,
        *,
        counts_silence: bool = True,
    ) -> None:
        """Wait for the answer, or for something else: with the baton by reading, else for the bell."""
        while not (call.is_over if is_over is None else is_over()):
            if self._loss:
                raise ConnectionLost(self._loss)
            left_s = self._beat_s if deadline is None else min(self._beat_s, deadline - time.monotonic())
            if left_s <= 0:
                raise CallTimeout("no answer came in the time allowed; the call may still be carried out")
            reader = self._baton.setdefault(0, call)
            if reader is call:
                call.thread = threading.get_ident()
                try:
                    self._read(left_s, counts_silence=counts_silence)
                except ConnectionLost:
                    if not call.is_over:  # its answer may have come together with the end
                        raise
            elif self._outgoing and self._write_on(left_s) in (0, select.POLLOUT):
                pass
            elif reader.thread == threading.get_ident():
                raise RuntimeError("the thread that reads would wait for itself; wait on another thread")
            elif call.bell is None:
                call.bell = queue.SimpleQueue()  # and look once more: it may have been time to ring it before
            else:
                with contextlib.suppress(queue.Empty):
                    # Where something is to be sent and something has come, the two that wait for it look by turns.
                    call.bell.get(timeout=_BY_TURNS_S if self._outgoing else left_s)

    # ---- sending ----

    def _frame(self, data: bytes) -> _Transfer:
        if len(data) > self._max_frame_bytes:
            raise RequestError(
                f"a message of {len(data)} bytes exceeds the limit of {self._max_frame_bytes}; "
                "send it in parts, or by push()"
            )
        return _Transfer(b"".join((_HEADER.pack(len(data), 0), data, _FLUSHER)))

    def _send(self, transfer: _Transfer) -> None:
        """Send a frame as far as the socket takes it at once."""
        self._outgoing.append(transfer)
        self._write()

    def _withdraw(self, transfer: _Transfer) -> None:
        """Who gives up has sent nothing, if not a part of it has left."""
        with self._turn:
            if not transfer.sent and transfer in self._outgoing:
                self._outgoing.remove(transfer)

    def _write(self) -> bool:
        """Send what the socket takes; whether that was anything."""
        has_sent = False
        try:
            with self._turn:
                while self._outgoing:
                    transfer = self._outgoing[0]
                    sent_bytes = sum(transfer.sent)
                    if sent_bytes < len(transfer.data):
                        rest = memoryview(transfer.data)[sent_bytes:] if sent_bytes else transfer.data
                        transfer.sent.extend(map(self._sock.send, (rest,), _AT_ONCE))
                        has_sent = True
                    if transfer.is_done and self._outgoing[0] is transfer:
                        self._outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError as error:
            self._outgoing.clear()
            self._hear_last_words()
            self._end(f"sending failed: {error}")
            raise ConnectionLost(self._loss) from None
        return has_sent

    def _hear_last_words(self) -> None:
        """Read what the peer still says that takes nothing any more: it may be about to say why, and then goes."""
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        deadline = time.monotonic() + _LAST_WORDS_S
        while not self._loss and waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            reader = self._baton.get(0)
            if reader is None:
                self.read_ready()
            elif reader.thread == threading.get_ident():
                with contextlib.suppress(ConnectionLost):
                    self._receive()
            elif time.monotonic() < deadline:
                time.sleep(_BY_TURNS_S)  # that one hears them
            else:
                break

    def _write_on(self, wait_s: float) -> int:
        """Wait until the socket takes something, and send it, or has something; returns what of these it does."""
        waiting = select.poll()
        waiting.register(self._sock, select.POLLOUT | select.POLLIN)
        ready = waiting.poll(wait_s * 1000)
        events: int = ready[0][1] if ready else 0
        if events & select.POLLOUT and self._write():
            self._silent_s = 0.0
        return events

    # ---- reading, with the baton ----

    def _read(self, wait_s: float, *, counts_silence: bool) -> None:
        """Receive what comes within this time, or deal with what an interrupted reader has left."""
        if self._chunks and self._take_frames():
            return
        silent_s = 0.0
        if self._outgoing:
            events = self._write_on(wait_s)
            if events == select.POLLOUT:
                return
            silent_s = 0.0 if events else wait_s
        elif not self._arriving.poll(wait_s * 1000):  # not left to `recv`, which each signal has wait anew
            silent_s = wait_s
        if not silent_s:
            self._receive()
        if silent_s and counts_silence:
            self._note_silence(silent_s)

    def _receive(self) -> int:
        """Receive once, and deal with it; returns how many bytes have come, if any."""
        size = max(_RECEIVED_BYTES, min(self._missing_bytes, _MOST_RECEIVED_BYTES))
        try:
            self._chunks.extend(map(self._sock.recv, (size,), (_DONT_WAIT,)))
        except BlockingIOError:
            return 0
        except OSError as error:
            self._end(f"receiving failed: {error}")
            raise ConnectionLost(self._loss) from None
        self._silent_s = 0.0
        received_bytes = len(self._chunks[-1])
        self._take_frames()
        if not received_bytes:
            self._end("closed by the peer")
            raise ConnectionLost(self._loss)
        return received_bytes

    def _take_frames(self) -> bool:
        """Deal with all that has come; whether that was anything."""
        has_taken = False
        try:
            while self._chunks and self._take_frame():
                has_taken = True
        except ConnectionLost as error:
            self._end(str(error))
            raise
        return has_taken

    def _take_frame(self) -> bool:
        """Deal with the next frame; False if not all of it has come."""
        chunks = self._chunks
        received_bytes = sum(map(len, chunks))
        if received_bytes < _HEADER.size:
            return False
        if len(chunks[0]) < _HEADER.size:
            chunks[:] = (b"".join(chunks),)
        length, is_compressed = _HEADER.unpack_from(chunks[0])
        if length > self._max_frame_bytes:
            return self._refuse(b"".join(chunks), length)
        end = _HEADER.size + length + len(_FLUSHER)
        self._missing_bytes = end - received_bytes
        if received_bytes < end:
            return False
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        framed = data[_HEADER.size : end - len(_FLUSHER)]
        self._deliver(self._decompress(framed) if is_compressed else framed)
        self._missing_bytes = 0
        chunks[:] = (data[end:],) if received_bytes > end else ()
        return True

    def _refuse(self, data: bytes, length: int) -> bool:
        if not data.startswith(refusal.MARK):
            raise ConnectionLost(f"the peer announced a frame of {length} bytes; the limit is {self._max_frame_bytes}")
        told = data[len(refusal.MARK) :]
        size = int.from_bytes(told[: refusal.LENGTH_BYTES], "big")
        if len(told) < refusal.LENGTH_BYTES + size:
            return False
        raise ConnectionLost(refusal.read_reason(io.BytesIO(told).read))

    def _decompress(self, data: bytes) -> bytes:
        import zlib  # our hubs never compress

        inflater = zlib.decompressobj()
        try:
            inflated = inflater.decompress(data, self._max_frame_bytes + 1)
        except zlib.error as error:
            raise ConnectionLost(f"the peer sent a frame that does not inflate: {error}") from error
        if len(inflated) > self._max_frame_bytes or not inflater.eof:
            raise ConnectionLost("the peer sent a frame whose compressed data is cut short, or far too large")
        return inflated

    def _deliver(self, data: bytes) -> None:
        kind = data[0] if data else 0
        if kind == MSG_REQUEST:
            self._hear(data)
        if kind not in (MSG_REPLY, MSG_EXCEPTION):
            raise ConnectionLost(
                f"the peer sent a message of unknown kind {kind}; it may speak another version of RPyC"
            )
        answer: Any = None
        failure: Exception | None = None
        try:
            number, payload = plain_codec.load(data, 1)
            if kind == MSG_EXCEPTION:
                failure = _read_error(payload)
            else:
                label, answer = payload
                if label != LABEL_VALUE:
                    failure = _Reference(label, answer)
        except Exception as error:  # noqa: BLE001 - the peer's bytes can fail in any way
            number = _read_number(data)
            failure = ValueError(f"the message could not be decoded: {error!r}")
        call = self._pending.get(number) if type(number) is int else None
        if call is not None:
            call.finish(answer, failure)
            self._pending.pop(number, None)

    def _hear(self, data: bytes) -> NoReturn:
        """What the peer asks for; a client is there for nobody, and hears that the other side leaves."""
        try:
            has_closed = plain_codec.load(data, 1)[1][0] == HANDLE_CLOSE
        except Exception:  # noqa: BLE001 - the peer's bytes can fail in any way
            has_closed = False
        self.was_dismissed = has_closed
        raise ConnectionLost(_DISMISSED if has_closed else "the peer made a request of one who only asks")

    def _note_silence(self, waited_s: float) -> None:
        """Count how long was waited in vain; ask once for a sign of life, and give the peer up when that is too much.

        What was waited is counted and no clock read: a process that was stopped itself, or a machine that slept, finds
        much time gone and the answer not yet read.
        """
        if self._silence_s is None:
            return
        was_quiet = self._silent_s >= self._beat_s
        self._silent_s += waited_s
        if self._silent_s >= self._silence_s:
            self.was_silent = True
            self._end(f"nothing came for {self._silence_s:g} s; {self._advice}")
            raise ConnectionLost(self._loss)
        if self._silent_s >= self._beat_s and not was_quiet and not self._outgoing:
            number = next(self._numbers)  # nobody waits for the answer
            self._send(self._frame(encode_request(number, HANDLE_PING, "")))


class _Reference(TypeError):
    """An answer that is no value."""

    def __init__(self, label: Any, id_pack: Any) -> None:
        super().__init__("the peer answered with an object where only a value can cross")
        if label != LABEL_REMOTE_REF or tuple(map(type, id_pack)) != (str, int, int):
            raise ValueError("the peer answered with neither a value nor an object")
        self.id_pack = id_pack


def _read_error(dumped: Any) -> RemoteError:
    if type(dumped) is int:  # RPyC's short form of an exception that its iterators raise
        return RemoteError("builtins.StopIteration")
    try:
        (module, name), arguments = dumped[:2]
        return RemoteError(f"{module}.{name}", *arguments)
    except (TypeError, ValueError) as error:
        return RemoteError("", f"the peer reported an error in a form that cannot be read: {error!r}")


def _read_number(data: bytes) -> Any:
    """The number of a message whose rest cannot be read."""
    try:
        if data[1:2] == plain_codec.TUPLE_OF_2:
            return plain_codec.load(data[2:64])
    except Exception:  # noqa: BLE001, S110 - reported below
        pass
    raise ConnectionLost("the peer sent a message without a number")
