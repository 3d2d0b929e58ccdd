"""A table in a kernel, of any size, as a model of Qt: pages that somebody looks at are fetched, and few are kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Cells
from rpyc_kernel.faces.frontend.conditions import read_value, text_to_edit
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.qt.calls import Calls

_PAGE_ROWS, _PAGE_COLUMNS = 100, 50
_MAX_PAGES = 100
_MAX_WANTED = 12
_MAX_ROWS, _MAX_COLUMNS = 50_000_000, 1_000_000
"""What Qt's headers can count in pixels."""
_TIMEOUT_S = 30.0
_NUMERIC = ("int", "uint", "float", "complex", "bool", "Int", "UInt", "Float", "boolean", "double")

_Place = tuple[int, int]
_NOWHERE = QModelIndex()


class TableModel(QAbstractTableModel):
    """The cells of one table.

    Args:
        kernel: where it is.
        path: what leads to it.
        calls: asks for it.
        parent: of the model.

    Attributes:
        total: how many rows the table has; None before that is known.
        passing: how many of them pass the filter.

    Signals:
        told: what is to be said about the table; "" for nothing.
        sized: its size is known, or another one.
        begun_anew: the columns that it was sorted or filtered by are there no longer.
    """

    told = Signal(str)
    sized = Signal()
    begun_anew = Signal()

    def __init__(self, kernel: KernelClient, path: str, calls: Calls, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.total: int | None = None
        self.passing = 0
        self._kernel = kernel
        self._path = path
        self._calls = calls
        self._rows = self._columns = 0
        self._pages: OrderedDict[_Place, Cells] = OrderedDict()
        self._stale: set[_Place] = set()
        self._wanted: list[_Place] = []
        self._asked: set[_Place] = set()
        self._version = 0
        self._sort: tuple[Any, ...] = ()
        self._filter: tuple[Any, ...] = ()

    # ------------------------------------------------------------------ what views ask

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """How many rows there are, as far as Qt can count."""
        return 0 if parent.isValid() else self._rows

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """How many columns there are."""
        return 0 if parent.isValid() else self._columns

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell, or dots until it has come."""
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole):
            cells = self._find(row, column)
            if cells is None:
                return "…" if role == Qt.ItemDataRole.DisplayRole else None
            text = cells.rows[row - cells.row_start][column - cells.column_start]
            return text_to_edit(text) if role == Qt.ItemDataRole.EditRole else sanitize_line(text)
        if role == Qt.ItemDataRole.TextAlignmentRole and self._type(row, column).startswith(_NUMERIC):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """The label of a column or row."""
        if role == Qt.ItemDataRole.ToolTipRole and orientation == Qt.Orientation.Horizontal:
            kind = self.column_type(section)
            return f"{self.label(section)}: {kind}" if kind else None
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Horizontal:
            return self.label(section)
        page = section // _PAGE_ROWS
        for place, cells in reversed(self._pages.items()):
            if place[0] == page and section - cells.row_start < len(cells.row_labels):
                return sanitize_line(cells.row_labels[section - cells.row_start])
        return "…"

    def label(self, column: int) -> str:
        """What a column is called."""
        cells = self._of_column(column)
        return str(column) if cells is None else sanitize_line(cells.column_labels[column - cells.column_start])

    def column_type(self, column: int) -> str:
        """The dtype of a column, "" where that is unknown."""
        cells = self._of_column(column)
        return "" if cells is None or not cells.column_types else cells.column_types[column - cells.column_start]

    def flags(self, index: QModelIndex) -> Any:
        """Cells can be edited once they are there, and if the kernel says where they stand in the table itself."""
        flags = super().flags(index)
        cells = self._peek(index.row(), index.column()) if index.isValid() else None
        return flags | Qt.ItemFlag.ItemIsEditable if cells is not None and cells.positions else flags

    # ------------------------------------------------------------------ what users do

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Have the kernel sort by a column; -1 for the order of the table itself."""
        ways = {Qt.SortOrder.AscendingOrder: "ascending", Qt.SortOrder.DescendingOrder: "descending"}
        self._sort = ((column, ways[order]),) if column >= 0 else ()
        self._begin_anew()

    def filter(self, *conditions: tuple[Any, ...]) -> None:
        """Have the kernel pass only rows for which all conditions hold, as `KernelClient.slice` takes them."""
        self._filter = conditions
        self._begin_anew()

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:  # noqa: N802 - Qt's name
        """Have the kernel change a cell; it is seen when that is done."""
        row, column = index.row(), index.column()
        cells = self._peek(row, column)
        if cells is None or not cells.positions:
            return False
        if role != Qt.ItemDataRole.EditRole or str(value) == self.data(index, role):
            return False
        new, place = read_value(str(value), self.column_type(column)), cells.positions[row - cells.row_start]
        self._calls.ask(
            lambda: self._kernel.set_variable(self._path, new, row=place, column=column),
            lambda _: self.refresh(),
            self.told.emit,
        )
        return True

    def refresh(self) -> None:
        """Ask again for what somebody looks at; what was there is shown until then."""
        self._version += 1
        self._stale = set(self._pages)
        self._asked.clear()
        self._wanted.clear()
        self._want((0, 0))
        if self._rows and self._columns:
            self.dataChanged.emit(self.index(0, 0), self.index(self._rows - 1, self._columns - 1))

    def _begin_anew(self) -> None:
        self.beginResetModel()
        self._pages.clear()
        self.endResetModel()
        self.refresh()

    # ------------------------------------------------------------------ pages

    def _peek(self, row: int, column: int) -> Cells | None:
        cells = self._pages.get((row // _PAGE_ROWS, column // _PAGE_COLUMNS))
        if cells is None or row - cells.row_start >= len(cells.rows):
            return None
        return cells if column - cells.column_start < len(cells.column_labels) else None

    def _find(self, row: int, column: int) -> Cells | None:
        place = row // _PAGE_ROWS, column // _PAGE_COLUMNS
        if place not in self._pages or place in self._stale:
            self._want(place)
        if place in self._pages:
            self._pages.move_to_end(place)
        return self._peek(row, column)

    def _type(self, row: int, column: int) -> str:
        cells = self._peek(row, column)
        return "" if cells is None or not cells.column_types else cells.column_types[column - cells.column_start]

    def _of_column(self, column: int) -> Cells | None:
        page = column // _PAGE_COLUMNS
        for place, cells in reversed(self._pages.items()):
            if place[1] == page and column - cells.column_start < len(cells.column_labels):
                return cells
        return None

    def _want(self, place: _Place) -> None:
        """Ask for a page soon: what was wanted last first, and what nobody looks at any more never."""
        if place in self._asked or place in self._wanted:
            return
        self._wanted.append(place)
        del self._wanted[:-_MAX_WANTED]
        self._ask_next()

    def _ask_next(self) -> None:
        if self._asked or not self._wanted:
            return
        place, version = self._wanted.pop(), self._version
        self._asked.add(place)
        rows = place[0] * _PAGE_ROWS, (place[0] + 1) * _PAGE_ROWS
        columns = place[1] * _PAGE_COLUMNS, (place[1] + 1) * _PAGE_COLUMNS
        kernel, path, sort, chosen = self._kernel, self._path, self._sort, self._filter
        self._calls.ask(
            lambda: kernel.slice(path, rows, columns, sort=sort, filter=chosen, timeout=_TIMEOUT_S),
            lambda cells: self._take(place, version, cells),
            lambda words: self._fail(version, words),
        )

    def _take(self, place: _Place, version: int, cells: Cells) -> None:
        if version != self._version:
            return  # another order, or other values by now
        self._asked.discard(place)
        self._stale.discard(place)
        self._pages[place] = cells
        while len(self._pages) > _MAX_PAGES:
            self._stale.discard(self._pages.popitem(last=False)[0])
        self._resize(cells)
        self.told.emit("")
        if cells.rows and cells.column_labels:
            first = self.index(cells.row_start, cells.column_start)
            last = self.index(
                min(cells.row_start + len(cells.rows), self._rows) - 1,
                min(cells.column_start + len(cells.column_labels), self._columns) - 1,
            )
            self.dataChanged.emit(first, last)
            self.headerDataChanged.emit(Qt.Orientation.Vertical, first.row(), last.row())
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, first.column(), last.column())
        self._ask_next()

    def _resize(self, cells: Cells) -> None:
        total = cells.row_count if cells.total_row_count is None else cells.total_row_count
        rows, columns = min(cells.row_count, _MAX_ROWS), min(cells.column_count, _MAX_COLUMNS)
        is_other = (rows, columns, total) != (self._rows, self._columns, self.total)
        self.total, self.passing = total, cells.row_count
        if rows > self._rows:
            self.beginInsertRows(_NOWHERE, self._rows, rows - 1)
            self._rows = rows
            self.endInsertRows()
        elif rows < self._rows:
            self.beginRemoveRows(_NOWHERE, rows, self._rows - 1)
            self._rows = rows
            self.endRemoveRows()
        if columns > self._columns:
            self.beginInsertColumns(_NOWHERE, self._columns, columns - 1)
            self._columns = columns
            self.endInsertColumns()
        elif columns < self._columns:
            self.beginRemoveColumns(_NOWHERE, columns, self._columns - 1)
            self._columns = columns
            self.endRemoveColumns()
        if is_other:
            self.sized.emit()

    def _fail(self, version: int, words: str) -> None:
        if version != self._version:
            return
        self._asked.clear()
        self._wanted.clear()
        self.told.emit(words)
        if used := [column for column, *_ in (*self._sort, *self._filter)]:
            kernel, path = self._kernel, self._path
            self._calls.ask(
                lambda: kernel.slice(path, (0, 0), (0, 0), timeout=_TIMEOUT_S).column_count,
                lambda columns: self._drop_order(version) if columns <= max(used) else None,
            )

    def _drop_order(self, version: int) -> None:
        """The table is another one by now, without the columns that it was sorted or filtered by."""
        if version == self._version:
            self._sort = self._filter = ()
            self.begun_anew.emit()
            self._begin_anew()
