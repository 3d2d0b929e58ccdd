"""Kinds of arguments: what each takes, and in which words it refuses all else; of commands and of Python functions.

A value that passes can be recorded, sent to the worker and told in a message, whatever it is: numbers are finite, texts
have an end and can be encoded.
"""

from __future__ import annotations

import keyword
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from rpyc_kernel.core.contract import MAX_CODE_CHARS
from rpyc_kernel.core.seconds import read_seconds
from rpyc_kernel.core.source import read_source
from rpyc_kernel.core.table_rows import OPERATORS, read_column, read_filter, read_sort, take_filter
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import BadCode, RequestError
from rpyc_kernel.frozen import Frozen

_MAX_NUMBER: Final = 2**128
_MAX_PLACE: Final = 2**62
_MAX_TEXTS: Final = 10_000
_MAX_TOKEN_CHARS: Final = 64
_MAX_CALL_CHARS: Final = 20 * 1024 * 1024
"""JSON may spell a character with twelve, and the worker takes frames of 256 MB."""

Read = Callable[[Any, str], Any]
"""Returns a value as it is used from here on; it is called what the second argument says; raises `RequestError`."""


class ArgumentKind(Frozen, eq=False):
    """One kind of argument.

    Attributes:
        name: as the reference calls it.
        doc: what it takes, in words.
        read: reads what came over the wire, which is exactly of the kind's type: True is no number.
        take: reads what a caller in Python passed, and may be anything that stands for it.
    """

    name: str
    doc: str
    read: Read
    take: Read


def wrong(value: Any, what: str, wanted: str) -> RequestError:
    """The error that says of which kind a value should have been."""
    return RequestError(f"{what} must be {wanted}, not {type(value).__name__}")


def or_none(read: Read) -> Read:
    """The same, where None may stand as well."""
    return lambda value, what: None if value is None else read(value, what)


# ------------------------------------------------------------------ numbers


def _read_bool(value: Any, what: str) -> bool:
    if value is True or value is False:
        return value
    raise wrong(value, what, "True or False")


def _take_bool(value: Any, what: str) -> bool:
    if isinstance(value, int):
        return bool(value)
    raise wrong(value, what, "True or False")


def _read_int(value: Any, what: str, limit: int = _MAX_NUMBER) -> int:
    if type(value) is not int:
        raise wrong(value, what, "int")
    if not -limit < value < limit:
        raise RequestError(f"{what} is out of all bounds")
    return value


def _take_int(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise wrong(value, what, "int") from None


def _read_seconds(value: Any, what: str) -> float:
    if type(value) is int:
        return _read_int(value, what)
    if type(value) is not float:
        raise wrong(value, what, "float")
    if not math.isfinite(value):
        raise RequestError(f"{what} must be a finite number, not {value}")
    return value


BOOL: Final = ArgumentKind("bool", "True or False", _read_bool, _take_bool)
INT: Final = ArgumentKind("int", "a whole number", _read_int, _take_int)
PLACE: Final = ArgumentKind(
    "place", "a place among items, from 0", lambda value, what: _read_int(value, what, _MAX_PLACE + 1), _take_int
)
SECONDS: Final = ArgumentKind("seconds", "a number of seconds, whole or not, and finite", _read_seconds, read_seconds)

# ------------------------------------------------------------------ texts


def _read_text(
    value: Any, what: str, limit: int = MAX_CODE_CHARS, error: type[RequestError] = RequestError, advice: str = ""
) -> str:
    if type(value) is not str:
        raise wrong(value, what, "str")
    if len(value) > limit:
        raise error(f"the {what} is {len(value):,} characters long and the limit is {limit:,}{advice}")
    if not value.isascii():
        require_encodable(value, f"the {what}", error)
    return value


def _take_text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise wrong(value, what, "str")
    return value


def _read_code(value: Any, what: str) -> str:
    advice = "; put it in a file the kernel can import, or push the data separately"
    return _read_text(value, what, MAX_CODE_CHARS, BadCode, advice)


def _read_texts(value: Any, what: str) -> tuple[str, ...]:
    if type(value) is not tuple:
        raise wrong(value, what, "tuple")
    if len(value) > _MAX_TEXTS:
        raise RequestError(f"the {what} are {len(value):,} and the limit is {_MAX_TEXTS:,}")
    for item in value:
        _read_text(item, what)
    if sum(map(len, value)) > MAX_CODE_CHARS:
        raise RequestError(f"the {what} are too long together; the limit is {MAX_CODE_CHARS:,} characters")
    return value


def _take_texts(value: Any, what: str) -> Sequence[str]:
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value):
        return value
    raise wrong(value, what, "a list of str")


def _require_name(value: str) -> str:
    if not value.isidentifier() or keyword.iskeyword(value):
        raise RequestError(f"{value[:100]!r} cannot be the name of a variable")
    return value


TEXT: Final = ArgumentKind("text", f"text of at most {MAX_CODE_CHARS:,} characters", _read_text, _take_text)
TEXTS: Final = ArgumentKind(
    "texts",
    f"a tuple of at most {_MAX_TEXTS:,} texts, of {MAX_CODE_CHARS:,} characters together",
    _read_texts,
    _take_texts,
)
CODE: Final = ArgumentKind(
    "code", f"source code, or what stands for it, of at most {MAX_CODE_CHARS:,} characters", _read_code, _take_text
)
CALL: Final = ArgumentKind(
    "call",
    f"text of at most {_MAX_CALL_CHARS:,} characters: a message to a widget may be long",
    lambda value, what: _read_text(value, what, _MAX_CALL_CHARS),
    _take_text,
)
TOKEN: Final = ArgumentKind(
    "token",
    f"text of at most {_MAX_TOKEN_CHARS} characters",
    lambda value, what: _read_text(value, what, _MAX_TOKEN_CHARS),
    _take_text,
)
NAME: Final = ArgumentKind(
    "name",
    "what can be the name of a variable: an identifier that is no keyword",
    lambda value, what: _require_name(_read_text(value, what)),
    lambda value, what: _require_name(_take_text(value, what)),
)

# ------------------------------------------------------------------ sources


SOURCE: Final = ArgumentKind(
    "source",
    "pairs of name and value: `file` and `first_line` of the code, or `path`, `arguments`, `cwd`, `namespace` "
    "(`current` or `fresh`) and `reload` (whether changed modules are imported anew) of a program; () or None for "
    "neither",
    lambda value, what: read_source(value),
    lambda value, what: read_source(value),
)

# ------------------------------------------------------------------ rows of tables

_COLUMN: Final = "a column's label as text, its place from 0, or None for what labels the rows"
COLUMN: Final = ArgumentKind("column", _COLUMN, read_column, read_column)
SORT: Final = ArgumentKind(
    "sort",
    "a tuple of columns, each alone or paired with `ascending` or `descending`, the weightiest first",
    read_sort,
    read_sort,
)
FILTER: Final = ArgumentKind(
    "filter",
    f"a tuple of conditions that must all hold: column, one of {', '.join(f'`{each}`' for each in OPERATORS)}, and "
    "the literal of a number, text, bytes, True, False or None",
    read_filter,
    take_filter,
)
