"""What can be shown as a table: the rows, columns and labels of each kind of value, read in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol, TypeAlias

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.introspection.paths import MAX_SKIPPED
from rpyc_kernel.worker.previews import has_known_dtype
from rpyc_kernel.worker.static_access import is_of

_VALUE = "value"
_ANY = "object"
Rows: TypeAlias = range | list[int]
"""Places of rows, all within the table; a range where they follow each other."""
Cut: TypeAlias = Callable[[int, int], Sequence[Any]]
"""Returns the values of some rows of a column, from the first up to, and not with, the last."""


class Table(Protocol):
    """A value that has rows.

    Attributes:
        row_count: how many rows it has.
        column_count: how many columns it has.
    """

    row_count: int
    column_count: int

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        """Return what labels some rows."""

    def label_columns(self, columns: range) -> Iterable[Any]:
        """Return what labels some columns."""

    def type_columns(self, columns: range) -> Iterable[str]:
        """Return what some columns hold: an array's dtype, or `object`."""

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        """Return the cells of some rows and columns, row by row."""

    def column(self, place: int | None) -> Any:
        """Return all of a column, or of what labels the rows: an array of numpy's or pandas', or a `Cut`."""


def as_table(value: Any) -> Table | None:
    """Return a value as a table, None where it is none."""
    return next((kind(value) for matches, kind in _KINDS if matches(value)), None)


def has_cells(value: Any) -> bool:
    """Whether a value can be shown as a table."""
    return any(matches(value) for matches, _ in _KINDS)


def _within(rows: Rows) -> slice | list[int]:
    """What takes these rows out of an array."""
    return slice(rows.start, rows.stop) if isinstance(rows, range) else rows


class _OneColumn:
    """A table of one column, whose values are of any type."""

    column_count = 1

    def label_columns(self, columns: range) -> Iterable[Any]:
        return (_VALUE,)[columns.start : columns.stop]

    def type_columns(self, columns: range) -> Iterable[str]:
        return (_ANY,)[columns.start : columns.stop]


class _List(_OneColumn):
    """A list or tuple, whatever a class derived from it says."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._base: Any = list if issubclass(type(value), list) else tuple
        self.row_count = self._base.__len__(value)

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return rows

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        take = self._base.__getitem__
        if isinstance(rows, range):
            return ([item][: len(columns)] for item in take(self._value, _within(rows)))
        return ([take(self._value, row)][: len(columns)] for row in rows)

    def column(self, place: int | None) -> Cut:
        if place is None:
            return range
        return lambda first, end: self._base.__getitem__(self._value, slice(first, end))


class _Dict(_OneColumn):
    """A dict, which can only be walked through."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.row_count = dict.__len__(value)

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return [key for key, _ in self._items(rows)]

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        return ([item][: len(columns)] for _, item in self._items(rows))

    def column(self, place: int | None) -> Cut:
        if self.row_count > MAX_SKIPPED:
            raise RequestError(f"a dict can be sorted or filtered up to {MAX_SKIPPED} items, not {self.row_count}")
        part = [*(dict.keys(self._value) if place is None else dict.values(self._value))]
        return lambda first, end: part[first:end]

    def _items(self, rows: Rows) -> list[tuple[Any, Any]]:
        first = min(rows, default=0)
        if first > MAX_SKIPPED:
            raise RequestError(f"a dict can be read up to row {MAX_SKIPPED}, not from {first}")
        part = list(islice(dict.items(self._value), first, max(rows, default=-1) + 1))
        return [part[row - first] for row in rows]


class _Array:
    """An array of any number of dimensions; of more than two, each cell is an array."""

    def __init__(self, value: Any) -> None:
        if is_of(value, "numpy", "matrix"):  # of which each part has two dimensions again
            value = value.A
        self._value = value if value.ndim else value.reshape(-1)
        self.row_count = int(self._value.shape[0])
        self.column_count = int(self._value.shape[1]) if value.ndim > 1 else 1

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return rows

    def label_columns(self, columns: range) -> Iterable[Any]:
        return columns if self._value.ndim > 1 else (_VALUE,)[columns.start : columns.stop]

    def type_columns(self, columns: range) -> Iterable[str]:
        return [str(self._value.dtype)] * len(columns)

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        part = self._value[_within(rows)]
        if part.ndim < 2:
            return ([item][: len(columns)] for item in part.tolist())
        part = part[:, columns.start : columns.stop]
        return part.tolist() if part.ndim == 2 else part  # type: ignore[no-any-return]

    def column(self, place: int | None) -> Any:
        if place is None:
            return range
        if self._value.ndim > 2:
            raise RequestError("the cells of an array of more than two dimensions are arrays, which have no order")
        return self._value if self._value.ndim == 1 else self._value[:, place]


