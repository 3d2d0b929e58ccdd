"""A console without a terminal's abilities: lines in, text out. For pipes, files, and terminals that are dumb."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rpyc_kernel.faces.console.standard_input import StandardInput
from rpyc_kernel.faces.frontend.view import Interrupted, Withdrawn

_KEYS = """\
Enter runs the code, if it is complete; this terminal has no other keys to edit with.
Ctrl-C stops waiting, and at an empty prompt offers to interrupt what runs. Ctrl-D leaves; the kernel stays."""


class Pipe:
    """A `Screen` of standard input and output; see there. Prompts are shown only to somebody who types at them.

    Args:
        find_indent: tells what the next line of incomplete code begins with; None if the code is complete.
    """

    is_colourful = False
    room = None

    def __init__(self, find_indent: Callable[[str], str | None]) -> None:
        self._find_indent = find_indent
        self._input = StandardInput(sys.stdin.fileno())
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.keys = _KEYS if self.is_interactive else ""
        self._reading: asyncio.Task[str] | None = None
        self._reason: type[Exception] | None = None
        self._is_mid_line = False

    @property
    def is_reading(self) -> bool:
        """See `Screen`."""
        return self._reading is not None

    def write(self, text: str) -> None:
        """See `Screen`."""
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._is_mid_line = not text.endswith("\n")

    def replace(self, old: str, new: str) -> bool:
        """What is written is written."""
        return False

    def is_too_long(self, text: str) -> bool:
        """There is no window."""
        return False

    async def page(self, text: str) -> bool:
        """There is no window."""
        return False

    def end_line(self) -> None:
        """See `Screen`."""
        if self._is_mid_line:
            self.write("\n")

    def refresh(self) -> None:
        """There is nothing around the prompt."""

    def propose(self, text: str) -> None:
        """A line of a pipe cannot be changed before it is read."""

    async def read_code(self) -> str:
        """See `Screen`."""
        return await self._read(self._read_lines())

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """See `Screen`."""
        prompt = question if self.is_interactive else ""
        return await self._read(self._input.read_line(prompt, is_hidden=is_password))

    def interrupt(self) -> None:
        """See `Screen`."""
        self._stop(Interrupted)

    def withdraw(self) -> None:
        """See `Screen`."""
        self._stop(Withdrawn)

    async def _read_lines(self) -> str:
        self._show_prompt(">>> ")
        lines = [await self._input.read_line()]
        while self._find_indent("\n".join(lines)) is not None:
            self._show_prompt("... ")
            try:
                lines.append(await self._input.read_line())
            except EOFError:
                break
        return "\n".join(lines)

    def _show_prompt(self, prompt: str) -> None:
        if self.is_interactive:
            sys.stdout.write(prompt)
            sys.stdout.flush()

    async def _read(self, reading: Coroutine[Any, Any, str]) -> str:
        self._reason = None
        self._reading = asyncio.ensure_future(reading)
        try:
            return await self._reading
        except EOFError:
            self._show_prompt("\n")
            raise
        except asyncio.CancelledError:
            if self._reason is None:
                raise
            self._show_prompt("\n")
            raise self._reason() from None
        finally:
            self._reading = None

    def _stop(self, reason: type[Exception]) -> None:
        if self._reading is not None:
            self._reason = reason
            self._reading.cancel()
