"""The line with what somebody asks to run, and the buttons by which it is read, let go or declined."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from rpyc_kernel.faces.frontend.words import describe_ask

_READ, _APPROVE = "Show its code", "Let it run"


class AskBar(QWidget):
    """Is seen while an execution is held; of several the one that has waited longest.

    Whoever lets it go has had all of its code before them: the button for that is there when it has been shown.

    Args:
        parent: of the widget.

    Attributes:
        approving: the button that shows its code, and then lets it run.
        declining: the button that has it not run.

    Signals:
        read_wanted: its code is to be shown, with its number.
        approved: it is to run, with its number.
        declined: it is not to run, with its number.
    """

    read_wanted = Signal(int)
    approved = Signal(int)
    declined = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._number: int | None = None
        self._text = QLabel(self)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setMinimumWidth(50)
        self.approving = QPushButton(_READ, self)
        self.declining = QPushButton("Decline", self)
        self.approving.clicked.connect(self._approve)
        self.declining.clicked.connect(lambda: self.declined.emit(self._number))
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 8, 2)
        row.addWidget(self._text, 1)
        row.addWidget(self.approving)
        row.addWidget(self.declining)
        self.hide()

    def show_status(self, status: dict[str, Any]) -> None:
        """Show what a status says of it."""
        held = next((each for each in status["queue"] if each.get("is_held")), None)
        number = None if held is None else held["execution"]
        if number == self._number:
            return
        self._number = number
        self.approving.setText(_READ)
        if held is not None:
            self._text.setText(describe_ask(held["execution"], held["name"], held["code"]))
        self.setVisible(held is not None)

    def _approve(self) -> None:
        if self.approving.text() == _APPROVE:
            self.approved.emit(self._number)
        else:
            self.approving.setText(_APPROVE)
            self.read_wanted.emit(self._number)
