"""How it is said who has said a line: the kernel's name in brackets, each in a colour of its own."""

from __future__ import annotations

from collections.abc import Iterable

from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
"""Those that can be read on dark and on light ground; red is for trouble."""
_RESET = "\x1b[0m"


class Tags:
    """What stands before the lines of each kernel.

    Args:
        names: of the kernels, as they are told apart.
        is_colourful: whether to use colours, and leave those of the code.
    """

    def __init__(self, names: Iterable[str], *, is_colourful: bool) -> None:
        self.is_colourful = is_colourful
        self._colours = {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}

    def of(self, name: str) -> str:
        """What stands before a line, with the space behind it."""
        shown = f"[{sanitize_line(name)}]"
        colour = self._colours.get(name)
        return f"\x1b[{colour}m{shown}{_RESET} " if self.is_colourful and colour is not None else f"{shown} "

    def line(self, name: str, text: str) -> str:
        """A line of a kernel, of letters and colours alone, with its end."""
        return self.of(name) + self.bare(text)

    def bare(self, text: str) -> str:
        """A line with its end, and nothing before it; its colours, if it has any, colour nothing else."""
        if "\x1b" in text:
            text = f"{text}{_RESET}" if self.is_colourful else sanitize(text)
        return f"{text}\n"

    def bold(self, text: str) -> str:
        """What stands above the lines of some."""
        return f"\x1b[1m{text}{_RESET}" if self.is_colourful else text
