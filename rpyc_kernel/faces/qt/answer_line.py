"""The line where questions are answered, and where the past is searched."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QLineEdit, QWidget

from rpyc_kernel.faces.qt.looks import fixed_font


class AnswerLine(QLineEdit):
    """Edits one line.

    Args:
        parent: of the widget.

    Signals:
        interrupted: Ctrl-C, with nothing selected.
        left: Ctrl-D, with nothing typed.
        given_up: Escape.
        older_wanted: Up or Ctrl-R.
    """

    interrupted = Signal()
    left = Signal()
    given_up = Signal()
    older_wanted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFont(fixed_font())
        self.setFrame(False)
        self.setAccessibleName("answer")

    def begin(self, *, is_password: bool = False) -> None:
        """Have the line be empty."""
        self.setEchoMode(QLineEdit.EchoMode.Password if is_password else QLineEdit.EchoMode.Normal)
        self.clear()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Tell the keys that are for others."""
        key, is_control = event.key(), event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if is_control and key == Qt.Key.Key_C and not self.hasSelectedText():
            self.interrupted.emit()
        elif is_control and key == Qt.Key.Key_D and not self.text():
            self.left.emit()
        elif key == Qt.Key.Key_Escape:
            self.given_up.emit()
        elif key == Qt.Key.Key_Up or (is_control and key == Qt.Key.Key_R):
            self.older_wanted.emit()
        else:
            super().keyPressEvent(event)
