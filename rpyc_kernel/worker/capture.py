"""What user code prints: every piece goes into the ring at once, under the execution that printed it.

Which execution that is, a context variable says. Tasks inherit it from the code that made them; threads, and what is
handed to the threads of an executor, do so because `follow_threads` makes them. What goes on printing when its
execution has ended belongs to what runs on the main lane then, where somebody looks, and so does what the event loop
itself has to say. Everything else belongs to nobody, and is shown as background output.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import io
import os
import threading as shared  # with user code
from collections.abc import Callable, Iterable
from concurrent.futures.thread import _WorkItem
from contextvars import ContextVar
from typing import Any

from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.system.ring import RingWriter
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.order import NO_ORDER, Order
from rpyc_kernel.worker.text_streams import KernelText
from rpyc_kernel.worker.user_frames import enters_user_code

_now = time.monotonic
_libc = ctypes.CDLL(None)
current_execution: ContextVar[int] = ContextVar("rpyc_kernel_execution", default=0)
"""Which execution has led to what runs here, 0 for none; it may have ended. See `printing_execution`."""

_get_current = current_execution.get
_running: set[int] = set()
_main_lane = [0]
_turns = [0]
_MAX_CONTINUATION = 3
"""How many bytes of a character of UTF-8 follow its first."""
_main_thread = threading.main_thread().ident


def printing_execution() -> int:
    """The execution that output of the caller belongs to; 0 for none."""
    execution = _get_current()
    if execution in _running:
        return execution
    return _main_lane[0] if execution or threading.get_ident() == _main_thread else 0


def asking_execution() -> int:
    """The execution that a question of the caller belongs to: whose thread it is answers, also after its end."""
    return _get_current() or printing_execution()


def count_turns() -> int:
    """How often an execution has begun or ended, on any lane."""
    return _turns[0]


def is_in_execution() -> bool:
    """Whether what runs here has come of an execution that still runs."""
    return _get_current() in _running


def begin_execution(execution: int, *, is_main: bool) -> None:
    """From now on what an execution has led to belongs to it."""
    _turns[0] += 1
    _running.add(execution)
    if is_main:
        _main_lane[0] = execution


def end_execution(execution: int) -> None:
    """From now on what it has left behind belongs to the main lane; what C code has printed is let go before."""
    _libc.fflush(None)
    _turns[0] += 1
    _running.discard(execution)
    if _main_lane[0] == execution:
        _main_lane[0] = 0


class Stream(KernelText):
    """``sys.stdout`` or ``sys.stderr`` of user code: unbuffered, and safe from any thread.

    Args:
        name: ``"<stdout>"`` or ``"<stderr>"``.
        kind: the ring's frame kind.
        descriptor: where child processes that inherit this stream write, and where a forked child falls back to.
        ring: where the text goes.
        interrupts: asked after each piece whether an interrupt came meanwhile.
        order: keeps the text behind what children have written before.
    """

    def __init__(
        self,
        name: str,
        kind: int,
        descriptor: int,
        ring: RingWriter,
        interrupts: Interrupts,
        order: Order = NO_ORDER,
    ) -> None:
        super().__init__("backslashreplace")
        self.name = name
        self.mode = "w"
        self._order = order
        self._kind = kind
        self._descriptor = descriptor
        self._ring = ring
        self._put = ring.put
        self._max_bytes = ring.max_data_bytes
        self._interrupts = interrupts
        self._binary_face = _BinaryFace(self)
        self._half, self._half_of = b"", 0  # of a character that was written as bytes, and who has written it
        self._joining = threading.RLock()  # a handler of a signal that comes in its middle may write, too

    def write(self, text: str) -> int:
        """Put the text where it survives this process; returns its length in characters."""
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data = text.encode("utf-8", self._errors)
        except AttributeError:
            raise TypeError(f"write() argument must be str, not {type(text).__name__}") from None
        if self._half:
            self.let_go()
        if _now() >= self._order.look_at:
            self._order.wait()
        if len(data) <= self._max_bytes:
            if data:
                execution = _get_current()  # looked up here, as the call below costs more than all of that
                self._put(self._kind, execution if execution in _running else printing_execution(), data)
        else:
            self._put_in_pieces(data)
        if self._interrupts.is_pending:
            self._interrupts.check()
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes, whatever they are; a character may be cut between two calls."""
        with self._joining:
            data = self._half + data
            _, used = codecs.utf_8_decode(data, "replace", False)
            self._half, self._half_of = data[used:], printing_execution()
            if _now() >= self._order.look_at:
                self._order.wait()
            self._put_in_pieces(data[:used])
        self._interrupts.check()

    def let_go(self) -> None:
        """Put into the ring what may have been half a character: something else comes now, or nothing does."""
        with self._joining:
            half, self._half = self._half, b""
            if half:
                self._put(self._kind, self._half_of, half)

    def _put_in_pieces(self, data: bytes) -> None:
        for piece in _pieces(data, self._max_bytes):
            self._put(self._kind, printing_execution(), piece)

    def writelines(self, lines: Iterable[Any], /) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def after_fork(self) -> None:
        """In a forked child: the ring is the parent's alone, so write to the descriptor."""
        self._put = self._put_to_descriptor
        self._order = NO_ORDER
        self._half, self._joining = b"", threading.RLock()  # which the parent has, and another thread may have held

    def _put_to_descriptor(self, kind: int, execution: int, data: bytes, may_interrupt: bool = True) -> None:
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    @property
    def buffer(self) -> Any:
        """A binary face of the same stream."""
        return self._binary_face

    @property
    def line_buffering(self) -> bool:
        """True: nothing is ever held back."""
        return True

    def fileno(self) -> int:
        """The descriptor for child processes; what is written there is captured too."""
        return self._descriptor

    def writable(self) -> bool:
        """True."""
        return True

    def __del__(self) -> None:
        """Do nothing: there is nothing to close."""


