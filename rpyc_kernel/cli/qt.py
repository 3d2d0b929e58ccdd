"""The command that opens a window: qt."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, SIGNALLED, UsageError
from rpyc_kernel.cli.joining import FrontEndCommand


class Qt(FrontEndCommand):
    """Open a window on a kernel: console, variables, tables, plots. Starts the kernel if there is none.

    Closing the window leaves the kernel running. Needs the extra qt, or PyQt6 or PyQt5 with qtpy, and a display.
    """

    def main(self, name: str = DEFAULT_NAME) -> int:
        from rpyc_kernel.faces.qt.application import find_hindrance, run_window

        if hindrance := find_hindrance(os.environ):
            raise UsageError(hindrance)
        with self.open_conversation(name, "%help explains") as conversation:
            received = run_window(conversation)
        return OK if received is None else SIGNALLED + received
