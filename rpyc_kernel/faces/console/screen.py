"""What a console needs of the place where it is shown; a terminal and a pipe each provide it."""

from __future__ import annotations

from typing import Protocol

from rpyc_kernel.faces.frontend.view import Reader


class Screen(Reader, Protocol):
    """Shows text, reads code and answers. All of it happens in one asyncio loop."""

    is_colourful: bool

    @property
    def room(self) -> tuple[int, int] | None:
        """How many rows of output can be rewritten beside a prompt, and their columns; None if nothing can be."""

    def write(self, text: str) -> None:
        """Show text where the output goes: above the prompt if there is one."""

    def replace(self, old: str, new: str) -> bool:
        """Show other text where the output ends with ``old``; False, and nothing is done, if that is out of sight."""

    def end_line(self) -> None:
        """Bring the output to the beginning of a line."""
