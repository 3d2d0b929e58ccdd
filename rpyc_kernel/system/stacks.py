"""The stacks of another process's threads: a thread of its writes them when asked, else its fault handler by a signal.

That thread holds the interpreter lock while it writes. A signal's handler does not, and what it meets half done of a
thread that runs may end the process. So there is a signal only where the thread does not get the lock: then some C code
holds it, and no thread runs Python. A process that is stopped gets none either, as it would come to it when it goes on.

The process writes into one file, and who asks shares what comes: a dump serves everybody who asked before it began.
A process that is stopped answers when it goes on, to whoever still waits then. What was read is taken out of the file.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.errors import KernelDied, WorkerBusy
from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.system.processes import is_stopped, would_end

STACK_SIGNAL: int = signal.SIGRTMIN + 5 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""Makes a worker's fault handler write all stacks, also while a C call holds the interpreter lock."""

_STACK_END = (b"_run_module_as_main\n", b"  ...\n", b"\n...\n")
"""The main thread of a worker comes last, and its outermost frame is runpy's; a very deep stack, and too many, end in
dots. That of a program that embeds a kernel ends as it likes: it is whole when the thread that wrote it says so."""
_FAULT = b"Fatal Python error"
OWN_FAULT = "Fatal Python error: the kernel's own code failed"
"""What a worker writes there that ends because its own code has failed; the rest of the line says how."""
_TAKEN_AWAY = (
    f"no stack can be had: code has taken the signal away by which the kernel asks for it, {int(STACK_SIGNAL)}; "
    "a restart brings it back"
)
_LOOK_S = 0.002
_LOOK_SELDOM_S = 0.05
_SILENCE_S = 1.0
"""How long a thread does not answer that is held up, not slow; whoever is in a hurry takes half of the time for it."""
_ASK_AGAIN_S = 1.0
_MAX_REASON = 500
_MAX_BYTES = 16 * 1024 * 1024


class _Asker:
    def __init__(self, timeout_s: float) -> None:
        self.deadline = time.monotonic() + timeout_s
        self.timeout_s = timeout_s
        self.answer: Future[str] = Future()


