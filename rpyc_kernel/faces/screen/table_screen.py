"""A table of the kernel, of any size, a page at a time."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Cells
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_ROWS, _COLUMNS = 100, 50


class TableScreen(ModalScreen[None]):
    """Shows the rows of a value, as many as the kernel is asked for at a time.

    Args:
        kernel: is asked.
        path: of the value.
    """

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss", "close"),
        Binding("pagedown,space", "turn(1)", "further rows", priority=True),
        Binding("pageup", "turn(-1)", "earlier rows", priority=True),
        Binding("home", "go(0)", "first rows", priority=True),
        Binding("end", "go(-1)", "last rows", priority=True),
        Binding("right_square_bracket", "shift(1)", "further columns"),
        Binding("left_square_bracket", "shift(-1)", "earlier columns"),
    ]

    def __init__(self, kernel: KernelClient, path: str) -> None:
        super().__init__()
        self._kernel = kernel
        self._path = path
        self._row = self._column = 0
        self._cells: Cells | None = None

    def compose(self) -> ComposeResult:
        """Build it."""
        with Vertical(id="table-box"):
            yield Static(id="table-title", markup=False)
            yield DataTable(id="table", zebra_stripes=True)
            yield Static("PgUp PgDn Home End: rows   [ ]: columns   Esc: close", id="table-keys", markup=False)

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

    def _load(self) -> None:
        self.run_worker(self._show(self._row, self._column), exclusive=True)

    async def _show(self, row: int, column: int) -> None:
        try:
            rows, columns = (row, row + _ROWS), (column, column + _COLUMNS)
            self._cells = cells = await asyncio.to_thread(self._kernel.slice, self._path, rows, columns)
        except (KernelError, TimeoutError) as error:
            self.query_one("#table-title", Static).update(sanitize_line(str(error)))
            return
        table = self.query_one("#table", DataTable)
        table.clear(columns=True)
        table.add_columns(*(Text(sanitize_line(label)) for label in cells.column_labels))
        for label, values in zip(cells.row_labels, cells.rows, strict=True):
            table.add_row(*(Text(sanitize_line(value)) for value in values), label=Text(sanitize_line(label)))
        end = row + len(cells.rows)
        self.query_one("#table-title", Static).update(
            f"{sanitize_line(self._path)}: rows {row:,} to {end:,} of {cells.row_count:,}"
        )
