"""Comparing an object of this side with a plain container or value of the other.

A list knows how to compare itself with a list, and not with a netref to one: it would be unequal to whatever the other
side holds, in silence. So where an object does not know what to do with a netref to a plain container, it is compared
with a copy of that, as it would be if both were on one side. Dates, decimal numbers and the like are read from their
text, which any peer gives of any object. Where neither of two values of one class knows the other, that is an error.
"""

from __future__ import annotations

import enum
import importlib
import re
from array import array
from collections import OrderedDict, deque
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
    name = _name_of(other)
    if name in _VALUES:  # before anybody is asked: some take the netref for one of their own, and look into it
        return method(obj, _read(other, name))
    answer = method(obj, other)
    if answer is NotImplemented and name in _COPIERS:
        return method(obj, _copy(other, [_MAX_ITEMS], _MAX_DEPTH))
    return answer


def refuse_unknown(proxy: Any, own: Any, operator: str) -> None:
    """Raise where Python would take two values for different ones that only do not know each other.

    Args:
        proxy: whose object has said that it cannot tell.
        own: an object of this side; Python asks it next.
        operator: the name of the method, ``__eq__`` or ``__ne__``.

    Raises:
        TypeError: Both are of one class that compares by value, and the other cannot tell either.
    """
    kind: Any = type(own)
    has_value = kind.__eq__ is not object.__eq__ or isinstance(own, enum.Enum)  # which would be the very same one
    if has_value and _name_of(proxy) == _full_name(kind) and getattr(kind, operator)(own, proxy) is NotImplemented:
        raise TypeError(
            f"a {_full_name(kind)} of the kernel cannot be compared with one of a client; pull() a copy, compare what "
            "they hold, or compare them in the kernel"
        )


def _name_of(thing: Any) -> str:
    """The full name of the class that a netref claims for its object, "" of all else."""
    if not issubclass(type(thing), BaseNetref):
        return ""
    name, _, instance = object.__getattribute__(thing, "____id_pack__")
    return str(name) if instance else ""


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def _copy(thing: Any, left: list[int], depth: int) -> Any:
    if type(thing) is tuple:  # whose items came by reference
        return tuple([_copy(item, left, depth - 1) for item in thing])
    name = _name_of(thing)
    if name in _VALUES:
        return _read(thing, name)
    copier = _COPIERS.get(name)
    if copier is None:
        return thing
    if copier is range:
        return range(thing.start, thing.stop, thing.step)
    items = []
    if depth <= 0:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep; pull() a copy to compare it")
    for item in buffiter(thing.items() if name in _MAPPINGS else thing, _AT_ONCE):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"it has more than {_MAX_ITEMS} items; pull() a copy to compare it")
        items.append(_copy(item, left, depth - 1))
    return array(str(thing.typecode), items) if copier is array else copier(items)


def _read(thing: Any, name: str) -> Any:
    """The value of this side that equals one of the other."""
    module, _, kind = _VALUES[name].partition(":")
    make: Any = importlib.import_module(module)  # only now: hardly anybody compares such, and some take long to import
    for part in kind.split("."):
        make = getattr(make, part)
    if kind == "timedelta":
        return make(**{unit: int(count) for unit, count in _UNITS.findall(repr(thing))})
    return make(str(thing))


_MAPPINGS: Final = frozenset({"builtins.dict", "collections.OrderedDict", "collections.defaultdict"})
_COPIERS: Final[dict[str, Any]] = {
    **{f"builtins.{kind.__name__}": kind for kind in (list, tuple, set, frozenset, dict, bytearray, range)},
    "builtins.dict_keys": lambda items: dict.fromkeys(items).keys(),
    "builtins.dict_items": lambda items: dict(items).items(),
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": dict,
    "collections.deque": deque,
    "array.array": array,
}
_PATHS: Final = ("PosixPath", "WindowsPath")
_PATHLIBS: Final = ("pathlib", "pathlib._local")  # of Python 3.13
_OF_NETS: Final = ("Address", "Interface", "Network")
_UNITS: Final = re.compile(r"(days|seconds|microseconds)=(-?[0-9]+)")
_VALUES: Final[dict[str, str]] = {
    **{f"datetime.{kind}": f"datetime:{kind}.fromisoformat" for kind in ("date", "datetime", "time")},
    "datetime.timedelta": "datetime:timedelta",
    "decimal.Decimal": "decimal:Decimal",
    "fractions.Fraction": "fractions:Fraction",
    "uuid.UUID": "uuid:UUID",
    **{f"ipaddress.IPv{n}{kind}": f"ipaddress:IPv{n}{kind}" for n in (4, 6) for kind in _OF_NETS},
    **{
        f"{module}.{prefix}{kind}": f"pathlib:Pure{kind}"
        for module in _PATHLIBS
        for prefix in ("", "Pure")
        for kind in _PATHS
    },
}
"""The classes whose values are read from their text, and what does that."""
