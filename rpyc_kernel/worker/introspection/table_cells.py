"""A rectangle of a table or of something that can be shown as one, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rpyc_kernel.core.introspection import MAX_CELL_CHARS, MAX_CELLS, Cells
from rpyc_kernel.core.table_rows import Condition, SortKey
from rpyc_kernel.errors import NotAvailable, RequestError, WorkerBusy
from rpyc_kernel.worker.introspection.cell_values import show
from rpyc_kernel.worker.introspection.paths import resolve
from rpyc_kernel.worker.introspection.row_order import arrange
from rpyc_kernel.worker.introspection.row_views import RowViews
from rpyc_kernel.worker.introspection.tables import Rows, as_table


def read_cells(
    namespace: dict[str, Any],
    views: RowViews,
    path: str,
    first_row: int,
    end_row: int,
    first_column: int,
    end_column: int,
    sort: Sequence[SortKey] = (),
    conditions: Sequence[Condition] = (),
) -> Cells:
    """Return the cells of the value at a path, from the first row and column up to, and not with, the ends."""
    value = resolve(namespace, path)
    try:
        table = as_table(value)
        if table is None:
            raise RequestError(f"{path!r} is nothing that has rows")
        places: Any = range(table.row_count)
        if sort or conditions:
            chosen = repr((sort, conditions, table.row_count))
            places = views.find(value, chosen, lambda: arrange(table, sort, conditions))
        rows, columns = _clip(first_row, end_row, len(places)), _clip(first_column, end_column, table.column_count)
        _require_few(len(rows) * len(columns))
        here: Rows = (
            places[rows.start : rows.stop] if isinstance(places, range) else (places[rows.start : rows.stop].tolist())
        )
        return Cells(
            path,
            len(places),
            table.column_count,
            rows.start,
            columns.start,
            tuple(map(_show, table.label_rows(here))),
            tuple(map(_show, table.label_columns(columns))),
            tuple(tuple(map(_show, row)) for row in table.read(here, columns)),
            table.row_count,
            tuple(here),
            tuple(table.type_columns(columns)),
        )
    except (RequestError, WorkerBusy):
        raise
    except Exception as error:  # noqa: BLE001 - the running code changes it
        raise NotAvailable(f"{path!r} could not be read: {type(error).__name__}; ask again") from None


def _clip(first: int, end: int, extent: int) -> range:
    begin = max(0, min(first, extent))
    return range(begin, max(begin, min(end, extent)))


def _require_few(count: int) -> None:
    if count > MAX_CELLS:
        raise RequestError(f"{count} cells are more than the {MAX_CELLS} of one answer; ask for fewer rows or columns")


def _show(value: Any) -> str:
    """A cell's or label's text, cut where it is long."""
    text = show(value)
    short = text if len(text) <= MAX_CELL_CHARS else text[:MAX_CELL_CHARS] + "..."
    return short.encode("utf-8", "backslashreplace").decode()
