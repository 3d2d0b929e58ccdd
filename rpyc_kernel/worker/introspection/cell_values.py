"""What a single cell is to a sort or a filter, without running the code of what is in it."""

from __future__ import annotations

import datetime
import decimal
import operator
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.core.table_rows import CONTAINS, IS_NULL, NOT_NULL
from rpyc_kernel.worker.previews import preview
from rpyc_kernel.worker.static_access import is_of, type_name

_NUMBERS: Final = (bool, int, float, decimal.Decimal)
_TIMES: Final = (("datetime", "date"), ("datetime", "time"), ("numpy", "datetime64"), ("pandas", "Period"))
_MAX_DEPTH: Final = 5
COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def show(value: Any) -> str:
    """A cell's or label's whole text: strings as they are, all else as its preview."""
    return value if type(value) is str else preview(value)


def is_null(value: Any) -> bool:
    """Whether a value stands for one that is missing: None, NaN, NaT, NA."""
    kind = type(value)
    if value is None or kind in (str, int, bool):
        return value is None
    if kind is float:
        return bool(value != value)
    if kind is decimal.Decimal:
        return bool(value.is_nan())
    if is_of(value, "pandas", "NaTType") or is_of(value, "pandas", "NAType"):
        return True
    is_scalar = is_of(value, "numpy", "floating") or is_of(value, "numpy", "datetime64")
    return (is_scalar or is_of(value, "numpy", "timedelta64")) and bool(value != value)


def sort_key(value: Any) -> Any:
    """What orders values of any types: numbers, then text, then bytes, then the others by their types and texts."""
    return _key(value, _MAX_DEPTH)


def _key(value: Any, depth: int) -> Any:
    if is_null(value):
        return 6, "", 0
    plain = _plain(value)
    kind = type(plain)
    if kind in _NUMBERS:
        return 0, "", plain
    if kind is str:
        return 1, "", plain
    if kind is bytes:
        return 2, "", plain
    if kind is datetime.timedelta:
        return 3, "", plain
    if kind in (tuple, list) and depth:
        return 4, type_name(plain), tuple(_key(each, depth - 1) for each in plain)
    return 4, type_name(value), (5, "", preview(value))


def _plain(value: Any) -> Any:
    """The value, if it is a number, text or bytes of another make the same as Python has them."""
    kind = type(value)
    if kind in (str, int, float, bool, bytes):
        return value
    if is_of(value, "numpy", "number") or is_of(value, "numpy", "bool") or is_of(value, "numpy", "bool_"):
        return value.item()
    if is_of(value, "numpy", "str_"):
        return str(value)
    if is_of(value, "pandas", "Timedelta"):
        return value.to_pytimedelta()
    return value


def make_test(comparison: str, wanted: Any) -> Callable[[Any], bool]:
    """Return what holds one value against another; what cannot be compared does not pass."""
    if comparison == IS_NULL:
        return is_null
    if comparison == NOT_NULL:
        return lambda value: not is_null(value)
    if comparison == CONTAINS:
        return lambda value: not is_null(value) and wanted in show(value)
    if comparison == "!=":
        is_equal = make_test("==", wanted)
        return lambda value: not is_equal(value)
    compare = COMPARISONS[comparison]
    family = _family(wanted)

    def test(value: Any) -> bool:
        plain = _plain(value)
        if type(plain) not in family:
            if family is not _TEXT or not any(is_of(value, package, name) for package, name in _TIMES):
                return False
            plain = preview(value)
        return bool(compare(plain, wanted))

    return test


_TEXT: Final = (str,)


def _family(wanted: Any) -> tuple[type, ...]:
    """The types that a value can be compared with."""
    if type(wanted) is str:
        return _TEXT
    return _NUMBERS if type(wanted) in _NUMBERS else (bytes,)
