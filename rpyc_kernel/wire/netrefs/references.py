"""Values and objects on their way through one connection: what is copied, what is referred to, and who holds what.

Boxing turns what goes out into packages; building turns packages that came in into values. Making a new netref can take
a round trip to learn its methods, so building has two steps: ``find_sources`` may wait and may be repeated, ``build``
does neither.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

from rpyc.core import brine, consts, netref

from rpyc_kernel.core.chain_steps import Recorded
from rpyc_kernel.errors import NotPlain, RequestError
from rpyc_kernel.wire import messages
from rpyc_kernel.wire.messages import IdPack, Package
from rpyc_kernel.wire.netrefs import comparison
from rpyc_kernel.wire.netrefs.exports import Exports
from rpyc_kernel.wire.netrefs.identities import IDENTITIES
from rpyc_kernel.wire.netrefs.method_names import LASTING, list_methods_of
from rpyc_kernel.wire.netrefs.proxies import Proxies, ProxyRef

_MAX_REMEMBERED_CLASSES: Final = 1000
_OBTAINS: Final = "rpyc.utils.classic"
_PROTOCOLS: Final = frozenset({"__array_ufunc__", "__array_function__", "__array_wrap__", "__array_finalize__"})
"""By which arrays take part in numpy's functions. Called from afar with netrefs they fail, in ways that say nothing;
without them numpy asks for a method of the function's name, or for an array."""


class ByReference:
    """Has what it holds passed as a reference, even where it is plain."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class UnopenedRef(weakref.ref[Any]):
    """A weak reference to what holds a package that nobody has built yet."""

    __slots__ = ("package",)

    package: Package


class References:
    """The references that pass one connection.

    Args:
        connection: What netrefs make their requests through.
        inspect: Asks the peer for the methods of one of its objects, within so many seconds.
        give_back: Tells the peer that so many references to one of its objects are gone; must not wait.
        leave: Has ``bury`` called on another thread with what the collector took. A function made in C.
    """

    def __init__(
        self,
        connection: Any,
        inspect: Callable[[IdPack, float | None], Any],
        give_back: Callable[[IdPack, int], None],
        leave: Callable[[Any], None],
    ) -> None:
        self.exports = Exports()
        self._connection = connection
        self._inspect = inspect
        self._give_back = give_back
        self._leave = leave
        self._proxies = Proxies(leave)
        self._unopened: dict[int, UnopenedRef] = {}
        self._classes: dict[tuple[str, int, bool], Any] = {}

    def box(self, obj: Any, given: list[IdPack]) -> Package:
        """The package that carries the object; references it gives to the peer are appended to ``given``."""
        if brine.dumpable(obj):
            return consts.LABEL_VALUE, obj
        if type(obj) is tuple:
            return consts.LABEL_TUPLE, tuple([self.box(item, given) for item in obj])
        if type(obj) is ByReference:
            obj = obj.value
        if issubclass(type(obj), Recorded):
            raise RequestError(f"{obj!r} is not there yet: hand over what its .get() or .netref() returns")
        if is_netref(obj) and object.__getattribute__(obj, "____conn__") is self._connection:
            return consts.LABEL_LOCAL_REF, object.__getattribute__(obj, "____id_pack__")
        id_pack = IDENTITIES.identify(obj)
        self.exports.add(id_pack, obj)
        given.append(id_pack)
        return consts.LABEL_REMOTE_REF, id_pack

    def take_back(self, given: list[IdPack]) -> None:
        """Undo what boxing gave, for a package that was never sent."""
        for id_pack in given:
            self.exports.decref(id_pack)

    def resolve(self, package: Any) -> Package:
        """Check a package that came in and look up the local objects it names.

        To be done in the order of arrival: a later message may give back the reference that a name in this one relies
        on.
        """
        return messages.resolve(package, self.exports.__getitem__)

    def find_sources(self, package: Package, timeout_s: float | None = None) -> dict[IdPack, Any]:
        """What the netrefs for a resolved package will be made from: living netrefs, and classes.

        May ask the peer, for each class at most so long; None leaves that to the connection.
        """
        sources: dict[IdPack, Any] = {}
        if package[0] == consts.LABEL_VALUE:
            return sources
        for id_pack in messages.remote_refs(package):
            if id_pack not in sources:
                proxy = self._proxies.find(id_pack)  # held from here on, so that it still lives when it is built upon
                sources[id_pack] = self._find_class(id_pack, timeout_s) if proxy is None else proxy
        return sources

    def build(self, package: Package, sources: dict[IdPack, Any]) -> Any:
        """The value of a resolved package."""

        def claim(id_pack: IdPack) -> Any:
            return self._proxies.claim(id_pack, lambda: sources[id_pack](self._connection, id_pack))

        return messages.build(package, claim)

    def discard(self, package: Any) -> None:
        """Give back every reference in a package that nobody will build."""
        for id_pack in messages.remote_refs(package):
            self._give_back(id_pack, 1)

    def guard(self, holder: Any, package: Package) -> UnopenedRef:
        """Have the package discarded when its holder is collected; to be undone by ``unguard`` before it is built."""
        ref = UnopenedRef(holder, self._leave)
        ref.package = package
        self._unopened[id(ref)] = ref
        return ref

    def unguard(self, ref: UnopenedRef | None) -> None:
        """Leave the package to its holder."""
        self._unopened.pop(id(ref), None)

    def bury(self, ref: ProxyRef | UnopenedRef) -> list[bytes]:
        """The messages that give back what something stood for that the collector took."""
        if isinstance(ref, ProxyRef):
            self._proxies.forget(ref)
            return [messages.deletion(ref.id_pack, ref.count)]
        if self._unopened.pop(id(ref), None) is None:
            return []
        return [messages.deletion(id_pack, 1) for id_pack in messages.remote_refs(ref.package)]

    def clear(self) -> None:
        """Forget both sides' references."""
        self._proxies.clear()
        self.exports.clear()
        self._classes.clear()
        self._unopened.clear()

    def _find_class(self, id_pack: IdPack, timeout_s: float | None) -> Any:
        name, class_id, instance_id = id_pack
        key = (name, class_id, instance_id == 0)
        known = (_BUILTIN_INSTANCES if instance_id else _BUILTIN_CLASSES).get(name) or self._classes.get(key)
        if known is not None:
            return known
        methods = self._inspect(id_pack, timeout_s)
        made = _without_finalizer(netref.class_factory(id_pack, methods))
        if LASTING in methods:
            if len(self._classes) >= _MAX_REMEMBERED_CLASSES:
                self._classes.clear()
            self._classes[key] = made
        return made


