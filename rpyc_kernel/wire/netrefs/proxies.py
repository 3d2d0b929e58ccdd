"""The peer's objects that this side holds references to.

A reference is given back when the weak reference to its netref dies, not by the netref's ``__del__`` as in stock RPyC:
while ``__del__`` runs, another thread can still find the netref in the cache and revive it, with its reference already
given back. The collector only queues the dead weak reference, by one call into C, wherever it happens to run; what
follows from that is the queue's reader's work.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from rpyc_kernel.system.originals import threading
from rpyc_kernel.wire.messages import IdPack


class ProxyRef(weakref.ref[Any]):
    """A weak reference to a netref, with what is to be given back when it dies."""

    __slots__ = ("count", "id_pack")

    id_pack: IdPack
    count: int


class Proxies:
    """Netrefs by what they refer to, with the number of references each stands for.

    Args:
        bury: Called with each weak reference that has died, wherever the collector runs. Has to be made in C, and to
            have somebody call ``forget``.
    """

    def __init__(self, bury: Callable[[ProxyRef], None]) -> None:
        self._lock = threading.RLock()  # reentrant: the collector may run unrelated finalizers inside
        self._by_id_pack: dict[IdPack, ProxyRef] = {}
        self._refs: dict[int, ProxyRef] = {}  # by id: hashing a weak reference hashes the netref, which asks the peer
        self._bury: Any = bury

    def __len__(self) -> int:
        return len(self._refs)

    def find(self, id_pack: IdPack) -> Any:
        """The living netref to it, or None."""
        ref = self._by_id_pack.get(id_pack)
        return None if ref is None else ref()

    def claim(self, id_pack: IdPack, create: Callable[[], Any]) -> Any:
        """Turn one received reference into a netref: the living one, or a new one from ``create``."""
        with self._lock:
            ref = self._by_id_pack.get(id_pack)
            proxy = None if ref is None else ref()
            if ref is not None and proxy is not None:
                ref.count += 1
                return proxy
            proxy = create()
            ref = ProxyRef(proxy, self._bury)
            ref.id_pack = id_pack
            ref.count = 1
            self._refs[id(ref)] = ref
            self._by_id_pack[id_pack] = ref
            return proxy

    def clear(self) -> None:
        """Forget all netrefs, without giving anything back."""
        with self._lock:
            self._by_id_pack, self._refs = {}, {}

    def forget(self, ref: ProxyRef) -> None:
        """Take a dead netref off the books."""
        with self._lock:
            self._refs.pop(id(ref), None)
            if self._by_id_pack.get(ref.id_pack) is ref:
                del self._by_id_pack[ref.id_pack]
