"""How what a path leads to, or a cell of a table, is given a value, without running the code of objects."""

from __future__ import annotations

import ast
import math
import sys
import types
from collections import deque
from itertools import islice
from typing import Any

from rpyc_kernel.core.table_rows import Column
from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.introspection.paths import MAX_SKIPPED, resolve, split_path
from rpyc_kernel.worker.introspection.row_order import find_column, read_time
from rpyc_kernel.worker.introspection.tables import as_table
from rpyc_kernel.worker.static_access import (
    MISSING,
    find_in_lineage,
    is_data_descriptor,
    is_foreign,
    is_of,
    nothing_at,
    own_dict,
    type_name,
)

_INFINITE = (math.inf, -math.inf)


def set_at(namespace: dict[str, Any], path: str, value: Any) -> None:
    """Give what a path of more than a name leads to another value; raises `RequestError` where that cannot be."""
    resolve(namespace, path)  # nothing new is made: a mistyped key would be
    owner_path, step = split_path(path)
    owner = resolve(namespace, owner_path)
    if step["name"] or step["odd"]:
        _set_attribute(owner, step["name"] or ast.literal_eval(step["odd"]), value, path)
    elif step["at"]:
        _set_item(owner, _find_key(owner, int(step["mark"]), path), value, path)
    else:
        _set_item(owner, ast.literal_eval(step["literal"]), value, path)


def set_cell(namespace: dict[str, Any], path: str, row: int, column: Column, value: Any) -> None:
    """Give a cell of the table at a path a value; raises `RequestError` where it has no such cell, or it cannot."""
    owner = resolve(namespace, path)
    _refuse_copy(namespace, path, owner)
    table = None if is_foreign(owner) else as_table(owner)
    if table is None:
        raise RequestError(f"{path!r} is nothing that has rows")
    place = find_column(table, column)
    if place is None:
        raise RequestError("what labels the rows cannot be changed here; only cells can")
    if not 0 <= row < table.row_count or not place < table.column_count:
        raise RequestError(f"{path!r} has {table.row_count} rows, counted from 0, and no row {row}")
    kind = type(owner)
    if issubclass(kind, (list, tuple)):
        _set_item(owner, row, value, path)
    elif issubclass(kind, dict):
        key = next(islice(dict.keys(owner), min(row, MAX_SKIPPED), None))
        _set_item(owner, key, value, path)
    elif is_of(owner, "numpy", "ndarray"):
        _set_in_array(owner, row, place, value, path)
    else:
        _set_in_frame(owner, row, place, value, path)


def _refuse_copy(namespace: dict[str, Any], path: str, value: Any) -> None:
    """A column that pandas takes out of a frame is a copy as soon as it is changed; the frame would stay as it was."""
    if not (is_of(value, "pandas", "Series") or is_of(value, "pandas", "DataFrame")) or path.isidentifier():
        return
    owner_path, step = split_path(path)
    if step["literal"] and is_of(resolve(namespace, owner_path), "pandas", "DataFrame"):
        raise RequestError(f"{path!r} is taken out of a frame, which would not change; set the cell of {owner_path!r}")


def _set_attribute(owner: Any, name: str, value: Any, path: str) -> None:
    kind = type(owner)
    raw = find_in_lineage(kind, name)
    is_slot = type(raw) is types.MemberDescriptorType
    is_plain = find_in_lineage(kind, "__setattr__") is object.__dict__["__setattr__"]
    is_there = is_slot or (name in own_dict(owner) and (raw is MISSING or not is_data_descriptor(raw)))
    if is_foreign(owner) or not (is_plain and is_there):
        raise RequestError(f"{path!r} cannot be set without running the code of its {type_name(owner)}; queue it")
    try:
        object.__setattr__(owner, name, value)
    except (AttributeError, TypeError) as error:
        raise RequestError(f"{path!r} cannot be set: {error}") from None


def _set_item(owner: Any, key: Any, value: Any, path: str) -> None:
    kind = type(owner)
    for base in (list, deque, dict):
        if issubclass(kind, base):
            if base is dict and key not in dict.keys(owner):
                raise nothing_at(path)
            base.__setitem__(owner, key, value)
            return
    if type(key) is int and _has_one_dimension(owner):
        key += int(owner.shape[0]) if key < 0 else 0
        setter = _set_in_array if is_of(owner, "numpy", "ndarray") else None
        if setter is not None:
            setter(owner, key, 0, value, path)
            return
    if issubclass(kind, (tuple, str, bytes, frozenset, range)):
        raise RequestError(f"{path!r} is in a {type_name(owner)}, which cannot be changed")
    raise RequestError(f"{path!r} is no single cell; say which one by its row and column")


