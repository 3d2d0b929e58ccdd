"""Where code is typed: several lines, indented, with colours."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QHelpEvent, QKeyEvent, QTextCursor, QTextOption
from qtpy.QtWidgets import QPlainTextEdit, QWidget

from rpyc_kernel.faces.frontend.source import indent_after
from rpyc_kernel.faces.qt.completion_popup import CompletionPopup
from rpyc_kernel.faces.qt.highlighter import Highlighter
from rpyc_kernel.faces.qt.looks import Formats, fixed_font

_INDENT = "    "
_MAX_ROWS = 12
_PLAIN, _SHIFT, _CTRL, _ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Editor(QPlainTextEdit):
    """Edits code; whoever has it decides what becomes of it.

    Args:
        paint: adds the colours of a terminal to code.

    Signals:
        entered: Enter where the code may be complete; keys that come before `go_on` wait.
        run_wanted: the code is to run as it is.
        completion_wanted: Tab behind something.
        past_wanted: the code before (-1) or after (1).
        search_wanted: Ctrl-R.
        interrupted: Ctrl-C, with nothing selected.
        left: Ctrl-D, with nothing typed.
        hovered: the mouse rests on a character, whose place is told, and where that is on the screen.
    """

    entered = Signal()
    run_wanted = Signal()
    completion_wanted = Signal()
    past_wanted = Signal(int)
    search_wanted = Signal()
    interrupted = Signal()
    left = Signal()
    hovered = Signal(int, object)

    def __init__(self, paint: Callable[[str], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFont(fixed_font())
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setTabChangesFocus(False)
        self.setAccessibleName("code")
        self.document().setDocumentMargin(2)
        self.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.popup = CompletionPopup(self)
        self._highlighter = Highlighter(self.document(), Formats(self.palette()), paint)
        self._held: list[QKeyEvent] | None = None
        self.document().contentsChanged.connect(self.updateGeometry)
        self.cursorPositionChanged.connect(self._narrow)

    # ------------------------------------------------------------------ text

    @property
    def code(self) -> str:
        """What stands there."""
        return str(self.toPlainText())

    def put(self, code: str) -> None:
        """Have other code stand there, with the cursor at its end; Ctrl-Z brings back what was there."""
        cursor = self.textCursor()
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.insertText(code)
        self.setTextCursor(cursor)

    def break_line(self, indent: str) -> None:
        """Begin a new line."""
        self.textCursor().insertText("\n" + indent)
        self.ensureCursorVisible()

    @property
    def before_cursor(self) -> str:
        """What of its line stands before the cursor."""
        cursor = self.textCursor()
        return str(cursor.block().text())[: cursor.positionInBlock()]

    @property
    def cursor(self) -> int:
        """Its place, in characters as Python counts them."""
        return len(self.between(0, self.textCursor().position()))

    def place_of(self, characters: int) -> int:
        """The place of a character, as Qt counts them."""
        return len(self.code[:characters].encode("utf-16-le", "surrogatepass")) // 2

    def between(self, start: int, end: int) -> str:
        """The text between two places, as Qt counts them."""
        raw = self.code.encode("utf-16-le", "surrogatepass")
        return raw[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")

    # ------------------------------------------------------------------ size

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As high as the code, up to some lines."""
        rows = max(1, min(int(self.document().size().height()), _MAX_ROWS))
        return QSize(200, self._height(rows))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """The same."""
        return self.sizeHint()

    def _height(self, rows: int) -> int:
        margins = 2 * int(self.document().documentMargin()) + 2
        return rows * int(self.fontMetrics().lineSpacing()) + margins

    def resizeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Lines may wrap elsewhere now."""
        super().resizeEvent(event)
        self.updateGeometry()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Take the colours that hold now."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_highlighter"):
            self._highlighter.change_formats(Formats(self.palette()))

    # ------------------------------------------------------------------ keys

    def go_on(self) -> None:
        """What was asked by `entered` is answered: take the keys that were pressed meanwhile."""
        held, self._held = self._held or [], None
        for number, event in enumerate(held):
            self.keyPressEvent(event)
            if self._held is not None:
                self._held += held[number + 1 :]
                break

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Do what the keys of a console do."""
        is_interrupt = event.key() == Qt.Key.Key_C and event.modifiers() == _CTRL
        if self._held is not None and not is_interrupt:
            self._held.append(QKeyEvent(event.type(), event.key(), event.modifiers(), event.text()))
        elif not (self.popup.isVisible() and self._use_popup(event)) and not self._use(event):
            super().keyPressEvent(event)
        event.accept()

    def _use(self, event: QKeyEvent) -> bool:
        key, modifiers = event.key(), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        cursor = self.textCursor()
        if key in _ENTER:
            self._enter(modifiers)
        elif key == Qt.Key.Key_Tab and modifiers == _PLAIN:
            if self.before_cursor.strip():
                self.completion_wanted.emit()
            else:
                cursor.insertText(_INDENT)
        elif key == Qt.Key.Key_Backtab:
            self._dedent()
        elif key == Qt.Key.Key_Backspace and modifiers == _PLAIN and not cursor.hasSelection() and self._is_indented:
            cursor.movePosition(QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, len(_INDENT))
            cursor.removeSelectedText()
        elif key == Qt.Key.Key_Up and modifiers == _PLAIN and cursor.blockNumber() == 0:
            self.past_wanted.emit(-1)
        elif key == Qt.Key.Key_Down and modifiers == _PLAIN and cursor.blockNumber() == self.blockCount() - 1:
            self.past_wanted.emit(1)
        elif key == Qt.Key.Key_R and modifiers == _CTRL:
            self.search_wanted.emit()
        elif key == Qt.Key.Key_C and modifiers == _CTRL and not cursor.hasSelection():
            self.interrupted.emit()
        elif key == Qt.Key.Key_D and modifiers == _CTRL and not self.code:
            self.left.emit()
        else:
            return False
        return True

    def _enter(self, modifiers: object) -> None:
        follows = "\n" in self.code and self.code[self.cursor :].strip()
        if modifiers == _CTRL:
            self.run_wanted.emit()
        elif self.isReadOnly():
            pass  # nobody would answer
        elif modifiers in (_SHIFT, _ALT) or follows:
            self.break_line(indent_after(self.before_cursor))
        else:
            self._held = []
            self.entered.emit()

    @property
    def _is_indented(self) -> bool:
        before = self.before_cursor
        return bool(before) and not before.strip(" ") and len(before) % len(_INDENT) == 0

    def _dedent(self) -> None:
        cursor = self.textCursor()
        line = cursor.block().text()
        spaces = min(len(line) - len(line.lstrip(" ")), len(_INDENT))
        cursor.setPosition(cursor.block().position())
        cursor.setPosition(cursor.position() + spaces, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()

    def _use_popup(self, event: QKeyEvent) -> bool:
        key, popup = event.key(), self.popup
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -10, Qt.Key.Key_PageDown: 10}
        if key in steps:
            popup.step(steps[key])
        elif key in (*_ENTER, Qt.Key.Key_Tab):
            popup.accept()
        elif key == Qt.Key.Key_Escape:
            popup.hide()
        else:
            return False
        return True

    def _narrow(self) -> None:
        if self.popup.isVisible():
            self.popup.narrow()

    def focusOutEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Nobody chooses any more."""
        self.popup.hide()
        super().focusOutEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Tell where the mouse rests."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self.hovered.emit(self.cursorForPosition(event.pos()).position(), event.globalPos())
            return True
        return bool(super().viewportEvent(event))
