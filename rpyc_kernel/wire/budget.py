"""How much memory large frames may take that come in over several connections of one peer together."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from rpyc_kernel.system.originals import threading

_LOOK_AGAIN_S: Final = 1.0


class Budget:
    """A number of bytes to share.

    Who asks for more than is left waits, before a byte of the frame is read: so whoever has begun can finish, and a
    peer that begins frames and does not finish them keeps nobody waiting but itself.

    Args:
        limit_bytes: how many there are. What is larger still gets through, alone.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._taken: dict[Hashable, int] = {}
        self._waiting = 0
        self._changed = threading.Condition()

    @property
    def taken_bytes(self) -> int:
        """How many are in use."""
        with self._changed:
            return sum(self._taken.values())

    def take(self, holder: Hashable, count: int, is_over: Callable[[], bool]) -> None:
        """Wait until so many bytes are left, or there is no use in waiting, and take them."""
        with self._changed:
            self._waiting += 1
            while self._taken and sum(self._taken.values()) + count > self._limit_bytes and not is_over():
                self._changed.wait(_LOOK_AGAIN_S)
            self._waiting -= 1
            self._taken[holder] = count

    def give_back(self, holder: Hashable) -> None:
        """Return all that the holder has, if anything, and have those who wait look whether it is over."""
        with self._changed:
            self._taken.pop(holder, None)
            if self._waiting:
                self._changed.notify_all()
