"""What the user has: variables, and the children of their values, page by page; and how to change a variable."""

from __future__ import annotations

import ast
import contextlib
import types
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from rpyc_kernel.core import kinds
from rpyc_kernel.core.introspection import Page, Variable
from rpyc_kernel.core.table_rows import Column
from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.worker.introspection.edits import set_at, set_cell
from rpyc_kernel.worker.introspection.paths import MAX_SKIPPED, attribute_step, item_step, place_step, resolve
from rpyc_kernel.worker.introspection.tables import has_cells
from rpyc_kernel.worker.previews import has_known_dtype, preview
from rpyc_kernel.worker.static_access import (
    MISSING,
    class_dict,
    is_class,
    is_foreign,
    is_name,
    is_of,
    lineage,
    list_attributes,
    own_dict,
    read_attribute,
    type_name,
)

_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset, range, deque)
_CONTAINERS = (list, tuple, range, deque, dict, set, frozenset)
_MAX_SORTED = 10_000
_ATOMS = (bool, int, float, complex, type(None))
_LEAVES = (str, bytes, bytearray, bool, int, float, complex, type(None), types.BuiltinFunctionType, types.FunctionType)
_Child = tuple[str, str, Any]
"""Name, step of the path, and value."""


class Variables:
    """The variables of one namespace.

    Args:
        namespace: the live namespace.
        first_names: what stood in it before any user code.
        changed: is told when a value has been set.
    """

    def __init__(
        self, namespace: dict[str, Any], first_names: frozenset[str], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._changed = changed
        self._namespace = namespace
        self._first_names = first_names

    def list(self, start: int, count: int) -> list[Variable]:
        """Return what the user defined, by name."""
        # Listed in one C call: user code may add some meanwhile.
        names = sorted(
            name
            for name in [*self._namespace]
            if is_name(name) and name not in self._first_names and not name.startswith("_")
        )
        chosen = names[start : start + count]
        found = ((name, self._namespace.get(name, MISSING)) for name in chosen)
        return [describe(name, name, value) for name, value in found if value is not MISSING]

    def children(self, path: str, start: int, count: int) -> Page:
        """Return some children of the value at a path."""
        value = resolve(self._namespace, path)
        try:
            total, children = _open(value, start, count)
            items = tuple(describe(name, path + step, child) for name, step, child in children)
        except RuntimeError:
            raise NotAvailable(f"{path!r} was changed while it was read; ask again") from None
        except OverflowError:
            raise NotAvailable(f"{path!r} is too long to be read page by page") from None
        return Page(path, total, start, items)

    def set(self, path: str, literal: str, row: int | None = None, column: Column = 0) -> None:
        """Give a variable, what a path leads to, or a cell of the table there the value of a literal."""
        try:
            value = ast.literal_eval(literal)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise RequestError(f"the value of {path!r} is no literal: {error}") from None
        try:
            if row is not None:
                set_cell(self._namespace, path, row, column, value)
            elif path.isidentifier():
                self._require_free(kinds.NAME.read(path, "name"))
                self._namespace[path] = value
            else:
                set_at(self._namespace, path, value)
        finally:
            self._changed()

    def delete(self, name: str) -> None:
        """Take a variable away."""
        self._require_free(name)
        if self._namespace.pop(name, MISSING) is MISSING:
            raise NotAvailable(f"there is no variable {name!r}")

    def rename(self, name: str, new_name: str) -> None:
        """Give a variable another name, which nothing has yet."""
        for each in (name, new_name):
            self._require_free(each)
        if new_name in self._namespace:
            raise RequestError(f"there is a variable {new_name!r} already; delete it first")
        value = self._namespace.pop(name, MISSING)
        if value is MISSING:
            raise NotAvailable(f"there is no variable {name!r}")
        self._namespace[new_name] = value

    def _require_free(self, name: str) -> None:
        if name in self._first_names:
            raise RequestError(f"{name!r} belongs to the interpreter and stays as it is")


def describe(name: str, path: str, value: Any) -> Variable:
    """Return one line about a value, in bounded time."""
    if type(value) in _ATOMS:
        return Variable(name, path, type_name(value), preview=preview(value))
    if is_foreign(value):
        return Variable(name, path, "client object", preview="<an object in a client>")
    shown = preview(value)
    try:
        size, shape, dtype = _measure(value)
        return Variable(name, path, type_name(value), size, shape, dtype, shown, has_children(value), has_cells(value))
    except Exception:  # noqa: BLE001 - one that cannot be measured must not hide the others
        return Variable(name, path, type_name(value), preview=shown)


def has_children(value: Any) -> bool:
    """Whether there is something inside to look at."""
    kind = type(value)
    if issubclass(kind, _CONTAINERS):
        return bool(_length(value))
    return not issubclass(kind, _LEAVES) and bool(own_dict(value) or _list_slots(value))


def _measure(value: Any) -> tuple[int | None, tuple[int, ...] | None, str | None]:
    """Size, shape and dtype, as far as the value has them."""
    if issubclass(type(value), _SIZED):
        return _length(value), None, None
    size, shape, dtype = None, None, None
    if is_of(value, "numpy", "ndarray") or is_of(value, "pandas", "NDFrame") or is_of(value, "pandas", "Index"):
        with contextlib.suppress(Exception):  # the running code changes it
            shape = tuple(int(extent) for extent in value.shape)
            size = int(value.size)
            is_told = not is_of(value, "pandas", "DataFrame") and has_known_dtype(value)
            dtype = str(value.dtype)[:100] if is_told else None
    return size, shape, dtype


def _length(value: Any) -> int:
    """How long a container is, whatever a class derived from it says."""
    return next(int(base.__len__(value)) for base in _SIZED if issubclass(type(value), base))


def _open(value: Any, start: int, count: int) -> tuple[int, Iterator[_Child]]:
    """How many children a value has, and those of one page."""
    kind = type(value)
    for base, listing in _LISTINGS:
        if issubclass(kind, base):
            return _length(value), listing(value, start, count)
    if is_foreign(value) or issubclass(kind, _LEAVES):
        return 0, iter(())
    attributes = _list_own(value)
    return len(attributes), iter(attributes[start : start + count])


def _list_sequence(value: Any, start: int, count: int) -> Iterator[_Child]:
    base = next(base for base in (list, tuple, range) if issubclass(type(value), base))
    part = base.__getitem__(value, slice(start, start + count))
    return ((f"[{place}]", f"[{place}]", item) for place, item in enumerate(part, start))


def _list_deque(value: Any, start: int, count: int) -> Iterator[_Child]:
    part = _walk(deque.__iter__(value), start, count)
    return ((f"[{place}]", f"[{place}]", item) for place, item in enumerate(part, start))


def _list_dict(value: Any, start: int, count: int) -> Iterator[_Child]:
    pairs = _walk(iter(dict.items(value)), start, count)
    return ((preview(key), item_step(key, place), item) for place, (key, item) in enumerate(pairs, start))


def _list_set(value: Any, start: int, count: int) -> Iterator[_Child]:
    base = set if issubclass(type(value), set) else frozenset
    part = _walk(base.__iter__(value), start, count)
    return ((f"{{{place}}}", place_step(item, place), item) for place, item in enumerate(part, start))


_LISTINGS: tuple[tuple[type | tuple[type, ...], Callable[[Any, int, int], Iterator[_Child]]], ...] = (
    ((list, tuple, range), _list_sequence),
    (deque, _list_deque),
    (dict, _list_dict),
    ((set, frozenset), _list_set),
)


def _walk(items: Iterator[Any], start: int, count: int) -> list[Any]:
    if start > MAX_SKIPPED:
        raise RequestError(f"what has no positions can be read up to child {MAX_SKIPPED}, not from {start}")
    return list(islice(items, start, start + count))


def _list_own(value: Any) -> list[_Child]:
    """The attributes that stand in an object itself: methods, and what only code could compute, are no children."""
    if issubclass(type(value), (type, types.ModuleType)):
        raw = list_attributes(value) if is_class(value) else own_dict(value)
        public = [name for name in raw if is_name(name) and not name.startswith("__")]
        attributes = {name: read_attribute(value, name) for name in public}
    else:
        attributes = {name: each for name, each in own_dict(value).items() if type(name) is str}
        attributes.update((name, read_attribute(value, name)) for name in _list_slots(value))
    names = sorted(attributes) if len(attributes) <= _MAX_SORTED else list(attributes)
    return [
        (name if is_name(name) else preview(name), attribute_step(name), each)
        for name in names
        if (each := attributes[name]) is not MISSING
    ]


def _list_slots(value: Any) -> list[str]:
    return [
        name
        for base in lineage(type(value))
        for name, raw in class_dict(base).items()
        if type(raw) is types.MemberDescriptorType and not name.startswith("__")
    ]
