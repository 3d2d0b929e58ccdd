"""Which rows of a table are asked for, and in what order: the columns to sort by, and what must hold in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from rpyc_kernel.core.contract import MAX_CODE_CHARS
from rpyc_kernel.core.literals import write_literal
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import RequestError

ASCENDING: Final = "ascending"
DESCENDING: Final = "descending"
CONTAINS: Final = "contains"
IS_NULL: Final = "is null"
NOT_NULL: Final = "not null"
OPERATORS: Final = ("==", "!=", "<", "<=", ">", ">=", CONTAINS, IS_NULL, NOT_NULL)
"""How a cell is held against a value; the last two take none."""
_WITHOUT_VALUE: Final = (IS_NULL, NOT_NULL)
MAX_PARTS: Final = 32
MAX_PLACE: Final = 2**62
MAX_LABEL_CHARS: Final = 1000

Column: TypeAlias = str | int | None
"""A column by its label's text, or by its place from 0; None is what labels the rows: index, keys or places."""
SortKey: TypeAlias = tuple[Column, str]
"""A column, and `ASCENDING` or `DESCENDING`."""
Condition: TypeAlias = tuple[Column, str, str]
"""A column, one of `OPERATORS`, and the literal of the value that the cells are held against."""


def read_column(value: Any, what: str) -> Column:
    """Check a column that was asked for; raises `RequestError` where it is none."""
    if value is None or (type(value) is int and 0 <= value < MAX_PLACE):
        return value
    if isinstance(value, str) and len(value) <= MAX_LABEL_CHARS:
        require_encodable(value, f"the {what}")
        return value
    raise RequestError(f"{what} must be a column's label as text, its place from 0, or None for what labels the rows")


def read_sort(value: Any, what: str) -> tuple[SortKey, ...]:
    """Read columns, each alone or with its direction, the weightiest first; one alone may stand for itself."""
    return tuple(_read_key(each, what) for each in _read_parts((value,) if type(value) in (str, int) else value, what))


def _read_key(value: Any, what: str) -> SortKey:
    if not isinstance(value, (list, tuple)):
        return read_column(value, what), ASCENDING
    if len(value) == 2 and value[1] in (ASCENDING, DESCENDING):
        return read_column(value[0], what), str(value[1])
    raise RequestError(f"{what} must be made of columns, or of pairs of a column and 'ascending' or 'descending'")


def read_filter(value: Any, what: str) -> tuple[Condition, ...]:
    """Read conditions that must all hold, with literals as they cross the wire."""
    return tuple((*_read_test(each, what), _read_literal(each[2:], what)) for each in _read_parts(value, what))


def take_filter(value: Any, what: str) -> tuple[Condition, ...]:
    """Read conditions with values as callers in Python have them: ``("price", ">=", 10)``, ``("note", "is null")``."""
    return tuple((*_read_test(each, what), write_literal(*each[2:] or (None,))) for each in _read_parts(value, what))


def _read_test(value: Any, what: str) -> tuple[Column, str]:
    if isinstance(value, (list, tuple)) and len(value) in (2, 3) and isinstance(value[1], str):
        column, operator = value[:2]
        if operator not in OPERATORS:
            raise RequestError(
                f"unknown operator {operator[:100]!r} in {what}; choose {', '.join(map(repr, OPERATORS))}"
            )
        if len(value) == 3 or operator in _WITHOUT_VALUE:
            return read_column(column, what), str(operator)
    raise RequestError(f"{what} must be made of (column, operator, value), as ('price', '>=', 10)")


def _read_literal(rest: Sequence[Any], what: str) -> str:
    (literal,) = rest or ("None",)
    if type(literal) is not str or len(literal) > MAX_CODE_CHARS:
        raise RequestError(f"each value in {what} must be a literal, as text")
    require_encodable(literal, f"each value in {what}")
    return literal


def _read_parts(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise RequestError(f"{what} must be a tuple, not {type(value).__name__}")
    if len(value) > MAX_PARTS:
        raise RequestError(f"{what} has {len(value)} parts and the limit is {MAX_PARTS}")
    return value
