"""What a connection does that its peer asks for, where stock RPyC would do something else."""

from __future__ import annotations

import builtins
import contextlib
from typing import Any

from rpyc.core import consts, protocol

from rpyc_kernel.errors import NotPlain
from rpyc_kernel.wire.messages import IdPack
from rpyc_kernel.wire.netrefs import comparison, plain_objects
from rpyc_kernel.wire.netrefs.exports import find_exported
from rpyc_kernel.wire.netrefs.method_names import LASTING, list_methods
from rpyc_kernel.wire.netrefs.references import is_netref


class Handlers(protocol.Connection):
    """The handlers of requests that differ from stock RPyC's."""

    _local_objects: Any

    def _handle_inspect(self, id_pack: IdPack) -> Any:
        obj = self._local_objects[id_pack]
        if not is_netref(obj):
            return list_methods(obj)
        connection = object.__getattribute__(obj, "____conn__")
        methods = connection.sync_request(consts.HANDLE_INSPECT, object.__getattribute__(obj, "____id_pack__"))
        return tuple([method for method in methods if method != LASTING])

    def _check_attr(self, obj: Any, name: str, perm: str) -> str:
        if perm == "allow_getattr" and not self._config["allow_safe_attrs"] and plain_objects.allows(obj, name):
            return name
        if plain_objects.is_inside_of_a_frame(obj, name):
            raise NotPlain(
                "a frame of a kernel is not copied by the way; pull() it by its name, or call pandas in the kernel"
            )
        try:
            return str(super()._check_attr(obj, name, perm))
        except AttributeError:
            raise AttributeError(plain_objects.describe_refusal(obj, name)) from None

    def _handle_cmp(self, obj: Any, other: Any, op: str = "__cmp__") -> Any:
        self._check_attr(obj, op, "allow_getattr")
        return comparison.compare(obj, other, op)

    def _handle_pickle(self, obj: Any, proto: int) -> bytes:
        if not self._config["allow_pickle"]:
            raise NotPlain(
                "the client gives no pickle of what it handed over; push() a copy of it, or hand over plain containers"
            )
        return bytes(super()._handle_pickle(obj, proto))

    def _handle_buffiter(self, obj: Any, count: int) -> Any:
        self._check_attr(obj, "__iter__", "allow_getattr")
        return super()._handle_buffiter(obj, count)

    def _handle_ctxexit(self, obj: Any, exc: Any) -> Any:
        leave = self._handle_getattr(obj, "__exit__")
        # What came is the class of the exception, of which stock RPyC makes a TypeError for being a netref.
        if exc is None:
            return leave(None, None, None)
        error = _stand_in(exc)
        return leave(type(error), error, None)

    def _handle_instancecheck(self, obj: Any, other_id_pack: IdPack) -> bool:
        try:
            other = find_exported(other_id_pack)  # the client may hold it by another of its connections
        except KeyError:
            return bool(super()._handle_instancecheck(obj, other_id_pack))
        return isinstance(other, obj)


def _stand_in(kind: Any) -> BaseException:
    """An exception for one that was raised on the other side, of which only the class is known, as a netref."""
    name = object.__getattribute__(kind, "____id_pack__")[0] if is_netref(kind) else repr(kind)
    module, _, own_name = name.rpartition(".")
    known = getattr(builtins, own_name, None) if module == "builtins" else None
    if isinstance(known, type) and issubclass(known, BaseException):
        with contextlib.suppress(TypeError):  # a class that takes more than a message
            return known("raised on the other side of the connection")
    return RuntimeError(f"{name} was raised on the other side of the connection")
