"""Which cells a table asks for, and what becomes of those that come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from rpyc_kernel.errors import NotAvailable
from rpyc_kernel.faces.qt import table_model
from rpyc_kernel.faces.qt.table import TableView
from tests.faces.qt.widgets import process, until


class Kernel:
    """Has a table of numbers, ten million rows by three columns or what the test says."""

    name = "demo"

    def __init__(self) -> None:
        self.rows, self.columns = 10_000_000, 3
        self.asked: list[tuple[tuple[int, int], tuple[int, int], Any, Any]] = []
        self.was_set: list[tuple[Any, ...]] = []
        self.is_gone = False
        self.label = "c"
        self.changed: dict[tuple[int, int], str] = {}
        self.threads: set[str] = set()

    def slice(
        self, path: str, rows: Any, columns: Any, *, sort: Any = (), filter: Any = (), timeout: float = 5.0
    ) -> SimpleNamespace:
        self.threads.add(threading.current_thread().name)
        self.asked.append((rows, columns, sort, filter))
        gone = [column for column, *_ in (*sort, *filter) if column >= self.columns]
        if gone:
            raise NotAvailable(f"there is no column {gone[0]}")
        if self.is_gone:
            raise NotAvailable(f"there is no {path!r}")
        passing = self.rows // 2 if filter else self.rows
        here = range(rows[0], min(rows[1], passing))
        there = range(columns[0], min(columns[1], self.columns))
        is_upside_down = bool(sort) and sort[0][1] == "descending"
        places = [passing - 1 - row if is_upside_down else row for row in here]
        cells = [[self.changed.get((row, column), f"{row}.{column}") for column in there] for row in places]
        return SimpleNamespace(
            row_count=passing, column_count=self.columns, row_start=rows[0], column_start=columns[0],
            row_labels=tuple(map(str, places)), column_labels=tuple(f"{self.label}{column}" for column in there),
            rows=tuple(map(tuple, cells)), total_row_count=self.rows, positions=tuple(places),
            column_types=tuple("float64" if column else "object" for column in there),
        )  # fmt: skip

    def set_variable(self, path: str, value: Any, *, row: int, column: int) -> None:
        if value == "refused":
            raise NotAvailable("this cannot be set")
        self.was_set.append((path, value, row, column))
        self.changed[row, column] = str(value)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def table(kernel: Kernel, show: Callable[..., Any]) -> TableView:
    shown: TableView = show(TableView(kernel, "data"))  # type: ignore[arg-type]
    until(lambda: cell(shown, 0, 0) == "0.0", "the first cells")
    return shown


def cell(table: TableView, row: int, column: int) -> str:
    return str(table.model.data(table.model.index(row, column)))


def test_ten_million_rows_are_scrolled_through_by_a_few_questions(kernel: Kernel, table: TableView):
    assert table._told.text() == "10,000,000 rows × 3 columns"
    table.view.scrollToBottom()
    until(lambda: cell(table, 9_999_999, 2) == "9999999.2", "the last cells")
    assert table.model.headerData(9_999_999, Qt.Orientation.Vertical) == "9999999"
    assert len(kernel.asked) < 8
    assert max(rows[1] - rows[0] for rows, *_ in kernel.asked) <= 100
    assert not {name for name in kernel.threads if not name.startswith("table-demo")}


def test_what_was_scrolled_past_is_not_asked_for_and_few_pages_are_kept(
    kernel: Kernel, table: TableView, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_model, "_MAX_PAGES", 5)
    for place in range(3000):
        table.model.data(table.model.index(place * 1000, 0))
    until(lambda: cell(table, 2_999_000, 0) == "2999000.0", "the last one")
    until(lambda: not table.model._wanted and not table.model._asked, "the others")
    assert len(kernel.asked) < 40
    assert len(table.model._pages) == 5


def test_a_click_on_the_header_sorts_and_a_third_one_ends_that(kernel: Kernel, table: TableView):
    click = table.view.horizontalHeader().sectionClicked.emit
    click(1)
    until(lambda: kernel.asked[-1][2] == ((1, "ascending"),), "the question")
    click(1)
    until(lambda: cell(table, 0, 0) == "9999999.0", "the largest")
    click(1)
    until(lambda: cell(table, 0, 0) == "0.0", "the first")
    assert kernel.asked[-1][2] == ()


def test_what_is_typed_above_the_table_filters_it(kernel: Kernel, table: TableView):
    table.column.setCurrentIndex(1)
    table.operator.setCurrentText("≥")
    QTest.keyClicks(table.value, "12.5")
    until(lambda: table._told.text() == "5,000,000 of 10,000,000 rows × 3 columns", "fewer rows")
    assert kernel.asked[-1][3] == ((1, ">=", 12.5),)
    table.operator.setCurrentText("contains")
    until(lambda: kernel.asked[-1][3] == ((1, "contains", "12.5"),), "text")
    table.operator.setCurrentText("is missing")
    until(lambda: kernel.asked[-1][3] == ((1, "is null"),), "no value")
    table.operator.setCurrentText("=")
    table.value.clear()
    until(lambda: table._told.text() == "10,000,000 rows × 3 columns", "all rows")


def test_a_cell_that_is_edited_is_set_in_the_kernel_by_its_place_there(kernel: Kernel, table: TableView):
    table.view.horizontalHeader().sectionClicked.emit(1)
    table.view.horizontalHeader().sectionClicked.emit(1)
    until(lambda: cell(table, 3, 2) == "9999996.2", "the cells")
    assert table.model.setData(table.model.index(3, 2), "7.5")
    until(lambda: cell(table, 3, 2) == "7.5", "the new value")
    assert kernel.was_set == [("data", 7.5, 9_999_996, 2)]
    assert table.model.setData(table.model.index(3, 0), "some words")
    until(lambda: cell(table, 3, 0) == "some words", "the new text")
    assert table.model.setData(table.model.index(3, 0), "refused")
    until(lambda: table._told.text() == "this cannot be set", "the reason")
    assert not table.model.setData(table.model.index(3, 0), "some words")


def test_a_table_that_goes_or_shrinks_is_told(kernel: Kernel, table: TableView):
    kernel.rows, kernel.columns = 150, 1
    table.refresh()
    until(lambda: (table.model.rowCount(), table.model.columnCount()) == (150, 1), "fewer")
    kernel.is_gone = True
    table.refresh()
    until(lambda: table._told.text() == "there is no 'data'", "its end")


def test_other_columns_are_named_above_the_table_and_an_order_by_one_that_is_gone_is_dropped(
    kernel: Kernel, table: TableView
):
    def listed() -> list[str]:
        return [table.column.itemText(place) for place in range(table.column.count())]

    kernel.label = "d"
    table.refresh()
    until(lambda: listed() == ["d0", "d1", "d2"], "the new names")
    table.view.horizontalHeader().sectionClicked.emit(2)
    until(lambda: kernel.asked[-1][2] == ((2, "ascending"),), "the order")
    kernel.columns = 2
    table.refresh()
    until(lambda: (table.model.columnCount(), listed()) == (2, ["d0", "d1"]), "the other table")
    assert kernel.asked[-1][2] == ()
    assert not table.view.horizontalHeader().isSortIndicatorShown()
    table.column.setCurrentIndex(1)
    table.operator.setCurrentText("≥")
    QTest.keyClicks(table.value, "1")
    until(lambda: kernel.asked[-1][3], "the filter")
    kernel.columns = 1
    table.refresh()
    until(lambda: table.model.columnCount() == 1, "the other table")
    assert table.value.text() == ""


def test_what_is_shown_cut_off_or_otherwise_is_not_what_editing_begins_with(kernel: Kernel, table: TableView):
    role = Qt.ItemDataRole.EditRole
    long, lines = table.model.index(0, 0), table.model.index(1, 0)
    kernel.changed = {(0, 0): "x" * 200 + "...", (1, 0): "a\nb"}
    table.refresh()
    until(lambda: cell(table, 0, 0).startswith("xxx"), "the cells")
    assert [table.model.data(index, role) for index in (long, lines, table.model.index(2, 0))] == ["", "", "2.0"]
    assert not table.model.setData(long, "")
    assert table.model.setData(long, "short")
    until(lambda: cell(table, 0, 0) == "short", "the new value")


def test_numbers_stand_to_the_right(table: TableView):
    role = Qt.ItemDataRole.TextAlignmentRole
    assert table.model.data(table.model.index(0, 0), role) is None
    assert table.model.data(table.model.index(0, 1), role) is not None


def test_an_answer_that_comes_after_the_end_reaches_nobody(kernel: Kernel, table: TableView):
    gate = threading.Event()
    asked = kernel.slice

    def wait(*arguments: Any, **named: Any) -> SimpleNamespace:
        gate.wait(60)
        return asked(*arguments, **named)

    kernel.slice = wait  # type: ignore[method-assign]
    table.refresh()
    table.close()
    gate.set()
    process()