class _Records:
    """An array with a field for each column."""

    def __init__(self, value: Any) -> None:
        self._value = value.reshape(-1)
        self._names = value.dtype.names
        self.row_count = int(self._value.shape[0])
        self.column_count = len(self._names)

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return rows

    def label_columns(self, columns: range) -> Iterable[Any]:
        return self._names[columns.start : columns.stop]  # type: ignore[no-any-return]

    def type_columns(self, columns: range) -> Iterable[str]:
        return (str(self._value.dtype[place]) for place in columns)

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        part = self._value[_within(rows)]
        if not columns:
            return [()] * len(part)
        return zip(*(part[self._names[place]].tolist() for place in columns), strict=True)

    def column(self, place: int | None) -> Any:
        if place is None:
            return range
        column = self._value[self._names[place]]
        if column.ndim > 1 or column.dtype.names:
            raise RequestError(f"the cells of {self._names[place]!r} are arrays or records, which have no order")
        return column


class _Frame:
    """A data frame."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.row_count, self.column_count = map(int, value.shape)

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return self._value.index[_within(rows)]  # type: ignore[no-any-return]

    def label_columns(self, columns: range) -> Iterable[Any]:
        return self._value.columns[columns.start : columns.stop]  # type: ignore[no-any-return]

    def type_columns(self, columns: range) -> Iterable[str]:
        return (_type_of(self._value.iloc[:, place]) for place in columns)

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        part = self._value.iloc[:, columns.start : columns.stop].iloc[_within(rows)]
        if not columns:
            return [()] * len(part)
        return zip(*(list(part.iloc[:, place].array) for place in range(len(columns))), strict=True)

    def column(self, place: int | None) -> Any:
        return _array_of(self._value.index if place is None else self._value.iloc[:, place])


class _Series:
    """A series: a data frame of one column."""

    column_count = 1

    def __init__(self, value: Any) -> None:
        self._value = value
        self.row_count = int(value.size)

    def label_rows(self, rows: Rows) -> Iterable[Any]:
        return self._value.index[_within(rows)]  # type: ignore[no-any-return]

    def label_columns(self, columns: range) -> Iterable[Any]:
        name = _VALUE if self._value.name is None else self._value.name
        return (name,)[columns.start : columns.stop]

    def type_columns(self, columns: range) -> Iterable[str]:
        return (_type_of(self._value),)[columns.start : columns.stop]

    def read(self, rows: Rows, columns: range) -> Iterable[Iterable[Any]]:
        return ([item][: len(columns)] for item in self._value.iloc[_within(rows)].array)

    def column(self, place: int | None) -> Any:
        return _array_of(self._value.index if place is None else self._value)


def _type_of(column: Any) -> str:
    return str(column.dtype)[:100] if has_known_dtype(column) else _ANY


def _array_of(column: Any) -> Any:
    """What holds the values of a series or an index, without a copy."""
    if not has_known_dtype(column):
        raise RequestError("a column of a type of the user's own making cannot be sorted or filtered without its code")
    if is_of(column, "pandas", "MultiIndex"):
        return lambda first, end: column[first:end].tolist()
    if is_of(column, "pandas", "RangeIndex"):
        return lambda first, end: column[first:end].to_numpy()
    return column.to_numpy() if is_of(column.dtype, "numpy", "dtype") else column.array


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Table]], ...] = (
    (lambda value: issubclass(type(value), (list, tuple)), _List),
    (lambda value: issubclass(type(value), dict), _Dict),
    (lambda value: is_of(value, "numpy", "ndarray") and bool(value.dtype.names), _Records),
    (lambda value: is_of(value, "numpy", "ndarray"), _Array),
    (lambda value: is_of(value, "pandas", "DataFrame"), _Frame),
    (lambda value: is_of(value, "pandas", "Series"), _Series),
)
