"""How much room text takes on a terminal, which breaks lines that are too long."""

from __future__ import annotations

import re

from prompt_toolkit.utils import get_cwidth

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_TAB = 8


def count_rows(text: str, columns: int) -> int:
    """How many rows further down the cursor is after this text, which begins at the beginning of a row."""
    *lines, rest = text.split("\n")
    return sum(_count_rows_of_line(line, columns) for line in lines) + _count_rows_of_line(rest, columns) - 1


def cut_rows(text: str, rows: int, columns: int) -> str:
    """As many of the first lines as take no more than so many rows, each with its end."""
    kept: list[str] = []
    for line in text.splitlines(keepends=True)[: max(rows, 0)]:
        rows -= _count_rows_of_line(line.rstrip("\n"), columns)
        if rows < 0:
            break
        kept.append(line)
    return "".join(kept)


def can_measure(text: str) -> bool:
    """Whether it is letters and colours, and no picture."""
    return "\x1b" not in _COLOUR.sub("", text)


def width_of(line: str) -> int:
    """How many columns a line takes where there are enough."""
    return get_cwidth(_COLOUR.sub("", line).expandtabs(_TAB))


def _count_rows_of_line(line: str, columns: int) -> int:
    plain = _COLOUR.sub("", line).rstrip("\r")
    if plain.isascii() and "\t" not in plain:
        return max(1, -(-len(plain) // columns))
    rows, column = 1, 0
    for letter in plain:
        if letter == "\t":
            column = min(columns - 1, column - column % _TAB + _TAB)
            continue
        width = get_cwidth(letter)
        if column + width > columns:  # wide letters are not divided
            rows, column = rows + 1, 0
        column += width
    return rows
