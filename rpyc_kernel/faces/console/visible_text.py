"""What of the output is known to stand on a terminal, so that it can be written over."""

from __future__ import annotations

from rpyc_kernel.faces.console.text_width import can_measure
from rpyc_kernel.faces.frontend.overwriting import settle

_MAX_CHARS = 40_000

Size = tuple[int, int]
"""Rows and columns."""


class VisibleText:
    """The lower end of the output: from the last prompt on, or since the window has had this size.

    Attributes:
        text: the output, of lines that were overwritten what came last.
    """

    def __init__(self) -> None:
        self.text = ""
        self._begins_line = True
        self._size: Size = (0, 0)

    def add(self, text: str, size: Size) -> None:
        """Something was written below, in a window of this size."""
        if size != self._size:
            self._keep(0)
            self._size = size
        done, newline, rest = self.text.rpartition("\n")
        self.text = done + newline + settle(rest + text)
        if len(self.text) > 2 * _MAX_CHARS:
            self._keep(_MAX_CHARS)

    def forget(self) -> None:
        """Something else stands below the output now, and the cursor at the beginning of a line."""
        self.text, self._begins_line = "", True

    def has(self, old: str, size: Size) -> bool:
        """Whether the output ends with this text, which began at the beginning of a row and is of known height."""
        start = len(self.text) - len(old)
        begins_line = self._begins_line if start == 0 else self.text[start - 1 : start] == "\n"
        return size == self._size and self.text.endswith(old) and begins_line and can_measure(old)

    def replace(self, old: str, new: str) -> None:
        """The end of the output was written over."""
        self.text = self.text[: len(self.text) - len(old)] + new

    def _keep(self, chars: int) -> None:
        kept = self.text[len(self.text) - chars :].partition("\n")[2]
        self._begins_line = bool(kept) or self.text.endswith("\n") or (self._begins_line and not self.text)
        self.text = kept
