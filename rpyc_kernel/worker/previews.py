"""One short line for any value, without running the value's code.

`reprlib` would not do: it asks the elements of a list for their `repr`, sorts those of a set, and compares the keys of
a dict, all of which may be user code that never returns.
"""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from rpyc_kernel.worker.static_access import (
    full_name,
    is_of,
    is_trusted,
    lineage,
    read_attribute,
    top_module,
    type_name,
)

_MAX_CHARS = 400
_MAX_STRING = 120
_MAX_INT_BITS = 400
_MAX_ITEMS = 8
_MAX_DEPTH = 3
_ATOMS = (bool, float, complex, type(None), type(Ellipsis))
_STRINGS = (str, bytes, bytearray)
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_EMPTY: dict[type, str] = {set: "set()", frozenset: "frozenset()"}
_SCALARS = (
    ("numpy", "number"),
    ("numpy", "bool"),
    ("numpy", "bool_"),
    ("numpy", "str_"),
    ("numpy", "datetime64"),
    ("numpy", "timedelta64"),
    ("pandas", "Timestamp"),
    ("pandas", "Timedelta"),
    ("pandas", "NaTType"),
    ("pandas", "NAType"),
    ("datetime", "date"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("pathlib", "PurePath"),
    ("uuid", "UUID"),
)
"""Whose ``str`` is short, and made by code that is known."""
_ZONES = frozenset({"builtins", "datetime", "zoneinfo", "dateutil", "pytz"})
"""Packages whose time zones are known to come back."""
_ROUTINES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
)


def preview(value: Any) -> str:
    """Return one short line for a value."""
    try:
        text = _sketch(value, _MAX_DEPTH)
    except Exception:  # noqa: BLE001 - the running code changed it meanwhile, or it is like nothing foreseen
        text = f"<{type_name(value)} object>"
    if len(text) > _MAX_CHARS:
        text = text[:_MAX_CHARS] + "..."
    return text.encode("utf-8", "backslashreplace").decode()


def has_known_dtype(value: Any) -> bool:
    """Whether what an array or table says of its elements, and how it makes them, is code that is known."""
    dtype = value.dtype
    return is_trusted(type(dtype)) and _is_known_zone(getattr(dtype, "tz", None))


def _sketch(value: Any, depth: int) -> str:
    kind = type(value)
    if kind in _STRINGS:
        return repr(value) if len(value) <= _MAX_STRING else f"{value[:_MAX_STRING]!r}..."
    if kind is int:
        return repr(value) if value.bit_length() <= _MAX_INT_BITS else f"<int of {value.bit_length()} bits>"
    if kind in _ATOMS:
        return repr(value)
    if kind is range:
        numbers = (value.start, value.stop) if value.step == 1 else (value.start, value.stop, value.step)
        return f"range({', '.join(_sketch(number, 0) for number in numbers)})"
    if kind is dict:
        return _enclose(kind, value.items(), len(value), lambda item: _sketch_item(item, depth - 1), depth)
    if kind in _BRACKETS:
        return _enclose(kind, value, len(value), lambda item: _sketch(item, depth - 1), depth)
    if issubclass(kind, (type, types.ModuleType, *_ROUTINES)):
        name = read_attribute(value, "__name__")
        return f"<{type_name(value)} {name if type(name) is str else ''}>"
    return _sketch_known(value) or f"<{full_name(kind)} object>"


def _sketch_known(value: Any) -> str:
    """A sketch of what comes from a package whose code is known to come back, "" where that does not help."""
    try:
        if is_of(value, "numpy", "ndarray"):
            return _sketch_items(value.flat[:_MAX_ITEMS].tolist(), value.size)
        if is_of(value, "pandas", "DataFrame"):
            counted = f"{value.shape[0]} rows x {value.shape[1]} columns"
            is_known = has_known_dtype(value.columns)
            return f"{counted}: {_sketch_items([*value.columns[:_MAX_ITEMS]], value.shape[1])}" if is_known else counted
        if is_of(value, "pandas", "Series") and has_known_dtype(value):
            return _sketch_items(list(value.iloc[:_MAX_ITEMS].array), value.size)
        if is_of(value, "pandas", "Index") and has_known_dtype(value):
            return _sketch_items(list(value[:_MAX_ITEMS].array), value.size)
        if any(is_of(value, package, name) for package, name in _SCALARS) and _has_known_zone(value):
            return str(value)
    except Exception:  # noqa: BLE001 - the running code changed it meanwhile
        return ""
    return ""


def _has_known_zone(value: Any) -> bool:
    """Whether a time is told without asking a time zone of the user's making."""
    return not isinstance(value, (datetime.datetime, datetime.time)) or _is_known_zone(value.tzinfo)


def _is_known_zone(zone: object) -> bool:
    return zone is None or all(top_module(base) in _ZONES for base in lineage(type(zone)))


def _sketch_items(first: list[Any], count: int) -> str:
    return f"[{', '.join(_sketch(item, 0) for item in first)}{', ...' if count > len(first) else ''}]"


def _sketch_item(item: tuple[Any, Any], depth: int) -> str:
    key, value = item
    return f"{_sketch(key, depth)}: {_sketch(value, depth)}"


def _enclose(kind: type, items: Iterable[Any], count: int, sketch: Callable[[Any], str], depth: int) -> str:
    if not count and kind in _EMPTY:
        return _EMPTY[kind]
    opening, closing = _BRACKETS[kind]
    if depth <= 0 and count:
        return f"{opening}...{closing}"
    shown = [sketch(item) for item in islice(items, _MAX_ITEMS)]
    if count > _MAX_ITEMS:
        shown.append("...")
    comma = "," if kind is tuple and count == 1 else ""
    return f"{opening}{', '.join(shown)}{comma}{closing}"
