"""A console on a real terminal: an editor at the bottom, and everything that happens meanwhile above it.

All writing goes through one place and one thread. While the editor is on the screen, whole lines are put above it, and
a line that is not finished yet is shown as the first line of the prompt. The terminal stays in raw mode meanwhile, so
that what is typed is neither echoed nor lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth
from pygments.lexers.python import PythonLexer

from rpyc_kernel.faces.console.completion import KernelCompleter
from rpyc_kernel.faces.console.hints import Hints
from rpyc_kernel.faces.console.keys import KEYS, make_code_keys, make_common_keys
from rpyc_kernel.faces.console.pager import find_pager, read_in_pager, was_interrupted, was_read
from rpyc_kernel.faces.console.text_width import count_rows, width_of
from rpyc_kernel.faces.console.visible_text import Size, VisibleText
from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.faces.frontend.status_line import StatusLine
from rpyc_kernel.faces.frontend.view import Interrupted, Withdrawn
from rpyc_kernel.system.suspending import Suspending
from rpyc_kernel.system.terminal_modes import read_modes, set_modes

_MAX_UNFINISHED_CHARS = 1000
_PROMPT_ROWS = 4


class _Output(Vt100_Output):
    """A terminal that is not asked where its cursor is.

    That would cost a slow line a round trip with every piece of output, and have the bar jump between the prompt and
    the lower end of the window.
    """

    def get_rows_below_cursor_position(self) -> int:
        """As many as the prompt itself needs; more are made by scrolling."""
        return 1


class Terminal:
    """A `Screen`; see there.

    Args:
        find_indent: tells what the next line of incomplete code begins with; None if the code is complete.
        completer: knows what could stand at the cursor.
        hints: tell about what is typed.
        bar: stands below the prompt.
        past: earlier code, oldest first.
        is_colourful: whether to use colours.
    """

    def __init__(
        self,
        find_indent: Callable[[str], str | None],
        completer: KernelCompleter,
        hints: Hints,
        bar: StatusLine,
        *,
        past: Sequence[str],
        is_colourful: bool,
    ) -> None:
        self.is_interactive = True
        self.keys = KEYS
        self.is_colourful = is_colourful
        self._completer = completer
        self._hints = hints
        self._bar = bar
        self._proposed = ""
        self._unfinished = ""
        self._visible = VisibleText()
        self._prompt_rows = _PROMPT_ROWS
        self._modes: list[Any] | None = None
        self._leaving: Awaitable[None] | None = None
        self._active: PromptSession[str] | None = None
        depth = None if is_colourful else ColorDepth.DEPTH_1_BIT
        output = _Output.from_pty(sys.stdout, term=os.environ.get("TERM"))
        output.enable_cpr = False
        suspend = Suspending(self._leave_terminal, self._take_terminal).stop_all
        self._editor: PromptSession[str] = PromptSession(
            message=lambda: self._with_unfinished(">>> "),
            multiline=True,
            prompt_continuation=lambda width, line, wrap: " " * width if wrap else "... ",
            lexer=PygmentsLexer(PythonLexer) if is_colourful else None,
            completer=completer,
            complete_while_typing=False,
            history=InMemoryHistory(past),
            key_bindings=make_code_keys(suspend, find_indent),
            bottom_toolbar=self._write_bar,
            color_depth=depth,
            output=output,
            interrupt_exception=Interrupted,
        )
        self._question = ""
        self._asker: PromptSession[str] = PromptSession(
            message=lambda: self._with_unfinished(self._question),
            complete_while_typing=False,
            color_depth=depth,
            key_bindings=make_common_keys(suspend),
            output=output,
            interrupt_exception=Interrupted,
        )
        for session in (self._editor, self._asker):
            session.app.after_render += self._note_drawn
        hints.watch(self._editor.default_buffer, self._editor.app.invalidate)

    # ------------------------------------------------------------------ showing

    @property
    def is_reading(self) -> bool:
        """See `Screen`."""
        return self._active is not None and self._active.app.is_running

    @property
    def room(self) -> Size:
        """See `Screen`."""
        rows, columns = self._size
        return max(0, rows - self._prompt_rows), columns

    @property
    def _size(self) -> Size:
        size = self._editor.app.output.get_size()
        return size.rows, size.columns

    def write(self, text: str) -> None:
        """See `Screen`."""
        if not text:
            return
        self._visible.add(text, self._size)
        if not self.is_reading:
            self._put(text)
            self._unfinished = (self._unfinished + text).rpartition("\n")[2][-_MAX_UNFINISHED_CHARS:]
            return
        done, newline, rest = (self._unfinished + text).rpartition("\n")
        last_column = rest.rpartition("\r")[2]
        if len(last_column) > _MAX_UNFINISHED_CHARS:
            done, newline, last_column = done + newline + last_column, "\n", ""
            self._visible.add("\n", self._size)
        self._unfinished = last_column
        if newline:
            self._put_above(done + newline)
        assert self._active is not None
        self._active.app.invalidate()

    def replace(self, old: str, new: str) -> bool:
        """See `Screen`."""
        if old == new:
            return True
        rows, columns = self._size
        if not self._visible.has(old, (rows, columns)):
            return False
        # Above a prompt, which has the unfinished line in it, or behind that line.
        standing = "".join(old.rpartition("\n")[:2]) if self.is_reading else old
        upwards = count_rows(standing, columns)
        if upwards + (self._prompt_rows if self.is_reading else 1) > rows:
            return False
        self._visible.replace(old, new)
        erase = f"\r\x1b[{upwards}A\x1b[J" if upwards else "\r\x1b[J"
        done, newline, rest = new.rpartition("\n")
        self._unfinished = rest[-_MAX_UNFINISHED_CHARS:]
        if not self.is_reading:
            self._put(erase + new)
        elif self._active is not None:
            self._put_above(erase + done + newline)
            self._active.app.invalidate()
        return True

    def is_too_long(self, text: str) -> bool:
        """See `Screen`."""
        rows, columns = self._size
        return count_rows(text, columns) >= rows and not self.is_reading and bool(find_pager(os.environ))

    async def page(self, text: str) -> bool:
        """See `Screen`."""
        status = await read_in_pager(find_pager(os.environ), text)
        self._visible.forget()
        if was_interrupted(status):
            self._put("\n")
        return was_read(status)

    def end_line(self) -> None:
        """See `Screen`."""
        if self._unfinished and not self.is_reading:
            self._put("\n")
            self._visible.add("\n", self._size)
        self._unfinished = ""

    def _put(self, text: str) -> None:
        output = self._editor.app.output
        output.write_raw(text)
        output.flush()

    def _put_above(self, text: str) -> None:
        """Erase the editor, write, and have it drawn again."""
        assert self._active is not None
        app = self._active.app
        app.renderer.erase(leave_alternate_screen=False)
        self._put(text)
        app.renderer.request_absolute_cursor_position()

    def _note_drawn(self, app: Application[str]) -> None:
        self._modes = self._modes or read_modes(sys.stdin.fileno())
        screen = app.renderer.last_rendered_screen
        if screen is not None:
            self._prompt_rows = max(self._prompt_rows, screen.height)

    def refresh(self) -> None:
        """See `Screen`."""
        if self.is_reading:
            self._editor.app.invalidate()

    def _write_bar(self) -> StyleAndTextTuples:
        width = self._editor.app.output.get_size().columns
        lines: StyleAndTextTuples = [*self._hints.line, ("", "\n")] if self._hints.line else []
        return [*lines, ("", f" {self._bar.text(width - 1, get_cwidth)}".ljust(width))]

    def _with_unfinished(self, prompt: str) -> StyleAndTextTuples:
        return to_formatted_text(ANSI(self._unfinished + ("\n" if self._unfinished else "") + prompt))

    # ------------------------------------------------------------------ reading

    def propose(self, text: str) -> None:
        """See `Screen`."""
        self._proposed = text

    async def read_code(self) -> str:
        """See `Screen`."""
        proposed, self._proposed = self._proposed, ""
        try:
            return await self._read(self._editor, proposed)
        except Interrupted:
            if self._editor.default_buffer.text:
                return ""  # the line is given up, as in every shell
            raise

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """See `Screen`."""
        completes = not is_password and execution is not None
        self._asker.completer = self._completer.for_answers(execution or 0) if completes else None
        self._question = sanitize(self._take_back_line() + question, keep_colours=self.is_colourful)
        self._asker.is_password = is_password
        return (await self._read(self._asker)).partition("\n")[0]

    async def _read(self, session: PromptSession[str], proposed: str = "") -> str:
        self._active = session
        self._modes = None
        try:
            return await session.prompt_async(default=proposed, set_exception_handler=False, handle_sigint=False)
        finally:
            self._active = None
            self._visible.forget()
            self._prompt_rows = _PROMPT_ROWS
            self._unfinished = ""  # what was left of it stands above the line that was typed

    def _take_back_line(self) -> str:
        """Remove the unfinished line from the screen, if that can be done, to become the beginning of a question."""
        line, self._unfinished = self._unfinished.rpartition("\r")[2], ""
        if not line:
            return ""
        self._visible.forget()
        if width_of(line) >= self._asker.app.output.get_size().columns:
            self._put("\n")
            return ""
        self._put("\r\x1b[K")
        return line

    def interrupt(self) -> None:
        """See `Screen`."""
        self._stop(Interrupted)

    def withdraw(self) -> None:
        """See `Screen`."""
        self._stop(Withdrawn)

    def _stop(self, reason: type[Exception]) -> None:
        if self._active is not None and self._active.app.is_running and not self._active.app.is_done:
            self._active.app.exit(exception=reason(), style="class:aborting")

    # ------------------------------------------------------------------ stopping and going on

    def _leave_terminal(self, stop: Callable[[], None]) -> None:
        if self._active is None or not self.is_reading:
            self._be_away(stop)
            return
        with set_app(self._active.app):
            self._leaving = run_in_terminal(partial(self._be_away, stop))

    def _be_away(self, stop: Callable[[], None]) -> None:
        stop()
        self._visible.forget()  # a shell has written

    def _take_terminal(self) -> None:
        """Have the terminal as it was before somebody stopped this process without asking."""
        self._visible.forget()
        if self._active is not None and self.is_reading and self._modes is not None:
            set_modes(sys.stdin.fileno(), self._modes)
            self._active.app.renderer.reset()
            self._active.app.invalidate()
