"""Plain values as literals of Python, which cross by value and are never run."""

from __future__ import annotations

import math
from typing import Any

from rpyc_kernel.errors import RequestError

_ATOMS = (type(None), bool, int, str, bytes)
_MAX_DEPTH = 50


def write_literal(value: Any) -> str:
    """Return the literal of a plain value; raises `RequestError` where it, or something in it, is no plain value."""
    return _write(value, _MAX_DEPTH)


def _write(value: Any, depth: int) -> str:
    kind = type(value)
    if depth == 0:
        raise RequestError(f"the value is nested more than {_MAX_DEPTH} levels deep")
    if kind in _ATOMS:
        return repr(value)
    if kind is float and math.isfinite(value):
        return repr(value)
    if kind is dict:
        return f"{{{', '.join(f'{_write(key, depth - 1)}: {_write(item, depth - 1)}' for key, item in value.items())}}}"
    if kind in (list, tuple, set):
        parts = [_write(item, depth - 1) for item in value]
        if kind is list:
            return f"[{', '.join(parts)}]"
        if kind is tuple:
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        return f"{{{', '.join(parts)}}}" if parts else "set()"
    raise RequestError(f"a value of type {kind.__name__} has no literal; use kernel.namespace or push it")
