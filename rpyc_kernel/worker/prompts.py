"""How user code reads a line: it asks the session that submitted it, and waits for the answer.

`input`, `sys.stdin` and `getpass.getpass` all end here. Any thread may ask; each question has a token, so that
answers find their way.
"""

from __future__ import annotations

import builtins
import contextlib
import getpass
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from os import getpid  # not what user code may put in its place
from typing import Any, NamedTuple

from rpyc_kernel.system.originals import queue, threading
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.capture import asking_execution
from rpyc_kernel.worker.gui_loops import windows
from rpyc_kernel.worker.interrupts import Interrupts, may_interrupt, runs_user_code
from rpyc_kernel.worker.text_streams import KernelText

_LOOK_UP_S = 0.2

Ask = Callable[[int, int, str, bool], None]
"""Publishes a question: token, execution, prompt, whether it asks for a password."""

Withdraw = Callable[[int, int], None]
"""Publishes that a question waits for an answer no longer: token, execution."""


class _Answer(NamedTuple):
    text: str | None
    is_refused: bool


class _Question:
    """A question that waits.

    Attributes:
        asked: what `Ask` takes.
        answers: where its answer comes.
        bell: a descriptor to write to when the answer is there, None where nobody waits for that.
        is_told: it was told to a hub that may be another one than it was asked by.
    """

    def __init__(self, asked: tuple[int, int, str, bool]) -> None:
        self.asked = asked
        self.answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self.bell: int | None = None
        self.is_told = False
        self._lock = threading.Lock()

    def answer(self, answer: _Answer) -> None:
        """Hand in its answer, from any thread."""
        with self._lock:
            self.answers.put(answer)
            if self.bell is not None:
                os.write(self.bell, b"!")

    @contextlib.contextmanager
    def ringing(self) -> Iterator[tuple[int, int]]:
        """Have a descriptor that can be read when there is an answer, and one that makes it so."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        try:
            with self._lock:
                self.bell = writer
            yield reader, writer
        finally:
            with self._lock:
                self.bell = None
            os.close(reader)
            os.close(writer)


class Prompts:
    """The questions that wait for an answer, or for an interrupt."""

    def __init__(self, ask: Ask, withdraw: Withdraw, interrupts: Interrupts) -> None:
        self._ask = ask
        self._withdraw = withdraw
        self._interrupts = interrupts
        self._pid = getpid()
        self._tokens = itertools.count(1)
        self._waiting: dict[int, _Question] = {}

    def read_line(self, prompt: str, password: bool = False) -> str:
        """Ask and wait; returns the answer without a line end.

        Raises:
            EOFError: the answer was end-of-file, or this is a forked child, which nobody answers.
            NotImplementedError: nobody can be asked.
            KeyboardInterrupt: the execution was interrupted.
        """
        if forks.is_child():
            raise EOFError("a forked child of the kernel has nobody to ask")
        token = self._pid << 20 | next(self._tokens)
        execution = asking_execution()
        question = self._waiting[token] = _Question((token, execution, prompt, password))
        try:
            try:
                self._ask(token, execution, prompt, password)
                answer = self._wait(question)
            finally:
                self._waiting.pop(token, None)  # before it is withdrawn: `tell` looks here
        except BaseException:
            self._withdraw(token, execution)
            raise
        if question.is_told:  # by then the answer may have been on its way, from the hub before
            self._withdraw(token, execution)
        if answer.is_refused:
            raise _make_refusal("getpass" if password else "raw_input")
        if answer.text is None:
            raise EOFError("EOF when reading a line")
        return answer.text

    @may_interrupt
    def _wait(self, question: _Question) -> _Answer:
        self._interrupts.check()
        if threading.get_ident() == threading.main_thread().ident:
            return self._wait_with_windows(question) if windows.are_alive else question.answers.get()
        while True:  # what is raised in a side lane arrives only between two calls
            with contextlib.suppress(queue.Empty):
                return question.answers.get(timeout=_LOOK_UP_S)

    def _wait_with_windows(self, question: _Question) -> _Answer:
        with question.ringing() as (reader, writer):
            while question.answers.empty():
                windows.live_until_readable(reader, writer)
                self._interrupts.check()
                with contextlib.suppress(BlockingIOError):  # of signals
                    os.read(reader, 512)
        return question.answers.get()

    def answer(self, token: int, text: str | None, is_refused: bool = False) -> bool:
        """Hand in the answer to a question; False when nobody waits for it."""
        question = self._waiting.pop(token, None)
        if question is None:
            return False
        question.answer(_Answer(text, is_refused))
        return True

    def tell(self, publish: Callable[[list[int]], None]) -> None:
        """Publish the questions that wait, and then their tokens; withdraw those that no longer wait by then."""
        told = dict(self._waiting)
        for question in told.values():
            question.is_told = True
            self._ask(*question.asked)
        publish(list(told))
        for token, question in told.items():
            if token not in self._waiting:
                self._withdraw(token, question.asked[1])

    def close(self) -> None:
        """Tell all who wait that nobody can be asked any more."""
        for token in list(self._waiting):
            self.answer(token, None, is_refused=True)

    def install(self) -> None:
        """Become what `input`, `sys.stdin` and `getpass` of user code use."""
        read_from_stream = builtins.input

        @runs_user_code
        def ask_for_line(prompt: object = "", /) -> str:
            if type(sys.stdin) is not StandardInput:  # user code has put something of its own there
                return read_from_stream(prompt)
            with contextlib.suppress(Exception):  # the built-in one does not mind either
                sys.stdout.flush()
            return self.read_line(str(prompt))

        def ask_for_password(prompt: str = "Password: ", stream: Any = None) -> str:
            return self.read_line(prompt, password=True)

        ask_for_line.__name__ = ask_for_line.__qualname__ = "input"
        ask_for_line.__doc__ = builtins.input.__doc__
        builtins.input = ask_for_line
        getpass.getpass = ask_for_password
        sys.stdin = StandardInput(self)


def _make_refusal(asked: str) -> Exception:
    """What is raised where nobody can be asked: IPython's error, in the words of its kernel that programs look for."""
    of_ipython = sys.modules.get("IPython.core.error")
    kind = NotImplementedError if of_ipython is None else of_ipython.StdinNotImplementedError
    return kind(f"{asked} was called, but this frontend does not support input requests.")


