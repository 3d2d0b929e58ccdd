"""The documentation of live objects."""

from __future__ import annotations

import inspect
import types
from typing import Any

from rpyc_kernel.worker.static_access import MISSING, clean, find_in_lineage, lineage, read_attribute

MAX_TEXT = 20_000


def read_doc(value: Any) -> str:
    """Return the documentation of a value or, where it has none, of what it overrides or is made from."""
    text = read_attribute(value, "__doc__")
    if type(text) is not str and type(value) is types.MethodType:
        text = _inherited(value)
    return clean(inspect.cleandoc(text))[:MAX_TEXT] if type(text) is str else ""


def _inherited(method: types.MethodType) -> Any:
    bound: Any = method.__self__
    owner = bound if issubclass(type(bound), type) else type(bound)
    name = read_attribute(method.__func__, "__name__")
    for base in lineage(owner):
        text = read_attribute(find_in_lineage(base, name), "__doc__") if type(name) is str else MISSING
        if type(text) is str:
            return text
    return MISSING
