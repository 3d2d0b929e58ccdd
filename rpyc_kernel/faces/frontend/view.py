"""What a conversation needs of the place where it is seen: a terminal, a window, a pipe each provide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rpyc_kernel.faces.frontend.transcript import Change


class Interrupted(Exception):
    """There was a Ctrl-C. Unlike a KeyboardInterrupt, this one may end a task without ending the loop."""


class Withdrawn(Exception):
    """What was being read is not wanted any more."""


class Reader(Protocol):
    """Reads code and answers. All of it happens in the loop of the conversation.

    Attributes:
        is_interactive: whether a person types, sees prompts, and wants to be told what goes on.
        keys: what its keys do, in lines, for the help; "" where that need not be said.
    """

    is_interactive: bool
    keys: str

    @property
    def is_reading(self) -> bool:
        """Whether somebody waits for `read_code` or `ask`."""

    def is_too_long(self, text: str) -> bool:
        """Whether a text is for a pager."""

    async def page(self, text: str) -> bool:
        """Have the user read a text at leisure; False if there is no pager."""

    def refresh(self) -> None:
        """What stands around the prompt has changed."""

    def propose(self, text: str) -> None:
        """Have the next code begin as this text, which the user may change."""

    async def read_code(self) -> str:
        """Read some complete code.

        Raises:
            EOFError: the user leaves.
            Interrupted: there was a Ctrl-C on an empty line.
            Withdrawn: `withdraw` was called.
        """

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """Read one line, after a question.

        Args:
            question: stands before it.
            is_password: hide what is typed.
            execution: asks, for a screen that completes what could be the answer.

        Raises:
            EOFError: the user has no answer.
            Interrupted: there was a Ctrl-C.
            Withdrawn: `withdraw` was called.
        """

    def interrupt(self) -> None:
        """End what is being read by `Interrupted`."""

    def withdraw(self) -> None:
        """End what is being read by `Withdrawn`."""


class View(Reader, Protocol):
    """Where a conversation is seen and typed. All of it happens in the loop of the conversation.

    Attributes:
        is_interactive: whether a person types, sees prompts, and wants to be told what goes on.
        keys: what its keys do, in lines, for the help; "" where that need not be said.
    """

    def show(self, changes: Sequence[Change]) -> None:
        """Show what has changed, in this order."""
