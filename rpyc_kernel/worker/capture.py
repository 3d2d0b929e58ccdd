"""What user code prints: every piece goes into the ring at once, under the execution that printed it.

Which execution that is, a context variable says. Tasks inherit it from the code that made them; threads, and what is
handed to the threads of an executor, do so because `follow_threads` makes them. What goes on printing when its
execution has ended belongs to what runs on the main lane then, where somebody looks, and so does what the event loop
itself has to say. Everything else belongs to nobody, and is shown as background output.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures.thread import _WorkItem
from contextvars import ContextVar
from typing import Any

from rpyc_kernel.system.ring import RingWriter
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.order import NO_ORDER, Order
from rpyc_kernel.worker.user_frames import enters_user_code

_now = time.monotonic
current_execution: ContextVar[int] = ContextVar("rpyc_kernel_execution", default=0)
"""Which execution has led to what runs here, 0 for none; it may have ended. See `printing_execution`."""

_get_current = current_execution.get
_running: set[int] = set()
_main_lane = [0]
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


def begin_execution(execution: int, *, is_main: bool) -> None:
    """From now on what an execution has led to belongs to it."""
    _running.add(execution)
    if is_main:
        _main_lane[0] = execution


def end_execution(execution: int) -> None:
    """From now on what it has left behind belongs to the main lane."""
    _running.discard(execution)
    if _main_lane[0] == execution:
        _main_lane[0] = 0


class Stream(io.TextIOBase):
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
        self.name = name
        self._order = order
        self._kind = kind
        self._descriptor = descriptor
        self._ring = ring
        self._put = ring.put
        self._max_bytes = ring.max_data_bytes
        self._interrupts = interrupts
        self._binary_face = _BinaryFace(self)

    def write(self, text: str) -> int:
        """Put the text where it survives this process; returns its length in characters."""
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data = text.encode("utf-8", "backslashreplace")
        except AttributeError:
            raise TypeError(f"write() argument must be str, not {type(text).__name__}") from None
        if _now() >= self._order.look_at:
            self._order.wait()
        if len(data) <= self._max_bytes:
            if data:
                execution = _get_current()  # looked up here, as the call below costs more than all of that
                self._put(self._kind, execution if execution in _running else printing_execution(), data)
        else:
            for piece in _pieces(data, self._max_bytes):
                self._put(self._kind, printing_execution(), piece)
        if self._interrupts.is_pending:
            self._interrupts.check()
        return len(text)

    def writelines(self, lines: Iterable[Any], /) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def after_fork(self) -> None:
        """In a forked child: the ring is the parent's alone, so write to the descriptor."""
        self._put = self._put_to_descriptor
        self._order = NO_ORDER

    def _put_to_descriptor(self, kind: int, execution: int, data: bytes, may_interrupt: bool = True) -> None:
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    @property
    def buffer(self) -> Any:
        """A binary face of the same stream."""
        return self._binary_face

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What cannot be encoded is shown escaped."""
        return "backslashreplace"

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

    def isatty(self) -> bool:
        """False: there may be many terminals, or none."""
        return False

    def reconfigure(self, **_: Any) -> None:
        """Accept what `io.TextIOWrapper` accepts; there is nothing to change."""

    def close(self) -> None:
        """Do nothing: the stream belongs to the kernel."""

    def __del__(self) -> None:
        """Do nothing: there is nothing to close."""


class _BinaryFace(io.RawIOBase):
    """Takes bytes for a `Stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: Any) -> int:
        """Write bytes as text; a character may be cut between two calls."""
        raw = bytes(data)
        self._stream.write(self._decoder.decode(raw))
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
    """Cut UTF-8 into pieces of at most ``size`` bytes, never inside a character."""
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def follow_threads() -> None:
    """Make every `threading.Thread` print under the execution that started it, and what an executor runs for it, too.

    All that is patched of the standard library for this is patched here.
    """
    start = threading.Thread.start
    bootstrap = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

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
    threading.Thread.start = start_attributed  # type: ignore[method-assign]
    threading.Thread._bootstrap_inner = run_attributed  # type: ignore[attr-defined]
