"""Which rows of a table pass, and in what order they stand: their places, found once and then paged through.

What would hold the interpreter lock for long is done in pieces. numpy, pandas and pyarrow let go of it while they
compare or sort a whole column of theirs; what holds Python's objects is looked at some thousands at a time.
"""

from __future__ import annotations

import ast
import heapq
import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, compress
from typing import Any, Final, TypeAlias

from rpyc_kernel.core.table_rows import ASCENDING, CONTAINS, IS_NULL, NOT_NULL, Column, Condition, SortKey
from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.introspection.cell_values import COMPARISONS, is_null, make_test, show, sort_key
from rpyc_kernel.worker.introspection.tables import Cut, Table
from rpyc_kernel.worker.static_access import is_of

_CHUNK_ROWS: Final = 1 << 16
_RUN_ROWS: Final = 1 << 13
"""How many objects are sorted at once: comparing them lets nobody else run."""
_ORDERED_KINDS: Final = "biufcmMUS"
"""Of numpy's dtypes, those that hold values and no objects."""
_ATOMS: Final = (bool, int, float, str, bytes, type(None))
Places: TypeAlias = Any
"""Numbers of rows: an `array`, or one of numpy's."""
_Test: TypeAlias = Callable[[int, int], bytes]
"""Returns for each row, from the first up to, and not with, the last, whether it passes."""


def arrange(table: Table, sort: Sequence[SortKey], conditions: Sequence[Condition]) -> Places:
    """Return the places of the rows that pass, in order.

    Raises:
        RequestError: there is no such column, or it cannot be held against the value, or has no order.
    """
    places = _select(table, conditions) if conditions else None
    for column, direction in reversed(sort):
        places = _sort(table.column(find_column(table, column)), places, table.row_count, direction != ASCENDING)
    return _narrow(places, table.row_count)


def find_column(table: Table, column: Column) -> int | None:
    """Return the place of a column, None for what labels the rows; raises `RequestError` where there is none."""
    if column is None:
        return None
    if isinstance(column, int):
        if column < table.column_count:
            return column
        raise RequestError(f"there is no column {column}; the table has {table.column_count}, counted from 0")
    labels = [show(label) for label in table.label_columns(range(table.column_count))]
    if labels.count(column) == 1:
        return labels.index(column)
    if column in labels:
        raise RequestError(f"several columns are called {column!r}; say which one by its place, from 0")
    if column == "index":
        return None
    known = ", ".join(map(repr, labels[:20])) + (", ..." if len(labels) > 20 else "")
    raise RequestError(f"there is no column {column[:100]!r}; there are {known[:1000]}")


def _narrow(places: Places, row_count: int) -> Places:
    """The same in half the memory."""
    if isinstance(places, array) or row_count > 2**31:
        return places
    return places.astype("int32")


# ------------------------------------------------------------------ filter


def _select(table: Table, conditions: Sequence[Condition]) -> Places:
    tests = [_make_test(table, *condition) for condition in conditions]
    places = array("i" if table.row_count < 2**31 else "q")
    for first in range(0, table.row_count, _CHUNK_ROWS):
        end = min(first + _CHUNK_ROWS, table.row_count)
        passes = tests[0](first, end)
        for test in tests[1:]:
            both = int.from_bytes(passes, "little") & int.from_bytes(test(first, end), "little")
            passes = both.to_bytes(end - first, "little")
        places.extend(compress(range(first, end), passes))
    return places


def _make_test(table: Table, column: Column, comparison: str, literal: str) -> _Test:
    wanted = _read_literal(literal)
    if wanted is None and comparison in ("==", "!="):
        comparison = IS_NULL if comparison == "==" else NOT_NULL
    if comparison == CONTAINS and type(wanted) is not str:
        raise RequestError(f"{CONTAINS!r} looks for text, not {wanted!r}")
    values = table.column(find_column(table, column))
    if not _is_typed(values):
        return _test_each(_as_cut(values), make_test(comparison, wanted))
    if comparison == CONTAINS:
        return _test_each(lambda first, end: values[first:end].tolist(), make_test(comparison, wanted))
    if comparison in (IS_NULL, NOT_NULL):
        return lambda first, end: (_nulls(values[first:end]) ^ (comparison == NOT_NULL)).tobytes()
    compare, wanted = COMPARISONS[comparison], _fit(values.dtype, wanted, column)
    return lambda first, end: _as_flags(compare(values[first:end], wanted), comparison == "!=")


def _test_each(cut: Cut, test: Callable[[Any], bool]) -> _Test:
    return lambda first, end: bytes(map(test, cut(first, end)))


def _read_literal(literal: str) -> Any:
    try:
        wanted = ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise RequestError(f"{literal[:100]!r} is no literal; write text in quotes") from None
    if type(wanted) not in _ATOMS:
        raise RequestError(f"cells are held against numbers, text, bytes, True, False or None, not {literal[:100]}")
    return wanted


def _fit(dtype: Any, wanted: Any, column: Column) -> Any:
    """The value as the column's own type has it; raises `RequestError` where it has no such value."""
    if wanted is None:
        raise RequestError("None has no order; ask for 'is null' or 'not null'")
    kind = getattr(dtype, "kind", "O")
    if kind in "fc" and isinstance(wanted, (bool, int, float)) and is_of(dtype, "numpy", "dtype"):
        return _widen(dtype, wanted, column)
    if kind in "biufc" and isinstance(wanted, (bool, int, float)):
        return wanted
    if (kind in "U" or is_of(dtype, "pandas", "StringDtype")) and type(wanted) is str:
        return wanted
    if kind == "S" and type(wanted) is bytes:
        return wanted
    if kind in "mM" and type(wanted) is str:
        return read_time(dtype, wanted, column)
    raise RequestError(f"the column {column!r} holds {str(dtype)[:100]}, which cannot be compared with {wanted!r}")


