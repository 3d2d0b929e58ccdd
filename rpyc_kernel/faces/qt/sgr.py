"""The colours of text for terminals, as styles: ``ESC [ … m`` is read, and nothing else is in there any more."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m")
_LEVELS = (0, 95, 135, 175, 215, 255)

Colour = int | tuple[int, int, int] | None
"""One of the 16 colours of terminals, red, green and blue, or None for the usual one."""


class Style(NamedTuple):
    """How some text looks."""

    colour: Colour = None
    background: Colour = None
    is_bold: bool = False
    is_faint: bool = False
    is_italic: bool = False
    is_underlined: bool = False
    is_struck: bool = False
    is_inverse: bool = False


Line = list[tuple[str, Style]]
_PLAIN = Style()
_SIMPLE: dict[int, dict[str, bool]] = {
    1: {"is_bold": True},
    2: {"is_faint": True},
    3: {"is_italic": True},
    4: {"is_underlined": True},
    7: {"is_inverse": True},
    9: {"is_struck": True},
    21: {"is_underlined": True},
    22: {"is_bold": False, "is_faint": False},
    23: {"is_italic": False},
    24: {"is_underlined": False},
    27: {"is_inverse": False},
    29: {"is_struck": False},
}


def split_lines(text: str) -> list[Line]:
    """The lines of a text, each as pieces of one style."""
    lines: list[Line] = [[]]
    style = _PLAIN
    for number, part in enumerate(_SEQUENCE.split(text)):
        if number % 2:
            style = _apply(style, part)
            continue
        first, *others = part.split("\n")
        if first:
            lines[-1].append((first, style))
        lines.extend([(other, style)] if other else [] for other in others)
    return lines


@lru_cache(maxsize=256)
def _apply(style: Style, parameters: str) -> Style:
    codes = [int(code[:4]) if code else 0 for code in re.split("[;:]", parameters)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = _PLAIN
        elif code in _SIMPLE:
            style = style._replace(**_SIMPLE[code])
        elif code in (38, 48):
            colour = _take_colour(codes)
            style = style._replace(colour=colour) if code == 38 else style._replace(background=colour)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style = style._replace(colour=code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style = style._replace(background=code - 40 if code < 100 else code - 92)
        elif code == 39:
            style = style._replace(colour=None)
        elif code == 49:
            style = style._replace(background=None)
    return style


def _take_colour(codes: list[int]) -> Colour:
    kind = codes.pop(0) if codes else 0
    if kind == 5 and codes:
        return _read_index(min(codes.pop(0), 255))
    if kind == 2 and len(codes) >= 3:
        red, green, blue = (min(codes.pop(0), 255) for _ in range(3))
        return red, green, blue
    return None


def _read_index(index: int) -> Colour:
    if index < 16:
        return index
    if index >= 232:
        grey = 8 + 10 * (index - 232)
        return grey, grey, grey
    index -= 16
    return _LEVELS[index // 36], _LEVELS[index // 6 % 6], _LEVELS[index % 6]
