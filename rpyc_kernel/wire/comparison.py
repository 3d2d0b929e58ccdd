"""Comparing an object of this side with a plain container of the other.

A list knows how to compare itself with a list, and not with a netref to one: it would be unequal to whatever the other
side holds, in silence. So where an object does not know what to do with a netref to a plain container, it is compared
with a copy of that, as it would be if both were on one side.
"""

from __future__ import annotations

from typing import Any, Final

from rpyc.core.netref import BaseNetref
from rpyc.utils.helpers import buffiter

_MAX_ITEMS: Final = 1_000_000
_MAX_DEPTH: Final = 50
_AT_ONCE: Final = 1000


def compare(obj: Any, other: Any, operator: str) -> Any:
    """What ``obj`` says of ``other``; ``operator`` is the name of the method.

    Raises:
        ValueError: The other has too many items, or too deep within each other, to be copied for that.
    """
    method = getattr(type(obj), operator)
    answer = method(obj, other)
    if answer is NotImplemented and _name_of(other) in _COPIERS:
        return method(obj, _copy(other, [_MAX_ITEMS], _MAX_DEPTH))
    return answer


def _name_of(thing: Any) -> str:
    """The full name of the class that a netref claims for its object, "" of all else."""
    if not issubclass(type(thing), BaseNetref):
        return ""
    name, _, instance = object.__getattribute__(thing, "____id_pack__")
    return str(name) if instance else ""


def _copy(thing: Any, left: list[int], depth: int) -> Any:
    if type(thing) is tuple:  # whose items came by reference
        return tuple([_copy(item, left, depth - 1) for item in thing])
    copier = _COPIERS.get(_name_of(thing))
    if copier is None:
        return thing
    items = []
    if depth <= 0:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep; pull() a copy to compare it")
    for item in buffiter(thing.items() if copier is dict else thing, _AT_ONCE):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"it has more than {_MAX_ITEMS} items; pull() a copy to compare it")
        items.append(_copy(item, left, depth - 1))
    return copier(items)


_COPIERS: Final[dict[str, Any]] = {
    f"builtins.{kind.__name__}": kind for kind in (list, tuple, set, frozenset, dict, bytearray)
}
