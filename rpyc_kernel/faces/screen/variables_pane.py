"""What is in the namespace, and in what is in there, of which only what was opened is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding
from textual.message import Message
from textual.widgets import DataTable

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Variable
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_PAGE = 100
_MOST = 1000
_MAX_ROWS = 5000
_PREVIEW_CHARS = 60
_SHUT, _OPEN = "▸ ", "▾ "


@dataclass(frozen=True)
class Row:
    """A variable, or words in the place of some.

    Attributes:
        variable: None where there are words.
        depth: in how many others it stands.
        words: what stands there for further ones.
        more_of: the path of that of which there are more, "" where they cannot be had.
    """

    variable: Variable | None
    depth: int = 0
    words: str = ""
    more_of: str = ""


def list_rows(kernel: KernelClient, opened: Mapping[str, int]) -> list[Row]:
    """All variables, and what is in those that are open; it waits for the kernel.

    Args:
        kernel: is asked.
        opened: the paths of what is open, and how many of its children are wanted.
    """
    rows: list[Row] = []
    for variable in kernel.variables():
        for row in _list_in(kernel, variable, 0, opened):
            if len(rows) == _MAX_ROWS:
                return [*rows, Row(None, 0, "… more, for which there is no room here")]
            rows.append(row)
    return rows


def _list_in(kernel: KernelClient, variable: Variable, depth: int, opened: Mapping[str, int]) -> Iterator[Row]:
    yield Row(variable, depth)
    if not variable.has_children or variable.path not in opened:
        return
    try:
        page = kernel.children(variable.path, 0, opened[variable.path])
    except (KernelError, TimeoutError) as error:
        yield Row(None, depth + 1, f"<{sanitize_line(str(error))}>")
        return
    for child in page.items:
        yield from _list_in(kernel, child, depth + 1, opened)
    if (left := page.count - len(page.items)) > 0:
        can_more = len(page.items) < _MOST
        words = f"… {left:,} more" + ("" if can_more else ", for which there is no room here")
        yield Row(None, depth + 1, words, variable.path if can_more else "")


class VariablesPane(DataTable[Text]):
    """Shows variables; containers open in place, what has cells opens as a table.

    Args:
        kernel: is asked.
    """

    BINDINGS: ClassVar = [
        Binding("right", "open(True)", "Open"),
        Binding("left", "open(False)", "Shut"),
        Binding("space", "turn", "Open or shut", show=False),
    ]

    class AsTable(Message):
        """This is to be shown as a table.

        Args:
            path: of the variable.
        """

        def __init__(self, path: str) -> None:
            self.path = path
            super().__init__()

    def __init__(self, kernel: KernelClient) -> None:
        super().__init__(id="variables", cursor_type="row", zebra_stripes=True)
        self._kernel = kernel
        self._opened: dict[str, int] = {}
        self._rows: list[Row] = []

    def on_mount(self) -> None:
        """Name the columns, and ask for what is there already."""
        self.add_columns("name", "type", "size", "value")
        self.look()

    def look(self) -> None:
        """Ask the kernel, and show what it says when it says it; of many calls at once, the last one counts."""
        self._look()

    @work(exclusive=True, group="variables")
    async def _look(self) -> None:
        try:
            rows = await asyncio.to_thread(list_rows, self._kernel, dict(self._opened))
        except (KernelError, TimeoutError) as error:
            if not self._rows:
                self._show([Row(None, 0, f"<{sanitize_line(str(error))}>")])
            return
        self._show(rows)

    def _show(self, rows: list[Row]) -> None:
        place, marked = self.cursor_row, self._marked
        self._rows = rows
        top = self.scroll_offset.y
        self.clear()
        for row in rows:
            self.add_row(*(Text(cell) for cell in self._cells_of(row)))
        paths = [row.variable.path if row.variable else "" for row in rows]
        if marked is not None and marked.variable is not None and marked.variable.path in paths:
            place = paths.index(marked.variable.path)
        self.move_cursor(row=min(place, self.row_count - 1))
        self.scroll_to(y=top, animate=False)

    def _cells_of(self, row: Row) -> tuple[str, str, str, str]:
        indent, variable = "  " * row.depth, row.variable
        if variable is None:
            return f"{indent}  {row.words}", "", "", ""
        mark = (_OPEN if variable.path in self._opened else _SHUT) if variable.has_children else "  "
        cells = (variable.type, variable.extent, variable.preview[:_PREVIEW_CHARS])
        kind, size, value = map(sanitize_line, cells)
        return indent + mark + sanitize_line(variable.name), kind, size, value

    @property
    def _marked(self) -> Row | None:
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def action_open(self, is_open: bool) -> None:
        """Show what is in the marked one, or no more; or further ones of those of which there are more."""
        row = self._marked
        if row is None:
            return
        if row.variable is None:
            if is_open and row.more_of:
                self._opened[row.more_of] = min(self._opened.get(row.more_of, 0) + _PAGE, _MOST)
        elif is_open and row.variable.has_children:
            self._opened.setdefault(row.variable.path, _PAGE)
        elif not is_open:
            self._opened.pop(row.variable.path, None)
        self.look()

    def action_turn(self) -> None:
        """Open what is shut, and shut what is open."""
        row = self._marked
        self.action_open(row is None or row.variable is None or row.variable.path not in self._opened)

    def action_select_cursor(self) -> None:
        """Open the marked one: as a table, if it has cells."""
        row = self._marked
        if row is not None and row.variable is not None and row.variable.has_cells:
            self.post_message(self.AsTable(row.variable.path))
        else:
            self.action_turn()