def _widen(dtype: Any, wanted: Any, column: Column) -> Any:
    """A number that the column's own type has no room for, as one of a wider type."""
    numpy = sys.modules["numpy"]
    if wanted in (math.inf, -math.inf) or not abs(wanted) > float(numpy.finfo(dtype).max):
        return wanted
    try:
        return numpy.float64(wanted)
    except OverflowError:
        raise RequestError(f"the column {column!r} holds {dtype}, and the number is beyond any of those") from None


def read_time(dtype: Any, text: str, column: Column) -> Any:
    """Return the time or span of time that a text tells; raises `RequestError` where it tells none."""
    try:
        pandas = sys.modules.get("pandas")
        if pandas is None:
            return (
                sys.modules["numpy"].datetime64(text) if dtype.kind == "M" else sys.modules["numpy"].timedelta64(text)
            )
        if dtype.kind == "m":
            return pandas.Timedelta(text)
        time, zone = pandas.Timestamp(text), getattr(dtype, "tz", None)
        if zone is None and time.tzinfo is not None:
            raise RequestError(f"the column {column!r} holds times of no time zone, and {text[:100]!r} has one")
        return time.tz_localize(zone) if zone is not None and time.tzinfo is None else time
    except RequestError:
        raise
    except Exception:  # noqa: BLE001 - each kind of text that is no time has an error of its own
        raise RequestError(f"the column {column!r} holds times, and {text[:100]!r} is none; write 2024-01-31") from None


def _as_flags(passes: Any, null_passes: bool) -> bytes:
    if not is_of(passes, "numpy", "ndarray"):  # pandas' own kinds of columns may answer that they do not know
        passes = passes.to_numpy(bool, na_value=null_passes)
    return bytes(passes.tobytes())


def _nulls(values: Any) -> Any:
    """Where values are missing, as an array."""
    if not is_of(values, "numpy", "ndarray"):
        return values.isna()
    return values != values if values.dtype.kind in "fcmM" else sys.modules["numpy"].zeros(len(values), bool)


# ------------------------------------------------------------------ sort


def _sort(values: Any, places: Places | None, row_count: int, descends: bool) -> Places:
    """Sort some rows, or all of them, by a column; equal ones keep their order, and missing values go last."""
    if not _is_typed(values):
        return _sort_objects(_as_cut(values), range(row_count) if places is None else places, descends)
    numpy = sys.modules["numpy"]
    chosen = None if places is None else numpy.asarray(places)
    part = values if chosen is None else values.take(chosen)
    order = _order_array(numpy, part, descends) if is_of(part, "numpy", "ndarray") else _order_column(part, descends)
    return order if chosen is None else chosen[order]


def _order_array(numpy: Any, values: Any, descends: bool) -> Any:
    if not descends:
        return numpy.argsort(values, kind="stable")
    order = numpy.argsort(values[::-1], kind="stable")[::-1]
    numpy.subtract(len(values) - 1, order, out=order)
    count = int(_nulls(values).sum())
    return numpy.concatenate((order[count:], order[:count])) if count else order


def _order_column(values: Any, descends: bool) -> Any:
    try:
        return values.argsort(ascending=not descends, kind="stable", na_position="last")
    except Exception as error:  # noqa: BLE001 - pyarrow has types without an order, and errors of its own
        raise RequestError(f"a column of {str(values.dtype)[:100]} has no order: {type(error).__name__}") from None


def _sort_objects(cut: Cut, places: Sequence[int], descends: bool) -> Places:
    def key(place: int) -> Any:
        return sort_key(cut(place, place + 1)[0])

    nulls = array("q")
    runs = []
    for first in range(0, len(places), _RUN_ROWS):
        run = [int(place) for place in places[first : first + _RUN_ROWS]]
        missing = [is_null(cut(place, place + 1)[0]) for place in run]
        nulls.extend(compress(run, missing))
        known = array("q", compress(run, (not each for each in missing)))
        runs.append(array("q", sorted(known, key=key, reverse=descends)))
    return array("q", chain(_merge(runs, key, descends), nulls))


def _merge(runs: list[Any], key: Callable[[int], Any], descends: bool) -> Iterator[int]:
    return heapq.merge(*runs, key=key, reverse=descends)


# ------------------------------------------------------------------ columns


def _is_typed(values: Any) -> bool:
    """Whether the column compares and sorts itself, and needs no object of Python's for that."""
    if is_of(values, "numpy", "ndarray"):
        return values.dtype.kind in _ORDERED_KINDS and not is_of(values, "numpy", "MaskedArray")
    dtype: Any = getattr(values, "dtype", None)
    if is_of(dtype, "pandas", "StringDtype"):
        return bool(dtype.storage == "pyarrow")
    return dtype is not None and any(is_of(dtype, "pandas", name) for name in _TYPED)


_TYPED: Final = ("BaseMaskedDtype", "DatetimeTZDtype")


def _as_cut(values: Any) -> Cut:
    if is_of(values, "numpy", "ndarray"):
        return lambda first, end: values[first:end].tolist()
    if hasattr(values, "dtype"):
        return lambda first, end: list(values[first:end])
    return values  # type: ignore[no-any-return]
