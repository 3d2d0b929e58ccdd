"""The local objects that the peer holds references to."""

from __future__ import annotations

import weakref
from typing import Any

from rpyc_kernel.system.originals import threading

_all: weakref.WeakSet[Exports] = weakref.WeakSet()
_all_lock = threading.Lock()


class Exports:
    """Objects kept alive for the peer, each with the number of references it was given.

    Fills the place of RPyC's own collection. Objects are let go outside the lock, because that may run any code.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._entries: dict[Any, tuple[Any, int]] = {}
        with _all_lock:
            _all.add(self)

    def __getitem__(self, id_pack: Any) -> Any:
        return self._entries[id_pack][0]

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, id_pack: Any, obj: Any) -> None:
        """Give the peer one more reference to the object."""
        with self._lock:
            entry = self._entries.get(id_pack)
            self._entries[id_pack] = (obj, 1 if entry is None else entry[1] + 1)

    def decref(self, id_pack: Any, count: int = 1) -> None:
        """Take references back. Raises ``KeyError`` where the peer has none."""
        with self._lock:
            obj, held = self._entries[id_pack]
            if held > count:
                self._entries[id_pack] = (obj, held - count)
            else:
                del self._entries[id_pack]

    def clear(self) -> None:
        """Take everything back."""
        with self._lock:
            entries, self._entries = self._entries, {}
        entries.clear()


def find_exported(id_pack: Any) -> Any:
    """Return the object of this process that any peer knows as this.

    Raises:
        KeyError: none does.
    """
    with _all_lock:
        everybody = list(_all)
    for exports in everybody:
        try:
            return exports[id_pack]
        except KeyError:
            continue
    raise KeyError(id_pack)
