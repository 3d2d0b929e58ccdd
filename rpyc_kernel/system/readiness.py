"""Waiting until a socket has something to read, while others may want to read it themselves and say so.

A plain ``poll`` cannot be told while it waits. So here the system's own queue of events is waited for, and what it
watches is changed from other threads, at a microsecond each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rpyc_kernel.system.originals import select


class Readiness:
    """What one thread waits on; armed at first.

    Args:
        descriptor: The socket; it has to stay open while anybody waits.

    Attributes:
        arm: Has ``wait`` return whenever there is something to read.
        disarm: Has it go on waiting. Both are made in C, so that an interrupt comes before or after. They raise
            ``OSError`` or ``ValueError`` where it is too late.
    """

    arm: Final[Callable[[], Any]]
    disarm: Final[Callable[[], Any]]

    def __init__(self, descriptor: int) -> None:
        if sys.platform == "darwin":
            queue = select.kqueue()
            listen = partial(select.kevent, descriptor, select.KQ_FILTER_READ)
            self.arm = partial(queue.control, [listen(select.KQ_EV_ADD | select.KQ_EV_ENABLE)], 0)
            self.disarm = partial(queue.control, [listen(select.KQ_EV_ADD | select.KQ_EV_DISABLE)], 0)
            self._wait: Callable[[], Any] = partial(queue.control, None, 1)
            self._close = queue.close
            self.arm()
        else:
            epoll = select.epoll()
            epoll.register(descriptor, select.EPOLLIN)
            self.arm = partial(epoll.modify, descriptor, select.EPOLLIN)
            # The end of a connection is told all the same, but once is enough.
            self.disarm = partial(epoll.modify, descriptor, select.EPOLLONESHOT)
            self._wait = partial(epoll.poll, maxevents=1)
            self._close = epoll.close

    def wait(self) -> None:
        """Wait until there is something to read, or the connection ends; it may be gone again by then."""
        self._wait()

    def close(self) -> None:
        """Free what the system keeps for it; nobody may be waiting."""
        self._close()
