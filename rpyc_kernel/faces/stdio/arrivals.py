"""What comes by a connection that may be another one by and by, in an asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_LOOK_UP_S: Final = 1.0


class Arrivals:
    """Has a connection read where something has come, and now and then.

    Args:
        read: reads, having waited in vain for so many seconds.
    """

    def __init__(self, read: Callable[[float], None]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        self._timer = self._loop.call_later(_LOOK_UP_S, self._look_up)

    def listen(self, descriptor: int) -> None:
        """Read when this can be read, and nothing else; -1 for nothing.

        Where a connection was lost, this is to be said in between: the next one may have the number of the last.
        """
        if descriptor == self._descriptor:
            return
        if self._descriptor != -1:
            self._loop.remove_reader(self._descriptor)
        self._descriptor = descriptor
        if descriptor != -1:
            self._loop.add_reader(descriptor, self._read, 0.0)

    def _look_up(self) -> None:
        self._timer = self._loop.call_later(_LOOK_UP_S, self._look_up)
        self._read(_LOOK_UP_S)

    def close(self) -> None:
        """Read no more."""
        self._timer.cancel()
        self.listen(-1)
