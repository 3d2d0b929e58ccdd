"""A console: a conversation with a kernel on the terminal, or through the pipes, of this process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from rpyc_kernel.faces.console.output import ConsoleView
from rpyc_kernel.faces.console.pictures import pictures_of_terminal
from rpyc_kernel.faces.console.pipe import Pipe
from rpyc_kernel.faces.console.screen import Screen
from rpyc_kernel.faces.frontend.control_characters import is_colourful
from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.faces.frontend.recalled_history import recall
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.state import CtrlC
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home


class Console:
    """One person's terminal on a kernel.

    Args:
        conversation: not yet begun.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._view: ConsoleView

    def run(self) -> str:
        """Talk until the user leaves or the connection is gone; says which it was, as `Conversation.run` does."""
        return asyncio.run(self._run())

    async def _run(self) -> str:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        # Not left to the system, which would leave the terminal as the editor needs it.
        loop.add_signal_handler(signal.SIGTERM, self._conversation.end)
        pictures = Home(Folders.from_environment().state / self._conversation.kernel.name).pictures
        renderer = Renderer(
            is_colourful=is_colourful(sys.stdout),
            show_picture=pictures_of_terminal(pictures, self._conversation.host).show,
        )
        self._view = ConsoleView(self._make_screen(), renderer)
        return await self._conversation.run(self._view)

    def _make_screen(self) -> Screen:
        conversation = self._conversation
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or _is_dumb():
            return Pipe(conversation.find_indent)
        from rpyc_kernel.faces.console.completion import KernelCompleter
        from rpyc_kernel.faces.console.hints import Hints
        from rpyc_kernel.faces.console.terminal import Terminal

        past = [known.code for known in recall(conversation.kernel)]
        completer = KernelCompleter(lambda: conversation.kernel, conversation.commands, self._show_completing)
        hints = Hints(lambda: conversation.kernel)
        return Terminal(
            conversation.find_indent,
            completer,
            hints,
            conversation.status_line,
            past=past,
            is_colourful=is_colourful(sys.stdout),
        )

    def _show_completing(self, is_completing: bool) -> None:
        self._conversation.status_line.is_completing = is_completing
        self._view.refresh()

    def _interrupt(self) -> None:
        if self._conversation.interrupt() is CtrlC.BREAK_OFF:
            self._view.end_line_of_ctrl_c()


def _is_dumb() -> bool:
    return os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")
