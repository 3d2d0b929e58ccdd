"""The command that opens a full screen: screen."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os
import sys

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    INTERRUPTED,
    NO_KERNEL,
    OK,
    TERMINATED,
    UsageError,
    kernel_there,
    named_again,
)
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.client.address import host_of
from rpyc_kernel.core.contract import Role
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_INSTALL = "install it with: pip install 'rpyc-kernel[screen]'"


class Screen(FrontEndCommand):
    """Open a kernel on a full screen: transcript, queue, people, variables, plots. Starts the kernel if there is none.

    Ctrl-D leaves; the kernel goes on. Needs the extra screen, and a terminal.
    """

    def main(self, name: str = DEFAULT_NAME) -> int:
        if not (_is_served() or _has_terminal()):
            raise UsageError("a full screen needs a terminal; 'rpyc-kernel console' works with any, and with a pipe")
        try:
            from rpyc_kernel.faces.screen import app
        except ImportError as error:
            raise UsageError(f"the full screen needs Textual ({error}); {_INSTALL}") from None
        from rpyc_kernel.faces.frontend import conversation as ends

        kernel, how = self.join_or_start(name)
        with kernel:
            end = app.run(
                ends.Conversation(
                    kernel,
                    f"{how} kernel {kernel_there(kernel.name, name)} as {kernel.client_name}; F1 helps, Ctrl-D leaves",
                    target=named_again(name),
                    host=sanitize_line(host_of(name)),
                    replays=bool(self.replays),
                    is_viewer=kernel.role == Role.VIEWER,
                )
            )
        if end in (ends.LOST, ends.REFUSED):
            if end == ends.LOST:
                self.tell_way_back(name)
            return NO_KERNEL
        if end in (ends.INTERRUPTED, ends.TERMINATED):
            return INTERRUPTED if end == ends.INTERRUPTED else TERMINATED
        print(f"the kernel goes on; come back with {self.way_back(name)}")
        return OK


def _is_served() -> bool:
    """Whether a browser shows what this draws: textual-serve says so."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


def _has_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "dumb") in ("", "dumb")
    return sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb
