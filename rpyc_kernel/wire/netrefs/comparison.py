"""Comparing an object of this side with a plain container or value of the other.

A list knows how to compare itself with a list, and not with a netref to one: it would be unequal to whatever the other
side holds, in silence. So where an object does not know what to do with a netref to a plain container, it is compared
with a copy of that, as it would be if both were on one side. Dates, decimal numbers and the like are read from their
text, which any peer gives of any object. Where neither of two values of one class knows the other, that is an error.
"""

from __future__ import annotations

import enum
import importlib
import operator as operators
import re
from array import array
from collections import Counter, OrderedDict, deque
from collections.abc import Sized
from datetime import tzinfo
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
        TypeError: The other has items that are found by their hash, and that only its side knows.
    """
    ask: Any = _OPERATORS.get(operator)
    name = _name_of(other) if ask else ""
    if name in _VALUES:  # before anybody is asked: some take the netref for one of their own, and look into it
        return ask(obj, _read(other, name))
    answer = getattr(type(obj), operator)(obj, other)
    if answer is NotImplemented and name in _COPIERS:
        if operator in _EQUALITY and isinstance(obj, Sized) and len(obj) != len(other):
            return operator == "__ne__"
        return ask(obj, _Copying().copy(other))
    return answer


def refuse_unknown(proxy: Any, own: Any, operator: str) -> None:
    """Raise where Python would take two values for different ones that only do not know each other.

    Args:
        proxy: whose object has said that it cannot tell.
        own: an object of this side; Python asks it next.
        operator: the name of the method, ``__eq__`` or ``__ne__``.

    Raises:
        TypeError: This one's class compares by value, the other's is the same or one that it is made from, and it
            cannot tell either.
    """
    kind: Any = type(own)
    name = _name_of(proxy)
    # What is compared by identity differs, but for what would be the very same object on one side.
    has_value = kind.__eq__ is not object.__eq__ or isinstance(own, (enum.Enum, tzinfo))
    if not (name and has_value and any(name == _full_name(base) for base in kind.__mro__[:-1])):
        return
    if getattr(kind, operator)(own, proxy) is NotImplemented:
        raise TypeError(
            f"a {_full_name(kind)} cannot be compared with a {name} of the other side: pull() a copy, compare what "
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


class _Copying:
    """Makes of what the other side holds the same on this side, each container once."""

    def __init__(self) -> None:
        self._left = _MAX_ITEMS
        self._made: dict[Any, Any] = {}

    def copy(self, thing: Any, depth: int = _MAX_DEPTH) -> Any:
        """The same of this side; what is no plain container or value stays what it is."""
        if type(thing) is tuple:  # whose items came by reference
            return tuple([self.copy(item, depth - 1) for item in thing])
        name = _name_of(thing)
        if name in _VALUES:
            return _read(thing, name)
        if name not in _COPIERS:
            return thing
        which = object.__getattribute__(thing, "____id_pack__")
        if which not in self._made:
            self._made[which] = self._copy(thing, name, depth)
        return self._made[which]

    def _copy(self, thing: Any, name: str, depth: int) -> Any:
        copier = _COPIERS[name]
        if copier is range:
            return range(thing.start, thing.stop, thing.step)
        if copier is memoryview:
            return memoryview(thing.tobytes()) if (thing.format, thing.ndim) == ("B", 1) else thing
        if depth <= 0:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep; pull() a copy to compare it")
        items = []
        for item in buffiter(thing.items() if name in _MAPPINGS else thing, _AT_ONCE):
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {_MAX_ITEMS} items; pull() a copy to compare it")
            items.append(self.copy(item, depth - 1))
        if name in _HASHED:
            _require_known(items if name in _SETS else [key for key, _ in items])
        return array(str(thing.typecode), items) if copier is array else copier(items)


def _require_known(keys: list[Any]) -> None:
    """Refuse keys of the other side: their hashes are of that process, so that none would be found here."""
    for key in keys:
        for part in key if type(key) is tuple else (key,):
            if name := _name_of(part):
                raise TypeError(
                    f"it holds keys of {name}, which only their own side finds; pull() a copy to compare it"
                )


def _read(thing: Any, name: str) -> Any:
    """The value of this side that equals one of the other."""
    module, _, kind = _VALUES[name].partition(":")
    make: Any = importlib.import_module(module)  # only now: hardly anybody compares such, and some take long to import
    for part in kind.split("."):
        make = getattr(make, part)
    if kind == "timedelta":
        return make(**{unit: int(count) for unit, count in _UNITS.findall(repr(thing))})
    return make(str(thing))


_EQUALITY: Final = ("__eq__", "__ne__")
_OPERATORS: Final[dict[str, Any]] = {
    f"__{name}__": getattr(operators, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
_MAPPINGS: Final = frozenset(
    {"builtins.dict", "collections.Counter", "collections.OrderedDict", "collections.defaultdict"}
)
_SETS: Final = frozenset({"builtins.set", "builtins.frozenset", "builtins.dict_keys"})
_HASHED: Final = _MAPPINGS | _SETS | {"builtins.dict_items"}
_COPIERS: Final[dict[str, Any]] = {
    **{f"builtins.{kind.__name__}": kind for kind in (list, tuple, set, frozenset, dict, bytearray, memoryview, range)},
    "builtins.dict_keys": lambda items: dict.fromkeys(items).keys(),
    "builtins.dict_items": lambda items: dict(items).items(),
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": dict,
    "collections.Counter": lambda items: Counter(dict(items)),
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