class Stacks:
    """Asks one process for its stacks.

    Args:
        pid: the process; it registered `STACK_SIGNAL`.
        file: a descriptor of the file that it appends to; closed by `close`.
        ask_thread: asks a thread of the process to write; what it returns is done when that has been written.
    """

    def __init__(self, pid: int, file: int, ask_thread: Callable[[], Future[Any]]) -> None:
        self._pid = pid
        self._file = file
        self._ask_thread = ask_thread
        self._lock = threading.Lock()
        self._askers: list[_Asker] = []
        self._thread: threading.Thread | None = None
        self._asked: Future[Any] | None = None
        self._asked_at = self._signalled_at = -math.inf
        self._start = 0  # of what was not read yet, in the file
        self._is_closed = False

    def ask(self, timeout_s: float) -> Future[str]:
        """Ask for the stacks; the answer fails with `WorkerBusy` when none came in time, with `KernelDied` at its end.

        Args:
            timeout_s: for how many seconds to wait, for others and for the process.
        """
        asker = _Asker(timeout_s)
        asker.answer.set_running_or_notify_cancel()
        with self._lock:
            if self._is_closed:
                asker.answer.set_exception(KernelDied("the worker ended before it showed its stacks"))
                return asker.answer
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name="stacks", daemon=True)
                thread.start()  # which raises where there are no more threads
                self._thread = thread
            self._askers.append(asker)
        return asker.answer

    def read_fault(self) -> str:
        """What the fault handler wrote when a fault killed the process, "" if none did."""
        text = self._read()
        start = text.rfind(_FAULT)
        return text[start:].decode("utf-8", "replace") if start >= 0 else ""

    @staticmethod
    def reason_of(fault: str) -> str:
        """Why a worker has ended itself, "" if it has not."""
        first = fault.partition("\n")[0]
        return first.partition(": ")[2][:_MAX_REASON] if first.startswith(OWN_FAULT) else ""

    def close(self) -> None:
        """Answer everybody; the process is gone."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            thread.join()
        os.close(self._file)

    # ------------------------------------------------------------------ the thread

    def _serve(self) -> None:
        """Ask the process, once for all who wait, until nobody waits."""
        pause = threading.Event()
        sharing: list[_Asker] = []
        before = b""
        began = time.monotonic()
        if not self._is_owed and _FAULT not in (text := self._read()):
            self._take_out(text)  # what an earlier hub asked for, or came too late
        while True:
            with self._lock:
                asking = list(self._askers)
                if not asking or self._is_closed:
                    self._thread = None
                    break
            has_answered = self._has_answered  # looked at before what it wrote is read
            text = self._read()
            if not text:
                sharing = asking  # whoever asked before the first byte was there
                self._ask_process(asking)
            elif text == before and (has_answered or text.endswith(_STACK_END)):
                self._finish(sharing, text)
                sharing, began = [], time.monotonic()
            self._expire(sharing, text)
            before = text
            pause.wait(_LOOK_S if time.monotonic() - began < _ASK_AGAIN_S else _LOOK_SELDOM_S)
        for asker in asking:
            asker.answer.set_exception(KernelDied("the worker ended before it showed its stacks"))

    @property
    def _is_owed(self) -> bool:
        """Whether the process may still write what it was asked for."""
        return self._signalled_at > -math.inf or not (self._asked is None or self._asked.done())

    @property
    def _has_answered(self) -> bool:
        """Whether the thread has written all, and a signal has not made the process write, too."""
        asked = self._asked
        has_answered = asked is not None and asked.done() and asked.exception() is None
        return has_answered and self._signalled_at == -math.inf

    def _ask_process(self, asking: list[_Asker]) -> None:
        now = time.monotonic()
        asked = self._asked
        if asked is None or (asked.done() and asked.exception() is None):  # what it wrote was read before it answered
            self._asked, self._asked_at = self._ask_thread(), now
        elif is_stopped(self._pid):
            self._asked_at = now
        silence_s = min([_SILENCE_S, *(asker.timeout_s / 2 for asker in asking)])
        if now < max(self._asked_at + silence_s, self._signalled_at + _ASK_AGAIN_S):
            return
        if would_end(self._pid, STACK_SIGNAL):
            for asker in asking:
                self._forget(asker)
                asker.answer.set_exception(WorkerBusy(_TAKEN_AWAY))
            return
        self._signalled_at = now
        with contextlib.suppress(OSError):  # it has just ended; `close` follows
            os.kill(self._pid, STACK_SIGNAL)

    def _finish(self, sharing: list[_Asker], text: bytes) -> None:
        """Give the dump to those who share it, and take it out of the file."""
        self._take_out(text)
        for asker in sharing:
            if not asker.answer.done():  # its time may have been up before
                self._forget(asker)
                asker.answer.set_result(text.decode("utf-8", "replace"))

    def _expire(self, sharing: list[_Asker], text: bytes) -> None:
        now = time.monotonic()
        with self._lock:
            late = [asker for asker in self._askers if asker.deadline <= now]
        for asker in late:
            self._forget(asker)
            if text and asker in sharing:  # better the part that came than nothing
                asker.answer.set_result(text.decode("utf-8", "replace"))
                continue
            asker.answer.set_exception(
                WorkerBusy(
                    f"no stack came within {asker.timeout_s:g} s: the system has stopped the worker, or keeps it, or "
                    f"its code has put something in place of what answers signal {int(STACK_SIGNAL)}"
                )
            )
        if late and text:  # it will not be finished
            self._take_out(text)

    def _forget(self, asker: _Asker) -> None:
        with self._lock:
            self._askers = [other for other in self._askers if other is not asker]

    def _read(self) -> bytes:
        try:
            return os.pread(self._file, _MAX_BYTES, self._start)
        except OSError:
            return b""

    def _take_out(self, text: bytes) -> None:
        """Make room for the next dump; a thread that has not answered is held up, and not asked again."""
        self._signalled_at = -math.inf
        if self._asked is not None and self._asked.done():
            self._asked = None
        try:
            os.ftruncate(self._file, 0)
            self._start = 0
        except OSError:  # the folder's file system fails: it is passed over instead
            self._start += len(text)
