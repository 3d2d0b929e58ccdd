"""The colours of code that is being typed."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QSyntaxHighlighter, QTextDocument

from rpyc_kernel.faces.qt.looks import Formats
from rpyc_kernel.faces.qt.sgr import Line, split_lines

_MAX_CHARS = 10_000
"""Of more, no key would be seen at once; and all of it is asked for line by line."""


class Highlighter(QSyntaxHighlighter):
    """Colours a document as what shows the transcript does.

    Args:
        document: of the editor.
        formats: for its palette.
        paint: adds the colours of a terminal to code.
    """

    def __init__(self, document: QTextDocument, formats: Formats, paint: Callable[[str], str]) -> None:
        super().__init__(document)
        self._formats = formats
        self._paint = paint
        self._revision = -1
        self._lines: list[Line] = []

    def change_formats(self, formats: Formats) -> None:
        """The palette has changed."""
        self._formats = formats
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Colour one line; Qt asks for all below a line whose state is another now."""
        document = self.document()
        if document.characterCount() > _MAX_CHARS:
            return
        if document.revision() != self._revision:
            self._revision, self._lines = document.revision(), split_lines(self._paint(document.toPlainText()))
        number, start = self.currentBlock().blockNumber(), 0
        for part, style in self._lines[number] if number < len(self._lines) else []:
            self.setFormat(start, len(part.encode("utf-16-le", "surrogatepass")) // 2, self._formats.of(style))
            start += len(part.encode("utf-16-le", "surrogatepass")) // 2
        self.setCurrentBlockState(self._revision & 0x7FFFFFFF)
