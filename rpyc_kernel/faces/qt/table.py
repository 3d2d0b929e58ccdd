"""A table in a kernel as a widget: it scrolls through any number of rows, is sorted and filtered there, and edited."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QShortcut,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.faces.frontend.conditions import read_value
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.qt.calls import Calls
from rpyc_kernel.faces.qt.looks import fixed_font
from rpyc_kernel.faces.qt.table_model import TableModel

_PATIENCE_MS = 300
_MAX_LISTED = 500
_MIN_WIDTH, _MAX_WIDTH, _MAX_LABEL_WIDTH = 80, 300, 240
_OPERATORS = {
    "contains": "contains",
    "=": "==",
    "≠": "!=",
    "<": "<",
    "≤": "<=",
    ">": ">",
    "≥": ">=",
    "is missing": "is null",
    "is there": "not null",
}


class TableView(QWidget):
    """Shows a list, dict, array, series or data frame of a kernel.

    A click on a column's header sorts by it, a third one ends that; a double click on a cell edits it.

    Args:
        kernel: a client of the kernel, which others may use, too; it is not closed with the widget.
        path: what leads to the table, as `KernelClient.variables` and `KernelClient.children` tell it.
        parent: of the widget.

    Attributes:
        model: the cells.
        view: where they are seen.

    Example:
        >>> from rpyc_kernel.qt import TableView
        >>> kernel.push(numbers=list(range(1000)))
        >>> table = TableView(kernel, "numbers")  # in a program that has a QApplication
        >>> table.close()
        True
    """

    def __init__(self, kernel: KernelClient, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(sanitize_line(path))
        self._calls = Calls(f"table-{kernel.name}")
        self.destroyed.connect(self._calls.close)
        self.model = TableModel(kernel, path, self._calls, self)
        self.view = QTableView(self)
        self.column = QComboBox(self)
        self.operator = QComboBox(self)
        self.value = QLineEdit(self)
        self._told = QLabel(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._timer.timeout.connect(self.apply_filter)
        self._sorted_by: tuple[int, Any] | None = None
        self._fitted = 0
        self._set_up_view()
        self._set_up_filter()
        self._place_widgets()
        self.model.told.connect(self._tell)
        self.model.sized.connect(self._note_size)
        self.model.headerDataChanged.connect(self._widen)
        self.model.headerDataChanged.connect(lambda *_: self._list_columns())
        self.model.begun_anew.connect(self._begin_anew)
        again = QShortcut(QKeySequence("F5"), self)
        again.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        again.activated.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Ask again for what is to be seen."""
        self.model.refresh()

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.model)
        view.setFont(fixed_font())
        view.setWordWrap(False)
        view.setAlternatingRowColors(True)
        view.setFrameShape(QTableView.Shape.NoFrame)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        view.verticalHeader().setDefaultSectionSize(view.fontMetrics().height() + 6)
        view.verticalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        view.horizontalHeader().setResizeContentsPrecision(0)  # by what is in sight
        view.horizontalHeader().setSectionsClickable(True)
        view.horizontalHeader().sectionClicked.connect(self._sort)
        view.horizontalHeader().setSortIndicatorShown(False)
        view.selectionModel().currentChanged.connect(lambda index, _: self._choose(index.column()))

    def _set_up_filter(self) -> None:
        self.operator.addItems(list(_OPERATORS))
        self.value.setPlaceholderText("Filter")
        self.value.setClearButtonEnabled(True)
        self.column.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.value.textChanged.connect(lambda _: self._timer.start())
        self.value.returnPressed.connect(self.apply_filter)
        self.operator.currentIndexChanged.connect(lambda _: self._timer.start())
        self.column.activated.connect(lambda _: self._timer.start())
        self._told.setTextFormat(Qt.TextFormat.PlainText)
        self._told.setContentsMargins(8, 2, 8, 3)

    def _place_widgets(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(6, 6, 6, 2)
        row.addWidget(self.column)
        row.addWidget(self.operator)
        row.addWidget(self.value, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        column.addWidget(self._told)

    # ------------------------------------------------------------------ what users do

    def _sort(self, column: int) -> None:
        """Upwards, downwards, not at all."""
        ways = (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder)
        before = self._sorted_by
        if before is None or before[0] != column:
            self._sorted_by = (column, ways[0])
        else:
            self._sorted_by = (column, ways[1]) if before[1] == ways[0] else None
        header = self.view.horizontalHeader()
        header.setSortIndicatorShown(self._sorted_by is not None)
        if self._sorted_by is not None:
            header.setSortIndicator(*self._sorted_by)
            self.model.sort(*self._sorted_by)
        else:
            self.model.sort(-1)

    def _choose(self, column: int) -> None:
        if not self.value.text() and 0 <= column < self.column.count():
            self.column.setCurrentIndex(column)

    def apply_filter(self) -> None:
        """Show the rows for which what is chosen above holds."""
        self._timer.stop()
        column, text = self.column.currentIndex(), self.value.text()
        operator = _OPERATORS[self.operator.currentText()]
        takes_value = not operator.endswith("null")
        self.value.setEnabled(takes_value)
        if column < 0 or (takes_value and not text):
            self.model.filter()
        elif not takes_value:
            self.model.filter((column, operator))
        else:
            value = text if operator == "contains" else read_value(text, self.model.column_type(column))
            self.model.filter((column, operator, value))

    # ------------------------------------------------------------------ what the model tells

    def _note_size(self) -> None:
        self._list_columns()
        self._tell("")

    def _list_columns(self) -> None:
        labels = [self.model.label(column) for column in range(min(self.model.columnCount(), _MAX_LISTED))]
        if labels != [self.column.itemText(place) for place in range(self.column.count())]:
            chosen = max(0, self.column.currentIndex())
            self.column.clear()
            self.column.addItems(labels)
            self.column.setCurrentIndex(min(chosen, self.column.count() - 1))

    def _begin_anew(self) -> None:
        """Show neither an order nor a filter: the columns for them are gone."""
        self._sorted_by = None
        self.view.horizontalHeader().setSortIndicatorShown(False)
        self.value.clear()
        self._timer.stop()

    def _widen(self, orientation: Qt.Orientation, first: int, last: int) -> None:
        """Have room for what has come: labels of rows, and columns that are seen for the first time."""
        if orientation == Qt.Orientation.Horizontal:
            for column in range(max(first, self._fitted), last + 1):
                width = max(self.view.sizeHintForColumn(column), self.view.horizontalHeader().sectionSizeHint(column))
                self.view.setColumnWidth(column, min(max(width + 12, _MIN_WIDTH), _MAX_WIDTH))
            self._fitted = max(self._fitted, last + 1)
        if orientation == Qt.Orientation.Vertical:
            header, metrics = self.view.verticalHeader(), self.view.fontMetrics()
            labels = [self.model.headerData(row, orientation) for row in range(first, last + 1)]
            widest = max(metrics.horizontalAdvance(label) for label in labels) + 14
            header.setFixedWidth(min(max(header.width(), widest), _MAX_LABEL_WIDTH))

    def _tell(self, words: str) -> None:
        model = self.model
        if words or model.total is None:
            self._told.setText(words or "…")
            return
        columns = f"{model.columnCount():,} column{'s' * (model.columnCount() != 1)}"
        of_all = f"{model.passing:,} of {model.total:,}" if model.passing != model.total else f"{model.total:,}"
        only = f"; the first {model.rowCount():,} are shown" if model.rowCount() < model.passing else ""
        self._told.setText(f"{of_all} rows × {columns}{only}")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End the threads."""
        self._calls.close()
        super().closeEvent(event)
