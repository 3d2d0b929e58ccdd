"""A rectangle of a table or of something that can be shown as one, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from rpyc_kernel.core.introspection import MAX_CELLS, Cells
from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.worker.introspection.paths import MAX_SKIPPED, resolve
from rpyc_kernel.worker.previews import preview
from rpyc_kernel.worker.static_access import is_of

_MAX_CELL_CHARS = 200
_VALUE = ("value",)
_Range = tuple[int, int]
_Part = tuple[Iterable[Any], Iterable[Any], Iterable[Iterable[Any]]]
"""Labels of rows, labels of columns, and rows."""


def has_cells(value: Any) -> bool:
    """Whether `read_cells` can show it."""
    return any(matches(value) for matches, _, _ in _READERS)


def read_cells(
    namespace: dict[str, Any], path: str, first_row: int, end_row: int, first_column: int, end_column: int
) -> Cells:
    """Return the cells of the value at a path, from the first row and column up to, and not with, the ends."""
    value = resolve(namespace, path)
    for matches, measure, read in _READERS:
        if matches(value):
            try:
                row_count, column_count = measure(value)
                row_range, column_range = (
                    _clip(first_row, end_row, row_count),
                    _clip(first_column, end_column, column_count),
                )
                _require_few(row_range, column_range)
                row_labels, column_labels, cells = read(value, row_range, column_range)
                return Cells(
                    path,
                    row_count,
                    column_count,
                    row_range[0],
                    column_range[0],
                    tuple(map(_show, row_labels)),
                    tuple(map(_show, column_labels)),
                    tuple(tuple(map(_show, row)) for row in cells),
                )
            except RequestError:
                raise
            except Exception as error:  # noqa: BLE001 - the running code changes it
                raise NotAvailable(f"{path!r} could not be read: {type(error).__name__}; ask again") from None
    raise RequestError(f"{path!r} is nothing that has rows")


def _clip(first: int, end: int, extent: int) -> _Range:
    begin = max(0, min(first, extent))
    return begin, max(begin, min(end, extent))


def _require_few(rows: _Range, columns: _Range) -> None:
    count = (rows[1] - rows[0]) * (columns[1] - columns[0])
    if count > MAX_CELLS:
        raise RequestError(f"{count} cells are more than the {MAX_CELLS} of one answer; ask for fewer rows or columns")


def _show(value: Any) -> str:
    """A cell's or label's text: strings as they are, all else as its preview."""
    text = value if type(value) is str else preview(value)
    short = text if len(text) <= _MAX_CELL_CHARS else text[:_MAX_CELL_CHARS] + "..."
    return short.encode("utf-8", "backslashreplace").decode()


def _read_list(value: Any, rows: _Range, columns: _Range) -> _Part:
    base = list if issubclass(type(value), list) else tuple
    part = base.__getitem__(value, slice(*rows))
    return range(*rows), _VALUE[slice(*columns)], ([item][slice(*columns)] for item in part)


def _read_dict(value: Any, rows: _Range, columns: _Range) -> _Part:
    if rows[0] > MAX_SKIPPED:
        raise RequestError(f"a dict can be read up to row {MAX_SKIPPED}, not from {rows[0]}")
    part = list(islice(dict.items(value), *rows))
    return [key for key, _ in part], _VALUE[slice(*columns)], ([item][slice(*columns)] for _, item in part)


def _read_array(value: Any, rows: _Range, columns: _Range) -> _Part:
    if value.dtype.names:
        names = value.dtype.names[slice(*columns)]
        part = value[slice(*rows)]
        return range(*rows), names, zip(*(part[name].tolist() for name in names), strict=True)
    if value.ndim < 2:
        part = value.reshape(-1)[slice(*rows)]
        return range(*rows), _VALUE[slice(*columns)], ([item][slice(*columns)] for item in part.tolist())
    part = value[slice(*rows), slice(*columns)]
    return range(*rows), range(*columns), part.tolist() if value.ndim == 2 else part


def _measure_array(value: Any) -> tuple[int, int]:
    rows = int(value.shape[0]) if value.ndim else 1
    if value.dtype.names:
        return rows, len(value.dtype.names)
    return rows, int(value.shape[1]) if value.ndim > 1 else 1


def _measure_frame(value: Any) -> tuple[int, int]:
    return int(value.shape[0]), int(value.shape[1])


def _read_frame(value: Any, rows: _Range, columns: _Range) -> _Part:
    part = value.iloc[slice(*rows), slice(*columns)]
    cells = [list(part.iloc[:, number].array) for number in range(part.shape[1])]
    return part.index, part.columns, zip(*cells, strict=True)


def _read_series(value: Any, rows: _Range, columns: _Range) -> _Part:
    part = value.iloc[slice(*rows)]
    name = _VALUE if value.name is None else (value.name,)
    return part.index, name[slice(*columns)], ([item][slice(*columns)] for item in part.array)


_READERS: tuple[
    tuple[Callable[[Any], bool], Callable[[Any], tuple[int, int]], Callable[[Any, _Range, _Range], _Part]], ...
] = (
    (lambda value: issubclass(type(value), list), lambda value: (list.__len__(value), 1), _read_list),
    (lambda value: issubclass(type(value), tuple), lambda value: (tuple.__len__(value), 1), _read_list),
    (lambda value: issubclass(type(value), dict), lambda value: (dict.__len__(value), 1), _read_dict),
    (lambda value: is_of(value, "numpy", "ndarray"), _measure_array, _read_array),
    (lambda value: is_of(value, "pandas", "DataFrame"), _measure_frame, _read_frame),
    (lambda value: is_of(value, "pandas", "Series"), lambda value: (int(value.size), 1), _read_series),
)
