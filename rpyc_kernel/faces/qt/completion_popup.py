"""The list of what could stand at the cursor."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from rpyc_kernel.core.introspection import Completion
from rpyc_kernel.faces.qt.looks import faint, fixed_font

_MAX_ROWS = 12


class CompletionPopup(QTreeWidget):
    """Completions below the cursor of an editor, which keeps the focus; what is typed on narrows them.

    Args:
        editor: whose.

    Signals:
        chosen: another one is marked now, or none.
    """

    chosen = Signal()

    def __init__(self, editor: Any) -> None:
        super().__init__(editor)
        self.setWindowFlags(Qt.WindowType.ToolTip)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setFont(fixed_font())
        self.header().setStretchLastSection(True)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self._editor = editor
        self._start = 0
        self._items: list[Completion] = []
        self.itemClicked.connect(lambda *_: self.accept())
        self.currentItemChanged.connect(lambda *_: self.chosen.emit())

    def offer(self, start: int, items: list[Completion]) -> None:
        """Show completions that replace what stands from ``start``, a place in the text, to the cursor."""
        self._start, self._items = start, items
        self.narrow()

    def add(self, items: tuple[Completion, ...]) -> None:
        """Show more of them."""
        self.offer(self._start, [*self._items, *items])

    def narrow(self) -> None:
        """Keep those that begin as what is typed now; hide if there are none."""
        typed = self._typed
        fitting = [item for item in self._items if typed is not None and item.text.startswith(typed)]
        if not fitting or (len(fitting) == 1 and fitting[0].text == typed):
            self.hide()
            return
        self.clear()
        for item in fitting:
            row = QTreeWidgetItem([item.text, item.kind])
            row.setForeground(1, faint(self.palette()))
            self.addTopLevelItem(row)
        self.setCurrentItem(self.topLevelItem(0))
        self._place()

    def hideEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Nothing is marked any more."""
        super().hideEvent(event)
        self.chosen.emit()

    @property
    def common(self) -> str:
        """What all of them begin as."""
        texts = [item.text for item in self._items]
        first, last = min(texts, default=""), max(texts, default="")
        return next((first[:end] for end in range(len(first), 0, -1) if last.startswith(first[:end])), "")

    @property
    def shown(self) -> list[str]:
        """The texts that are to be seen."""
        rows = range(self.topLevelItemCount() if self.isVisible() else 0)
        return [self.topLevelItem(row).text(0) for row in rows]

    def step(self, rows: int) -> None:
        """Mark the one that is so many rows further."""
        count = self.topLevelItemCount()
        place = self.indexOfTopLevelItem(self.currentItem()) + rows
        self.setCurrentItem(self.topLevelItem(place % count if abs(rows) == 1 else max(0, min(place, count - 1))))

    @property
    def candidate(self) -> tuple[str, int]:
        """The text as it would be with the marked one, and the cursor in it."""
        before = self._editor.between(0, self._start) + self.currentItem().text(0)
        return before + self._editor.code[self._editor.cursor :], len(before)

    def accept(self) -> None:
        """Take the marked one."""
        if self.currentItem() is not None:
            self.insert(self.currentItem().text(0))
        self.hide()

    def insert(self, text: str) -> None:
        """Put a text in place of what is typed."""
        cursor = self._editor.textCursor()
        cursor.setPosition(self._start, QTextCursor.MoveMode.KeepAnchor)
        cursor.insertText(text)

    @property
    def _typed(self) -> str | None:
        place = self._editor.textCursor().position()
        return self._editor.between(self._start, place) if place >= self._start else None

    def _place(self) -> None:
        rows = min(self.topLevelItemCount(), _MAX_ROWS)
        self.resizeColumnToContents(0)
        width = self.sizeHintForColumn(0) + self.sizeHintForColumn(1) + 40
        self.resize(min(max(width, 200), 700), rows * self.sizeHintForRow(0) + 2 * self.frameWidth() + 2)
        place = self._editor.textCursor()
        place.setPosition(self._start)
        rectangle = self._editor.cursorRect(place)
        below = self._editor.viewport().mapToGlobal(rectangle.bottomLeft() + QPoint(0, 2))
        screen = self._editor.screen().availableGeometry() if hasattr(self._editor, "screen") else None
        if screen is not None and below.y() + self.height() > screen.bottom():
            below = self._editor.viewport().mapToGlobal(rectangle.topLeft()) - QPoint(0, self.height() + 2)
        self.move(below)
        self.show()