def _explain_array(stock_array: Callable[..., Any]) -> Callable[..., Any]:
    """What numpy asks for an array; stock RPyC's opens a pickle of the peer's, where it may, and else says no more."""

    def __array__(proxy: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - as numpy calls it
        if not object.__getattribute__(proxy, "____conn__")._config["allow_pickle"]:
            raise NotPlain(
                "an array of a kernel is not copied by the way; pull() it by its name, or call numpy in the kernel"
            )
        return stock_array(proxy, *args, **kwargs)

    return __array__


def _reduce(proxy: Any, protocol: Any) -> Any:
    """What is pickled of a proxy: for RPyC's own `obtain`, a pickle that the peer makes, and whose code that one runs.

    Who copies something, or hands it to another process, has not asked for that, and may not know of the proxy in it.
    """
    may_open = object.__getattribute__(proxy, "____conn__")._config["allow_pickle"]
    if not may_open and sys._getframe(1).f_globals.get("__name__") != _OBTAINS:
        name = object.__getattribute__(proxy, "____id_pack__")[0]
        raise NotPlain(
            f"the proxy of a {name} is not copied by the way: pull() a copy by its name, or copy it in the kernel"
        )
    return netref.BaseNetref.__reduce_ex__(proxy, protocol)


def _refuse_unknown(operator: str) -> Callable[..., Any]:
    stock = getattr(netref.BaseNetref, operator)

    def compare(proxy: Any, other: Any) -> Any:
        answer = stock(proxy, other)
        if answer is NotImplemented:
            comparison.refuse_unknown(proxy, other, operator)
        return answer

    return compare


_COMPARISONS: Final = {
    "__hash__": netref.BaseNetref.__hash__,  # which Python else takes from a class that compares
    **{operator: _refuse_unknown(operator) for operator in ("__eq__", "__ne__")},
}


def _without_finalizer(stock_class: Any) -> Any:
    """The class without anything to do when one of its netrefs is collected.

    References are given back otherwise, and stock RPyC's ``__del__`` asks the peer for the attributes of a netref that
    an interrupt left half made, on whichever thread the collector runs.
    """
    # A copy, because some stock classes are shared by all connections. `object.__init__` does nothing, and does it in
    # C, where an interrupt cannot surface and get lost.
    members = {
        **stock_class.__dict__,
        **_COMPARISONS,
        "__reduce_ex__": _reduce,
        "__del__": object.__init__,
    }
    if "__array__" in members:
        members["__array__"] = _explain_array(members["__array__"])
        for name in _PROTOCOLS.intersection(members):
            del members[name]
    return type(stock_class)(stock_class.__name__, stock_class.__bases__, members)


def _make_instance_class(name: str) -> Any:
    """The class of netrefs to instances of a builtin type; stock RPyC's has the methods of types, ``__call__`` too."""
    methods = list_methods_of(netref._normalized_builtin_types[name])
    return _without_finalizer(netref.class_factory((name, 0, 1), methods))


_BUILTIN_CLASSES: Final = {name: _without_finalizer(made) for name, made in netref.builtin_classes_cache.items()}
_BUILTIN_INSTANCES: Final = {name: _make_instance_class(name) for name in netref.builtin_classes_cache}


def is_netref(obj: Any) -> bool:
    """Whether it is a proxy, of whichever connection; asks its type only."""
    return issubclass(type(obj), netref.BaseNetref)
