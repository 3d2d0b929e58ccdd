"""Terminals of a test's own: each a pseudo-terminal with a program, and an emulator that says what is on the screen.

The emulator answers what programs ask a terminal, such as where its cursor is, whenever a test waits for any terminal.
"""

import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.support.folders import Folders
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""How long anything may take that a slow machine can slow down, in seconds."""

COMMAND = [sys.executable, str(ROOT / "tests/end_to_end/programs/patiently.py")]
IMPATIENT_COMMAND = [sys.executable, "-m", "rpyc_kernel"]
"""Gives up as early as users see it do; for tests of that alone."""
SHELL = [sys.executable, str(ROOT / "tests/end_to_end/programs/job_control.py")]
CTRL_C, CTRL_D, CTRL_Z, TAB, ENTER = "\x03", "\x04", "\x1a", "\t", "\r"


class _Emulator(pyte.HistoryScreen):
    """A screen whose answers go to the program."""

    def __init__(self, columns: int, rows: int, answer: Callable[[str], object]) -> None:
        super().__init__(columns, rows, history=10_000, ratio=0.5)
        self.answer = answer
        self.title_was_set = False

    def write_process_input(self, data: str) -> None:
        self.answer(data)

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """As terminals do: of a lower window the rows below the cursor go first, then those at the top scroll away."""
        scrolled = max(0, self.cursor.y + 1 - (lines or self.lines))
        for _ in range(scrolled):
            self.history.top.append(self.buffer[0])
            for row in range(self.lines - 1):
                self.buffer[row] = self.buffer[row + 1]
            self.buffer.pop(self.lines - 1, None)
        row, column = self.cursor.y - scrolled, self.cursor.x
        kept = {number: self.buffer[number] for number in range(min(lines or self.lines, self.lines))}
        self.buffer.clear()
        super().resize(lines, columns)
        self.buffer.update(kept)
        self.cursor.y, self.cursor.x = row, min(column, self.columns - 1)
        self.dirty.update(range(self.lines))

    def set_title(self, param: str) -> None:
        self.title_was_set = True


class Terminal:
    """One terminal and the program on it.

    Args:
        arguments: the command line after the program, ``rpyc-kernel``.
        environment: further variables.
        group: all terminals of the test, this one included; they are served together.
        has_shell: run it from a shell that can stop and continue it.
        program: the command line before that.
    """

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        group: "list[Terminal]",
        *,
        rows: int,
        columns: int,
        has_shell: bool = False,
        program: Sequence[str] = COMMAND,
    ) -> None:
        command = [*(SHELL if has_shell else ()), *program, *arguments]
        self._group = group
        variables = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environment}
        for name in ("COLUMNS", "LINES"):  # left there by whatever ran before, they would hide the terminal's size
            variables.pop(name, None)
        self.child = pexpect.spawn(
            command[0],
            command[1:],
            env=variables,
            dimensions=(rows, columns),
            timeout=PATIENCE_S,
            echo=True,
        )
        self.child.delaybeforesend = None
        self.child.ptyproc.delayafterclose = 0  # seconds for a program to end in, which here has ended before
        self.raw = b""
        self._screen = _Emulator(columns, rows, self.child.send)
        self._stream = pyte.ByteStream(self._screen)
        # To make lines of a screen takes long, and whoever waits looks at them again and again.
        self._display: list[str] | None = None
        self._lines: list[str] | None = None

    # ------------------------------------------------------------------ what a person does

    def type(self, text: str) -> None:
        """Press keys."""
        self.child.send(text)

    def enter(self, text: str) -> None:
        """Type a line at the prompt, once that is there, and press Enter, and see that the line was taken."""
        self.wait_for_prompt()
        typed = _squeeze(self.cursor_line + text)
        self.type(text)
        self._wait(lambda: _squeeze(self.text).endswith(typed), f"the typed {text!r}")
        row = self._row
        self.type(ENTER)
        self._wait(lambda: self._row > row, f"the end of the line {text!r}")

    def paste(self, text: str) -> None:
        """Paste as terminals do."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        self._screen.resize(rows, columns)
        self._display = self._lines = None
        self.child.setwinsize(rows, columns)

    def kill(self) -> None:
        """End the program at once."""
        self.child.kill(signal.SIGKILL)
        self.wait_for_end()

    # ------------------------------------------------------------------ what a person sees

    @property
    def lines(self) -> list[str]:
        """Everything from the first line that scrolled away to the last on the screen."""
        if self._lines is None:
            columns = range(self._screen.columns)
            past = ["".join(row[column].data for column in columns) for row in self._screen.history.top]
            self._lines = [line.rstrip() for line in [*past, *self.display[: self._bar_row]]]
        return self._lines

    @property
    def display(self) -> list[str]:
        """What is on the screen, all of it."""
        if self._display is None:
            self._display = list(self._screen.display)
        return self._display

    @property
    def bar(self) -> str:
        """What stands below the prompt: the hint, if there is one, and the bar."""
        return "\n".join(line.rstrip() for line in self.display[self._bar_row :]).rstrip()

    @property
    def _bar_row(self) -> int:
        """The first row of the bar, which is shown in reverse, unlike anything above it."""
        is_bar = [self._screen.buffer[row][0].reverse for row in range(self._screen.lines)]
        return is_bar.index(True) if True in is_bar else self._screen.lines

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines).rstrip()

    @property
    def cursor_line(self) -> str:
        """The line the cursor is in."""
        return self.display[self._screen.cursor.y].rstrip()

    @property
    def _row(self) -> int:
        return len(self._screen.history.top) + self._screen.cursor.y

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Wait until so many places of the text match the pattern; ``^`` and ``$`` are ends of lines."""
        expression = re.compile(pattern, re.MULTILINE)
        self._wait(lambda: len(expression.findall(self.text)) >= count, f"{pattern!r} {count} times")

    def wait_for_all(self, *lines: str) -> None:
        """Wait until all there is to see above the bar is lines that match these patterns, one each, and no other."""
        expression = re.compile("\n".join(lines))
        self._wait(lambda: expression.fullmatch(self.text) is not None, "\n".join(["only these lines:", *lines]))

    def wait_for_bar(self, pattern: str) -> None:
        """Wait until what stands below the prompt has a place that matches the pattern."""
        self._wait(lambda: re.search(pattern, self.bar) is not None, f"{pattern!r} in {self.bar!r}")

    def wait_for_sentence(self, sentence: str) -> None:
        """Wait until this is said, wherever the terminal breaks the line."""
        self._wait(lambda: _squeeze(sentence) in _squeeze(self.text), repr(sentence))

    def wait_for_bytes(self, data: bytes) -> None:
        """Wait until the program has written this, whatever it looks like."""
        self._wait(lambda: data in self.raw, repr(data))

    def wait_for_prompt(self, prompt: str = ">>>") -> None:
        """Wait until the cursor stands behind an empty prompt, at the lower end of the text."""
        self._wait(lambda: self.cursor_line == prompt and self.lines_below_cursor == "", f"the prompt {prompt!r}")

    @property
    def lines_below_cursor(self) -> str:
        return "".join(self.display[self._screen.cursor.y + 1 : self._bar_row]).strip()

    def wait_for_end(self) -> int:
        """Wait until the program has ended, and return its exit status; that of a signal is negative."""
        self._wait(lambda: not self.child.isalive(), "the end of the program")
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus

    @property
    def title_was_set(self) -> bool:
        """Whether something renamed the window."""
        return self._screen.title_was_set

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def serve_and_look() -> bool:
            serve(self._group)
            return condition()

        try:
            wait_until(serve_and_look, PATIENCE_S, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the terminal shows:\n{self.text}") from None

    # ------------------------------------------------------------------ service

    def read(self) -> None:
        """Take in what the program has written."""
        with suppress(OSError):  # EIO: the program has ended
            data = os.read(self.child.child_fd, 1 << 16)
            self.raw += data
            self._stream.feed(data)
            self._display = self._lines = None

    def close(self) -> None:
        """Leave nothing behind of it."""
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            wait_until(lambda: not self.child.isalive(), PATIENCE_S, "the end of the program")
        self.child.close(force=True)


def _squeeze(text: str) -> str:
    """Without spaces and line ends, of which a screen knows not all."""
    return "".join(text.split())


def serve(terminals: list[Terminal]) -> None:
    """Take in all that there is now."""
    while True:
        by_descriptor = {terminal.child.child_fd: terminal for terminal in terminals if not terminal.child.closed}
        ready, _, _ = select.select(list(by_descriptor), [], [], 0)
        progress = False
        for descriptor in ready:
            before = len(by_descriptor[descriptor].raw)
            by_descriptor[descriptor].read()
            progress |= len(by_descriptor[descriptor].raw) > before
        if not progress:
            return


OpenTerminal = Callable[..., Terminal]


@pytest.fixture
def open_terminal(folders: Folders) -> Iterator[OpenTerminal]:
    """Opens terminals, each with a command of ours on it, and closes them with the test."""
    group: list[Terminal] = []

    def open_one(
        *arguments: str,
        rows: int = 30,
        columns: int = 100,
        has_shell: bool = False,
        program: Sequence[str] = COMMAND,
        **environment: str,
    ) -> Terminal:
        terminal = Terminal(
            list(arguments),
            environment,
            group,
            rows=rows,
            columns=columns,
            has_shell=has_shell,
            program=program,
        )
        group.append(terminal)
        return terminal

    yield open_one
    for terminal in group:
        terminal.close()
