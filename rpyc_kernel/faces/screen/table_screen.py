"""A table of the kernel, of any size, a page at a time, sorted and filtered there."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Static

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Cells
from rpyc_kernel.core.table_rows import ASCENDING, DESCENDING
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.conditions import read_condition, read_value, text_to_edit
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_ROWS, _COLUMNS = 100, 50
_TIMEOUT_S = 60.0
_KEYS = "PgUp PgDn Home End: rows   [ ]: columns   s: sort   /: filter   e: edit   Esc: close"


class TableScreen(ModalScreen[None]):
    """Shows the rows of a value, as many as the kernel is asked for at a time.

    Args:
        kernel: is asked.
        path: of the value.
    """

    BINDINGS: ClassVar = [
        Binding("escape", "back", "close", priority=True),
        Binding("pagedown,space", "turn(1)", "further rows", priority=True),
        Binding("pageup", "turn(-1)", "earlier rows", priority=True),
        Binding("home", "go(0)", "first rows", priority=True),
        Binding("end", "go(-1)", "last rows", priority=True),
        Binding("right_square_bracket", "shift(1)", "further columns"),
        Binding("left_square_bracket", "shift(-1)", "earlier columns"),
        Binding("s", "sort", "sort by the column"),
        Binding("slash", "ask_filter", "filter"),
        Binding("e", "ask_value", "edit the cell"),
    ]

    def __init__(self, kernel: KernelClient, path: str) -> None:
        super().__init__()
        self._kernel = kernel
        self._path = path
        self._row = self._column = 0
        self._cells: Cells | None = None
        self._sort: tuple[int, str] | None = None
        self._condition = ""
        self._place: tuple[int, int] | None = None  # of the cell that is edited
        self._begun_with = ""

    def compose(self) -> ComposeResult:
        """Build it."""
        with Vertical(id="table-box"):
            yield Static(id="table-title", markup=False)
            yield DataTable(id="table", zebra_stripes=True)
            yield Input(id="table-input")
            yield Static(_KEYS, id="table-keys", markup=False)

    def on_mount(self) -> None:
        """Ask for the first page."""
        self._load()

    def action_turn(self, pages: int) -> None:
        """Go on by a page."""
        self.action_go(self._row + pages * _ROWS)

    def action_go(self, row: int) -> None:
        """Go to a row; -1 is the last page."""
        if self._cells is not None:
            last = max(0, (self._cells.row_count - 1) // _ROWS * _ROWS)
            self._row = last if row == -1 else max(0, min(row, last))
            self._load()

    def action_shift(self, pages: int) -> None:
        """Go on by a page of columns."""
        if self._cells is not None:
            last = max(0, (self._cells.column_count - 1) // _COLUMNS * _COLUMNS)
            self._column = max(0, min(self._column + pages * _COLUMNS, last))
            self._load()

    def action_back(self) -> None:
        """Give up what is typed, or close the table."""
        if self.query_one(Input).display:
            self._end_input()
        else:
            self.dismiss()

    def action_sort(self) -> None:
        """Sort by the column at the cursor: ascending, descending, not at all."""
        column = self._column + self.query_one(DataTable).cursor_column
        after = {None: ASCENDING, ASCENDING: DESCENDING, DESCENDING: None}
        is_same = self._sort is not None and self._sort[0] == column
        direction = after[self._sort[1] if self._sort is not None and is_same else None]
        self._sort = None if direction is None else (column, direction)
        self.action_go(0)

    def on_data_table_header_selected(self, selected: DataTable.HeaderSelected) -> None:
        """The same by a click."""
        self.query_one(DataTable).move_cursor(column=selected.column_index)
        self.action_sort()

    def action_ask_filter(self) -> None:
        """Ask for a condition that rows must pass."""
        self._place = None
        self._ask("price >= 10, name contains ap, note is null; empty for all rows", self._condition)

    def action_ask_value(self) -> None:
        """Ask for another value of the cell at the cursor."""
        table, cells = self.query_one(DataTable), self._cells
        if cells is not None and cells.positions and table.cursor_row < len(cells.positions):
            self._place = cells.positions[table.cursor_row], cells.column_start + table.cursor_column
            self._ask("the new value", text_to_edit(cells.rows[table.cursor_row][table.cursor_column]))

    def _ask(self, what: str, text: str) -> None:
        asked = self.query_one(Input)
        asked.placeholder, asked.value, asked.display = what, text, True
        self._begun_with = text
        asked.focus()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """A condition, or a value, was typed."""
        submitted.stop()
        self._end_input()
        if self._place is None:
            self._condition = submitted.value.strip()
            self._row = 0
            self._load()
        elif submitted.value != self._begun_with:
            self.run_worker(self._set(*self._place, submitted.value), exclusive=True)

    def _end_input(self) -> None:
        self.query_one(Input).display = False
        self.query_one(DataTable).focus()

    async def _set(self, row: int, column: int, text: str) -> None:
        try:
            value = read_value(text, self._type_of(column))
            set_cell = partial(self._kernel.set_variable, self._path, value, row=row, column=column)
            await asyncio.to_thread(set_cell)
        except (KernelError, TimeoutError, ValueError) as error:
            self._tell(str(error))
        else:
            self._load()

    def _type_of(self, column: int) -> str:
        cells = self._cells
        return "" if cells is None or not cells.column_types else cells.column_types[column - cells.column_start]

    def _tell(self, text: str) -> None:
        self.query_one("#table-title", Static).update(sanitize_line(text))

    def _load(self) -> None:
        self.run_worker(self._show(self._row, self._column), exclusive=True)

    async def _show(self, row: int, column: int) -> None:
        try:
            show = partial(
                self._kernel.slice,
                self._path,
                (row, row + _ROWS),
                (column, column + _COLUMNS),
                sort=[self._sort] if self._sort is not None else [],
                filter=[read_condition(self._condition)] if self._condition else [],
                timeout=_TIMEOUT_S,
            )
            self._cells = cells = await asyncio.to_thread(show)
        except (KernelError, TimeoutError) as error:
            self._tell(str(error))
            return
        table = self.query_one("#table", DataTable)
        table.clear(columns=True)
        table.add_columns(*(Text(sanitize_line(label)) for label in cells.column_labels))
        for label, values in zip(cells.row_labels, cells.rows, strict=True):
            table.add_row(*(Text(sanitize_line(value)) for value in values), label=Text(sanitize_line(label)))
        end, total = row + len(cells.rows), cells.total_row_count
        left_out = f" of {total:,}" if total is not None and total != cells.row_count else ""
        by = f", by {_label(cells, self._sort[0])} {self._sort[1]}" if self._sort is not None else ""
        where = f" where {self._condition}" if self._condition else ""
        self._tell(f"{self._path}: rows {row:,} to {end:,} of {cells.row_count:,}{left_out}{where}{by}")


def _label(cells: Cells, column: int) -> str:
    place = column - cells.column_start
    return cells.column_labels[place] if 0 <= place < len(cells.column_labels) else str(column)
