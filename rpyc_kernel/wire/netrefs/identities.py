"""What local objects are called towards a peer.

RPyC names an object by its class's name, its class's address and its own address, and peers remember classes by that.
An address is reused as soon as its object is gone, so a class defined anew could be taken for its predecessor. Here
classes are numbered instead, and a number is never used twice. A class that gains or loses an attribute gets a new
number, for its proxies need other methods.

All connections of a process share the numbers, which begin anywhere: a client of several connections takes classes of
one number for one class, whether its connections lead to one process or to several.
"""

from __future__ import annotations

import itertools
import os
import weakref
from types import ModuleType
from typing import Any, Final

from rpyc.core.netref import BaseNetref
from rpyc.lib import get_id_pack

from rpyc_kernel.wire.messages import IdPack

_RANDOM_BYTES: Final = 5


class Identities:
    """The numbers of the classes whose objects peers have met."""

    def __init__(self) -> None:
        self._count = itertools.count(1 + int.from_bytes(os.urandom(_RANDOM_BYTES), "big"))
        # By address, each with a weak reference that tells when the address is free again.
        self._numbers: dict[int, tuple[weakref.ref[type], int, int]] = {}

    def identify(self, obj: Any) -> IdPack:
        """The identity under which the object is passed by reference. Runs none of its code but ``__class__``."""
        kind = type(obj)
        if issubclass(kind, BaseNetref):  # of another connection: only the netref's own address is ours to vouch for
            name, _, instance = object.__getattribute__(obj, "____id_pack__")
            return (name, self._number(kind), id(obj)) if instance else (name, next(self._count), 0)
        if issubclass(kind, type):
            return _name(obj), self._number(obj), 0
        if issubclass(kind, ModuleType):
            return get_id_pack(obj)[0], self._number(kind), id(obj)
        return _name(obj.__class__), self._number(kind), id(obj)

    def _number(self, kind: type) -> int:
        size = sum([len(base.__dict__) for base in kind.__mro__])
        known = self._numbers.get(id(kind))
        if known is not None and known[0]() is kind and known[1] == size:
            return known[2]
        number = next(self._count)
        address = id(kind)

        def forget(ref: weakref.ref[type]) -> None:
            entry = self._numbers.get(address)
            if entry is not None and entry[0] is ref:
                self._numbers.pop(address, None)

        self._numbers[address] = (weakref.ref(kind, forget), size, number)
        return number


def _name(kind: type) -> str:
    module = getattr(kind, "__module__", "__main__")  # a class made by `type()` in bare code has none
    return f"{module}.{kind.__name__}"


IDENTITIES: Final = Identities()
"""Those of this process."""
