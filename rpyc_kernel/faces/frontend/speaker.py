"""What the parts of a console need of it: to tell the user something, and to ask."""

from __future__ import annotations

from typing import Protocol


class Speaker(Protocol):
    """Talks to the user, in the order of what is shown."""

    def say(self, text: str) -> None:
        """Show a line of the console's own."""

    def explain(self) -> None:
        """Show what can be typed, and what the keys do."""

    def complain(self, text: str) -> None:
        """Show what went wrong."""

    async def page(self, text: str) -> None:
        """Show a text, in a pager if it is long; nothing else is shown while the user reads."""

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """Read one line, after a question; see `Screen.ask`."""

    def withdraw_question(self) -> None:
        """End `ask` by `Withdrawn`."""

    async def next_change(self) -> None:
        """Wait until further events have been shown."""