class StandardInput(KernelText):
    """``sys.stdin`` of user code: each line is asked for, with an empty prompt."""

    name = "<stdin>"
    mode = "r"

    def __init__(self, prompts: Prompts) -> None:
        super().__init__("strict")
        self._prompts = prompts
        self.buffer = io.BufferedReader(_BinaryInput(self))
        self._lock = threading.Lock()
        self._rest = ""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return one line with its end, "" at end-of-file."""
        with self._lock:
            if not self._rest:
                try:
                    self._rest = self._prompts.read_line("") + "\n"
                except (EOFError, NotImplementedError):  # the latter where nobody can be asked
                    return ""
            limit = len(self._rest) if size is None or size < 0 else size
            line, self._rest = self._rest[:limit], self._rest[limit:]
            return line

    def read(self, size: int | None = -1, /) -> str:
        """Return what is entered up to end-of-file, or ``size`` characters at most from the next line."""
        if size is not None and size >= 0:
            return self.readline(size)
        return "".join(iter(self.readline, ""))

    def readable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The descriptor for child processes, which find nothing there."""
        return 0


class _BinaryInput(io.RawIOBase):
    """Reads bytes from a `StandardInput`: what is entered, line by line."""

    def __init__(self, text: StandardInput) -> None:
        self._text = text
        self._rest = b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer from the next line; 0 is end-of-file."""
        data = self._rest or self._text.readline().encode()
        count = min(len(data), len(buffer))
        buffer[:count], self._rest = data[:count], data[count:]
        return count

    def readable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream."""
        return self._text.fileno()

    def close(self) -> None:
        """Do nothing: the stream belongs to the kernel."""
