"""The command that opens a window: qt."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os
import signal

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    INTERRUPTED,
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


class Qt(FrontEndCommand):
    """Open a window on a kernel: console, variables, tables, plots. Starts the kernel if there is none.

    Closing the window leaves the kernel running. Needs the extra qt, or PyQt6 or PyQt5 with qtpy, and a display.
    """

    def main(self, name: str = DEFAULT_NAME) -> int:
        from rpyc_kernel.faces.frontend.conversation import Conversation
        from rpyc_kernel.faces.qt.application import find_hindrance, run_window

        if hindrance := find_hindrance(os.environ):
            raise UsageError(hindrance)
        kernel, how = self.join_or_start(name)
        with kernel:
            conversation = Conversation(
                kernel,
                f"{how} kernel {kernel_there(kernel.name, name)} as {kernel.client_name}; %help explains",
                target=named_again(name),
                host=sanitize_line(host_of(name)),
                replays=bool(self.replays),
                is_viewer=kernel.role == Role.VIEWER,
            )
            received = run_window(conversation)
        return OK if received is None else INTERRUPTED if received == signal.SIGINT else TERMINATED
