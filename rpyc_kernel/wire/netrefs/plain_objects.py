"""What a client's objects let a kernel do with them: all that belongs to the object, or nothing but a call.

A peer that is let at some of an object's methods and not at others goes on by those it can use, and may make something
else of it in silence: `dict.update` takes a mapping without ``keys`` for pairs. So plain containers are used as what
they are, numbers are computed with, and iterators are run through. Of any other object nothing is used, unless its
owner says what: as RPyC does, by ``exposed_`` names or ``rpyc.restricted``.

None of this leads anywhere else: a method that is allowed can only be called, and types are not reached.
"""

from __future__ import annotations

import numbers
import types
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from typing import Any, Final

from rpyc.core.netref import BaseNetref
from rpyc.core.protocol import DEFAULT_CONFIG

# Exactly these types: what a subclass adds or changes is its author's, and may do anything.
_CONTAINERS: Final[frozenset[type]] = frozenset(
    {
        dict, list, tuple, set, frozenset, bytearray, memoryview, range, slice, array,
        deque, OrderedDict, defaultdict, Counter,
        type({}.keys()), type({}.values()), type({}.items()),
        type(OrderedDict().keys()), type(OrderedDict().values()), type(OrderedDict().items()),
        types.MappingProxyType,
    }
)  # fmt: skip
_CONTAINER_NAMES: Final = frozenset({f"{kind.__module__}.{kind.__qualname__}" for kind in _CONTAINERS})
_SAFE: Any = DEFAULT_CONFIG["safe_attrs"]
_OPERATORS: Final = frozenset({*_SAFE, "__reversed__", "__missing__", "__copy__"}) - {"__new__"}
_ITERATION: Final = frozenset({"__iter__", "__next__", "__length_hint__"})
_GENERATION: Final = _ITERATION | {"send", "throw", "close"}
_EVERYBODY: Final = frozenset({"__eq__", "__ne__", "__doc__"})


def allows(obj: Any, name: str) -> bool:
    """Whether a peer may get the attribute of this name from an object that it was handed."""
    kind = type(obj)
    if kind in _CONTAINERS or _is_container_of_another(obj, kind):
        return name in _OPERATORS or not name.startswith("_")
    if kind is types.GeneratorType:
        return name in _GENERATION
    if issubclass(kind, numbers.Number):
        return name in _OPERATORS
    if issubclass(kind, Iterator):
        return name in _ITERATION
    return name in _EVERYBODY


def _is_container_of_another(obj: Any, kind: type) -> bool:
    """Whether it is a netref of another connection, to what its owner says is a container; only he is asked then."""
    return issubclass(kind, BaseNetref) and object.__getattribute__(obj, "____id_pack__")[0] in _CONTAINER_NAMES


def is_inside_of_a_frame(obj: Any, name: str) -> bool:
    """Whether it is what pandas takes out of a frame or series of its own; of a proxy that leads it astray."""
    return name == "_mgr" and type(obj).__module__.split(".")[0] == "pandas"


def describe_refusal(obj: Any, name: str) -> str:
    """What to tell a peer that may not get this attribute of an object."""
    kind = obj if isinstance(obj, type) else type(obj)
    return (
        f"cannot access {name!r}: a client lets the kernel call what it hands over, and use plain containers, but "
        f"nothing of a {kind.__module__}.{kind.__qualname__}; push() a copy of it, hand over a plain container or a "
        "function, or rpyc.restricted(it, names)"
    )