class _BinaryFace(io.RawIOBase):
    """Takes bytes for a `Stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        """Write bytes; see `Stream.write_bytes`."""
        raw = bytes(memoryview(data))  # which takes no number for a length
        self._stream.write_bytes(raw)
        return len(raw)

    def writable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self._stream.fileno()

    def close(self) -> None:
        """Do nothing: the stream belongs to the kernel."""


def _pieces(data: bytes, size: int) -> Iterable[bytes]:
    """Cut bytes into pieces of at most ``size``, never inside a character of UTF-8."""
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        least = end - _MAX_CONTINUATION  # what goes on for longer is no character
        while least < end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def follow_threads() -> Callable[[], None]:
    """Make every `threading.Thread` print under the execution that started it, and what an executor runs for it, too.

    All that is patched of the standard library for this is patched here. Returns what takes it back.
    """
    start = shared.Thread.start
    bootstrap = shared.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def start_attributed(self: Any) -> None:
        self._rpyc_kernel_execution = current_execution.get()
        start(self)

    @enters_user_code
    def run_attributed(self: Any) -> None:
        current_execution.set(getattr(self, "_rpyc_kernel_execution", 0))
        bootstrap(self)

    prepare, work = _WorkItem.__init__, _WorkItem.run

    def prepare_attributed(self: Any, *arguments: Any, **keywords: Any) -> None:
        self._rpyc_kernel_execution = current_execution.get()
        prepare(self, *arguments, **keywords)

    @enters_user_code
    def work_attributed(self: Any, *arguments: Any) -> None:
        token = current_execution.set(self._rpyc_kernel_execution)
        try:
            work(self, *arguments)
        finally:
            current_execution.reset(token)

    _WorkItem.__init__ = prepare_attributed  # type: ignore[method-assign]
    _WorkItem.run = work_attributed  # type: ignore[method-assign]
    shared.Thread.start = start_attributed  # type: ignore[method-assign]
    shared.Thread._bootstrap_inner = run_attributed  # type: ignore[attr-defined]

    def take_back() -> None:
        _WorkItem.__init__, _WorkItem.run = prepare, work  # type: ignore[method-assign]
        shared.Thread.start = start  # type: ignore[method-assign]
        shared.Thread._bootstrap_inner = bootstrap  # type: ignore[attr-defined]

    return take_back