def _has_one_dimension(owner: Any) -> bool:
    return is_of(owner, "numpy", "ndarray") and owner.ndim == 1 and not owner.dtype.names


def _find_key(owner: Any, mark: int, path: str) -> Any:
    if not issubclass(type(owner), dict):
        raise RequestError(f"{path!r} is an element of a {type_name(owner)}, which has no place for another one")
    for key in islice(dict.keys(owner), MAX_SKIPPED):
        if id(key) == mark:
            return key
    raise nothing_at(path)


def _set_in_array(owner: Any, row: int, column: int, value: Any, path: str) -> None:
    if not owner.flags.writeable:
        raise RequestError(f"{path!r} is an array that is read-only")
    if owner.ndim > 2:
        raise RequestError(f"{path!r} has more than two dimensions; its cells are arrays, each with a path of its own")
    if owner.dtype.names:
        owner[owner.dtype.names[column]].flat[row] = _fit(owner.dtype[column], value, path)
        return
    fitting = _fit(owner.dtype, value, path)
    owner[() if owner.ndim == 0 else row if owner.ndim == 1 else (row, column)] = fitting


def _set_in_frame(owner: Any, row: int, column: int, value: Any, path: str) -> None:
    is_frame = is_of(owner, "pandas", "DataFrame")
    dtype = (owner.iloc[:, column] if is_frame else owner).dtype
    if is_of(dtype, "pandas", "ExtensionDtype"):
        value = _fit_extension(dtype, value, path)
    elif is_of(dtype, "numpy", "dtype"):
        value = _fit(dtype, value, path)
    else:
        raise RequestError(f"{path!r} has there a column of a type whose code is not known; queue code that sets it")
    if type(value) in (list, tuple, dict, set):
        raise RequestError(f"a cell of {path!r} takes a single value here, not a {type_name(value)}; queue code for it")
    try:
        if is_frame:
            owner.iloc[row, column] = value
        else:
            owner.iloc[row] = value
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"{value!r:.100} does not fit a column of {str(dtype)[:100]}: {str(error)[:200]}") from None


def _fit(dtype: Any, value: Any, path: str) -> Any:
    """The value as an array of numpy's takes it and keeps it; raises `RequestError` where it would not be the same."""
    kind, given = dtype.kind, type(value)
    if kind == "O" or (kind == "b" and given is bool):
        return value
    if kind in "iu" and (given is int or (given is float and value.is_integer())):
        bits = 8 * dtype.itemsize
        least, most = (0, 2**bits - 1) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if least <= value <= most:
            return int(value)
    if kind in "fc" and value is None:
        return math.nan
    if kind in "fc" and given in (int, float) and (value in _INFINITE or not abs(value) > _largest(dtype)):
        return value
    if (kind == "U" and given is str and 4 * len(value) <= dtype.itemsize) or (
        kind == "S" and given is bytes and len(value) <= dtype.itemsize
    ):
        return value
    if kind in "mM" and (given is str or value is None):
        return read_time(dtype, "NaT" if value is None else value, path)
    raise _unfit(dtype, value)


def _largest(dtype: Any) -> float:
    return float(sys.modules["numpy"].finfo(dtype).max)


def _fit_extension(dtype: Any, value: Any, path: str) -> Any:
    kind = getattr(dtype, "kind", "O")
    if value is None or is_of(dtype, "pandas", "CategoricalDtype"):
        return value
    if is_of(dtype, "pandas", "StringDtype") and type(value) is not str:
        raise _unfit(dtype, value)
    if is_of(dtype, "pandas", "DatetimeTZDtype"):
        return read_time(dtype, value, path) if type(value) is str else value
    if kind == "b" and type(value) is not bool:
        raise _unfit(dtype, value)
    if kind in "iuf" and (type(value) is bool or not isinstance(value, (int, float))):
        raise _unfit(dtype, value)
    return value


def _unfit(dtype: Any, value: Any) -> RequestError:
    return RequestError(
        f"{value!r:.100} does not fit a column of {str(dtype)[:100]}, which would have to become another; "
        "queue code that does that"
    )
