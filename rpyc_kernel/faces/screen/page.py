"""The full screen as the program of a page: how textual-serve runs it, and what the page shows when it has ended.

A page that is told of the end covers everything with a word of its own. So it is told only where the user has left;
else the last words stay on it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial

from textual import messages
from textual.drivers.web_driver import WebDriver

from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.system.own_command import as_typed_here

_BEGINNING = b"__GANGLION__\n"
_BELOW = "\x1b[?1003l\x1b[999;1H\n\x1b[0;1m"
"""No mouse any more, and on in a line below all that is there, in bold."""


class PageDriver(WebDriver):
    """Draws on a page, and ends the program when whoever serves the page is gone, however that ended."""

    def run_input_thread(self) -> None:
        """Take in what is typed until there is nobody any more who would pass it on."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())

    def start_application_mode(self) -> None:
        """Begin to draw."""
        self._write = partial(_write)
        super().start_application_mode()

    def stop_application_mode(self) -> None:
        """Draw no more; `end_page` says how it ended."""
        self.exit_event.set()
        self._input_reader.close()


def end_page(words: str = "", *, has_begun: bool = True) -> None:
    """Leave these words on the page; where there are none, tell it that the user has left.

    Args:
        words: of one line or more.
        has_begun: whether the screen was there already.
    """
    shown = f"{as_typed_here(sanitize(words))}\nReload the page to try again.".replace("\n", "\r\n")
    kind, payload = (b"D", f"{_BELOW if has_begun else ''}{shown}") if words else (b"M", '{"type": "exit"}')
    data = payload.encode()
    _write((b"" if has_begun else _BEGINNING) + kind + len(data).to_bytes(4, "big") + data)


def _write(data: bytes) -> int:
    with contextlib.suppress(BrokenPipeError):  # the end of what is typed says the same
        return os.write(sys.__stdout__.fileno(), data)  # type: ignore[union-attr]
    return 0
