"""How many columns of a terminal text takes: some characters take two, some none."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from unicodedata import combining, east_asian_width


def cut(line: str, columns: int) -> str:
    """As much of a line as fits into that many columns: one that wrapped would be two."""
    return line[: bisect_right([*accumulate(map(_count, line))], columns)]


def fill(text: str, columns: int) -> str:
    """Text with blanks behind it, so that it takes that many columns; three dots at its end where it has more."""
    taken = measure(text)
    if taken > columns:
        text = cut(text, columns - 3) + "..."
        taken = measure(text)
    return text + " " * (columns - taken)


def measure(text: str) -> int:
    """How many columns it takes."""
    return sum(map(_count, text))


def _count(character: str) -> int:
    return 0 if combining(character) else 1 + (east_asian_width(character) in "WF")
