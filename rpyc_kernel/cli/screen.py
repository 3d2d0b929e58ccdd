"""The command that opens a full screen: screen."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rpyc_kernel.cli.application import DEFAULT_NAME, NO_KERNEL, OK, UsageError
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.errors import KernelError
from rpyc_kernel.system.own_command import way_to_install

_INSTALL = f"install it with: {way_to_install('screen')}"
PAGE_DRIVER = "rpyc_kernel.faces.screen.page:PageDriver"
"""What TEXTUAL_DRIVER says where a browser shows it."""


class Screen(FrontEndCommand):
    """Open a kernel on a full screen: transcript, queue, people, variables, plots. Starts the kernel if there is none.

    Ctrl-D leaves; the kernel goes on. Needs the extra screen, and a terminal.
    """

    def main(self, name: str = DEFAULT_NAME) -> int:
        is_page = os.environ.get("TEXTUAL_DRIVER") == PAGE_DRIVER
        if not (is_page or _has_terminal()):
            raise UsageError(
                "a full screen needs a terminal, as standard error too; "
                "'rpyc-kernel console' works with any, and with a pipe"
            )
        try:
            from rpyc_kernel.faces.screen import app
        except ImportError as error:
            raise UsageError(f"the full screen needs Textual ({error}); {_INSTALL}") from None
        if is_page:
            from rpyc_kernel.faces.screen.page import end_page

            return self._fill_page(name, end_page)
        with self.open_conversation(name, "F1 helps, Ctrl-D leaves") as conversation:
            end = app.run(conversation)
        status = self.status_of_end(end, name)
        if status == OK:
            print(f"the kernel goes on; come back with {self.way_back(name)}")
        return status

    def _fill_page(self, name: str, end_page: Callable[..., None]) -> int:
        """The same on a page, where all that is to be said at the end is said, too."""
        from rpyc_kernel.faces.frontend.conversation import LEFT
        from rpyc_kernel.faces.screen import app

        try:
            with self.open_conversation(name, "F1 helps, Ctrl-D leaves") as conversation:
                end = app.run(conversation)
        except KernelError as error:
            end_page(str(error), has_begun=False)
            return NO_KERNEL
        end_page("" if end == LEFT else self.find_loss(name) or "the connection is lost")
        return OK if end == LEFT else NO_KERNEL


def _has_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "dumb") in ("", "dumb")
    # Textual draws on standard error; with that in a file there would be nothing to see.
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and not is_dumb
