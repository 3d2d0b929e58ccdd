"""Drawings (SVG) as Qt draws them: without what they would read from elsewhere, and only if that is not too much work.

A few hundred bytes can ask for a billion shapes, by groups that are used ten times each by other ones.
"""

from __future__ import annotations

import math
import re
from xml.parsers import expat

from qtpy.QtCore import QByteArray, QSize, Qt
from qtpy.QtGui import QImage, QPainter

_MAX_SIDE = 1200
_MAX_WORK = 30_000
"""In shapes; Qt needs some tenths of a millisecond for each."""
_WORK_BYTES = 200
"""So much of a path is one shape's work."""
_MAX_DEPTH = 200
_FOREIGN = re.compile(
    rb"""(href\s*=\s*)(["'])(?!#|data:image/(?:png|jpe?g|gif);base64,\s*(?:iVBORw0KGgo|/9j/|R0lGOD)).*?\2""", re.DOTALL
)
"""What would be read from somewhere else. Of pictures within only those are none whose content is pixels for certain:
Qt goes by content, and another drawing within would have its files read."""
_REFERENCE = re.compile(r"url\(\s*[\"']?#([^)\"']+)")


def draw(content: bytes) -> QImage | None:
    """The drawing, white where it is empty; None if it cannot be read, or is too much work."""
    try:
        from qtpy.QtSvg import QSvgRenderer
    except ImportError:  # a part of Qt that some distributions pack apart
        return None
    if weigh(content) > _MAX_WORK:
        return None
    renderer = QSvgRenderer(QByteArray(_FOREIGN.sub(rb"\1\2\2", content)))
    size = renderer.defaultSize()
    if not renderer.isValid() or size.isEmpty():
        return None
    if max(size.width(), size.height()) > _MAX_SIDE:
        size = size.scaled(QSize(_MAX_SIDE, _MAX_SIDE), Qt.AspectRatioMode.KeepAspectRatio)
    image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.white)  # most drawings are made for paper
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    return image


def weigh(content: bytes) -> float:
    """How much work a drawing is, in shapes; infinite if it is none, refers to itself, or is nested too deeply."""
    shapes = _Shapes()
    parser = expat.ParserCreate()
    parser.StartElementHandler = shapes.begin
    parser.EndElementHandler = shapes.end
    parser.DefaultHandler = lambda _: None  # which leaves entities as they are
    try:
        parser.Parse(content, True)
        return shapes.weigh(0)
    except (expat.ExpatError, _TooMuch, RecursionError):
        return math.inf


class _TooMuch(Exception):
    pass


class _Shapes:
    """The elements of a drawing, by number in the order of their beginnings."""

    def __init__(self) -> None:
        self._work: list[float] = []
        self._within: list[list[int]] = []
        self._used: list[list[str]] = []
        self._numbers: dict[str, int] = {}
        self._open: list[int] = []
        self._totals: dict[int, float] = {}

    def begin(self, _: str, attributes: dict[str, str]) -> None:
        number = len(self._work)
        if number > _MAX_WORK or len(self._open) > _MAX_DEPTH:
            raise _TooMuch
        if self._open:
            self._within[self._open[-1]].append(number)
        used = [name for value in attributes.values() if "#" in value for name in _REFERENCE.findall(value)]
        used += [value[1:] for name, value in attributes.items() if name.endswith("href") and value.startswith("#")]
        self._work.append(1 + len(attributes.get("d", "") + attributes.get("points", "")) // _WORK_BYTES)
        self._within.append([])
        self._used.append(used)
        self._numbers.setdefault(attributes.get("id", ""), number)
        self._open.append(number)

    def end(self, _: str) -> None:
        self._open.pop()

    def weigh(self, number: int) -> float:
        """The work of an element, with all in it and all it uses."""
        if number not in self._totals:
            self._totals[number] = math.inf  # if it leads to itself
            used = [self._numbers[name] for name in self._used[number] if name in self._numbers]
            self._totals[number] = self._work[number] + sum(map(self.weigh, [*self._within[number], *used]))
        return self._totals[number]
