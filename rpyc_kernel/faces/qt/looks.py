"""Fonts and colours of the widgets: those of the application, and on them the 16 colours of terminals."""

from __future__ import annotations

from functools import lru_cache

from qtpy.QtGui import QColor, QFont, QFontDatabase, QPalette, QTextCharFormat

from rpyc_kernel.faces.qt.sgr import Colour, Style

_ON_LIGHT = (
    *("#24292f", "#c4232b", "#1a7f37", "#8a5a00", "#0b57d0", "#8250df", "#0f7b83", "#6e7781"),
    *("#57606a", "#a40e26", "#116329", "#6f4400", "#0a4fc4", "#6639ba", "#0b6a70", "#8c959f"),
)
_ON_DARK = (
    *("#6e7681", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d0d7de"),
    *("#8b949e", "#ffa198", "#7ee787", "#f2cc60", "#a5d6ff", "#e2c5ff", "#8be9f0", "#f6f8fa"),
)


def fixed_font() -> QFont:
    """The system's font of fixed width."""
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)


def is_dark(palette: QPalette) -> bool:
    """Whether text is light on dark."""
    return bool(palette.color(QPalette.ColorRole.Base).lightness() < 128)


def faint(palette: QPalette) -> QColor:
    """The colour of what is of less interest."""
    return QColor(_ON_DARK[8] if is_dark(palette) else _ON_LIGHT[7])


class Formats:
    """Formats of text for the styles of terminals, on one palette.

    Args:
        palette: of the widget.
    """

    def __init__(self, palette: QPalette) -> None:
        self._text = palette.color(QPalette.ColorRole.Text)
        self._base = palette.color(QPalette.ColorRole.Base)
        self._colours = _ON_DARK if is_dark(palette) else _ON_LIGHT
        self._faint = faint(palette)
        self.of = lru_cache(maxsize=1000)(self._make)

    def _make(self, style: Style) -> QTextCharFormat:
        made = QTextCharFormat()
        colour = self._find(style.colour) or (self._faint if style.is_faint else self._text)
        background = self._find(style.background)
        if style.is_inverse:
            colour, background = background or self._base, colour
        made.setForeground(colour)
        if background is not None:
            made.setBackground(background)
        if style.is_bold:
            made.setFontWeight(QFont.Weight.Bold)
        made.setFontItalic(style.is_italic)
        made.setFontUnderline(style.is_underlined)
        made.setFontStrikeOut(style.is_struck)
        return made

    def _find(self, colour: Colour) -> QColor | None:
        if colour is None:
            return None
        return QColor(self._colours[colour]) if isinstance(colour, int) else QColor(*colour)
