"""What leads from a variable to a value inside it: ``servers[0]['name'].port``.

A path reads as Python does, and is never evaluated. Where a key cannot be written down, its place and its identity
stand for it, as in ``table[@3:140234]``; an attribute whose name is none is quoted, as in ``thing.'odd name'``.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.static_access import MISSING, is_of, nothing_at, own_dict, read_attribute

_TEXT = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_NAME = r"[^\W\d]\w*"
PATH = rf"{_NAME}(?:\.{_NAME}|\[(?:-?\d+|'[^'\\\n]*'|\"[^\"\\\n]*\")\])*"
"""The pattern of paths as people write them in code."""
_FIRST = re.compile(_NAME)
_STEP = re.compile(
    rf"\.(?P<name>{_NAME})|\.(?P<odd>{_TEXT})|\[(?P<literal>b?(?:{_TEXT})|-?[\w.+-]+)\]|\[@(?P<at>\d+):(?P<mark>\d+)\]"
)
_MAX_KEY_CHARS = 200
_MAX_KEY_BITS = 200
MAX_SKIPPED = 1_000_000
"""How far to go into what can only be walked through, which holds the interpreter lock."""


def resolve(namespace: dict[str, Any], path: str) -> Any:
    """Return the value at a path.

    Raises:
        RequestError: it is no path.
        NotAvailable: it leads nowhere, or only by running code.
    """
    first = _FIRST.match(path)
    if first is None:
        raise RequestError(f"{path[:100]!r} is no path; write one like name.attribute[0]['key']")
    value = namespace.get(first.group(), MISSING)
    if value is MISSING:
        value = getattr(builtins, first.group(), MISSING)
    end = first.end()
    while end < len(path) and value is not MISSING:
        step = _STEP.match(path, end)
        if step is None:
            raise RequestError(f"{path[:100]!r} is no path from character {end} on")
        value = _take(value, step)
        end = step.end()
    if value is MISSING:
        raise nothing_at(path[:100])
    return value


def split_path(path: str) -> tuple[str, re.Match[str]]:
    """Return what leads to the owner of what a path leads to, which is more than a name, and the last step."""
    first = _FIRST.match(path)
    end, start, last = (first.end() if first else 0), 0, None
    while end < len(path) and (step := _STEP.match(path, end)):
        start, end, last = end, step.end(), step
    if last is None or end < len(path):
        raise RequestError(f"{path[:100]!r} is no path; write one like name.attribute[0]['key']")
    return path[:start], last


def find(namespace: dict[str, Any], path: str) -> Any:
    """Return the value at a path, `MISSING` if there is none."""
    try:
        return resolve(namespace, path)
    except RequestError:
        return MISSING


def attribute_step(name: str) -> str:
    """What leads on to an attribute."""
    return f".{name}" if _FIRST.fullmatch(name) else f".{name!r}"


def item_step(key: Any, place: int) -> str:
    """What leads on to the item of a key, which stands at a place."""
    return f"[{key!r}]" if _can_be_written(key) else place_step(key, place)


def place_step(element: Any, place: int) -> str:
    """What leads on to the element of a set, or to the item of a key that cannot be written down."""
    return f"[@{place}:{id(element)}]"


def _can_be_written(key: Any) -> bool:
    if type(key) in (str, bytes):
        return len(key) <= _MAX_KEY_CHARS
    if type(key) is int:
        return bool(key.bit_length() <= _MAX_KEY_BITS)
    return key is None or type(key) is bool or (type(key) is float and math.isfinite(key))


def _take(owner: Any, step: re.Match[str]) -> Any:
    if step["name"]:
        return read_attribute(owner, step["name"])
    try:
        if step["odd"]:
            return own_dict(owner).get(ast.literal_eval(step["odd"]), MISSING)
        if step["at"]:
            return _take_at(owner, int(step["at"]), int(step["mark"]))
        return _take_item(owner, ast.literal_eval(step["literal"]))
    except Exception:  # noqa: BLE001 - no such key, no such position, no literal; or it was changed meanwhile
        return MISSING


def _take_item(owner: Any, key: Any) -> Any:
    kind = type(owner)
    # The methods of the base: a derived class may have some of its own, and `dict.__getitem__` asks for `__missing__`.
    if issubclass(kind, dict):
        return dict.get(owner, key, MISSING)
    for base in (list, tuple, deque, range):
        if issubclass(kind, base):
            return base.__getitem__(owner, key)
    if is_of(owner, "numpy", "ndarray") or is_of(owner, "pandas", "DataFrame") or is_of(owner, "pandas", "Series"):
        return owner[key]
    return MISSING


def _take_at(owner: Any, place: int, mark: int) -> Any:
    """Find by identity, at the place it had or, if things have moved, anywhere."""
    place = min(place, MAX_SKIPPED)
    for key, value in islice(_walk(owner), place, place + 1):
        if id(key) == mark:
            return value
    return next((value for key, value in islice(_walk(owner), MAX_SKIPPED) if id(key) == mark), MISSING)


def _walk(owner: Any) -> Iterator[tuple[Any, Any]]:
    kind = type(owner)
    if issubclass(kind, dict):
        return iter(dict.items(owner))
    for base in (set, frozenset):
        if issubclass(kind, base):
            return ((element, element) for element in base.__iter__(owner))
    return iter(())
