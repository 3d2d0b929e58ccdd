"""Waiting for many kernels at once, on the thread that wants to know."""

from __future__ import annotations

import contextlib
import math
import select
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from rpyc_kernel.errors import KernelError
from rpyc_kernel.groups.fanning import describe_shortage
from rpyc_kernel.system.originals import socket

_LOOK_S = 1.0
"""How long nothing is looked at, at most; of silence, each of the clients counts up its own."""


_COUNTED: dict[int, float] = {}
"""Until when silence was counted, by descriptor: several threads may wait for the same, and the time counts once."""


class Waited(Protocol):
    """What may have something to read: a client, or one of its watches."""

    def fileno(self) -> int:
        """The descriptor that can be read when there is something, which may change."""

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """Read it; never waits."""


_Waited = TypeVar("_Waited", bound=Waited)


class Bell:
    """Wakes one thread that waits for kernels, from another thread."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        try:
            self._ends = socket.socketpair()
        except OSError as error:
            raise KernelError(f"{error}. {describe_shortage()}") from None
        for end in self._ends:
            end.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that can be read when it was rung."""
        return self._ends[0].fileno()

    def ring(self) -> None:
        """Ring it; that thread itself knows."""
        if threading.get_ident() != self._thread:
            with contextlib.suppress(OSError):  # rung so often that it cannot be missed; or nobody waits any more
                self._ends[1].send(b"!")

    def hear(self) -> None:
        """It was heard."""
        with contextlib.suppress(OSError):
            self._ends[0].recv(4096)

    def close(self) -> None:
        """Nobody waits any more."""
        for end in self._ends:
            end.close()


class Loop(Generic[_Waited]):
    """Reads what comes from many, on the thread that waits for it.

    Args:
        bell: rung where another thread has read, or there are others to wait for.
        waited: those from which something is to come.
        take: called with each that may have read something.
    """

    def __init__(self, bell: Bell, waited: Callable[[], Sequence[_Waited]], take: Callable[[_Waited], object]) -> None:
        self._bell = bell
        self._waited = waited
        self._take = take
        self._looked = self._counted = 0.0
        self._arriving = select.poll()
        self._known: dict[int, list[_Waited]] = {}

    def run(self, is_enough: Callable[[], bool], timeout_s: float | None) -> bool:
        """Read until it is enough, which is asked whenever something may have come; whether it is."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            if now - self._looked >= _LOOK_S:
                self._look_at_all(now)
            if is_enough():
                return True
            until = min(deadline, self._looked + _LOOK_S)
            for descriptor, _ in self._arriving.poll(max(0.0, until - time.monotonic()) * 1000):
                self._read(descriptor)
            if now >= deadline:
                return is_enough()

    def _look_at_all(self, now: float) -> None:
        since = self._counted or now
        is_first = not self._counted
        self._counted = now
        for each in self._waited():
            descriptor = each.fileno()
            waited_s = _count_silence(descriptor, since, now)
            if not is_first or descriptor < 0:  # else what has come is read in a moment
                each.read_ready(waited_s)
            self._take(each)
        self._looked = now
        self._arriving = select.poll()
        self._arriving.register(self._bell, select.POLLIN)
        self._known = {}
        for each in self._waited():
            self._known.setdefault(each.fileno(), []).append(each)
        for descriptor in self._known:
            if descriptor >= 0:  # else it was closed just now, which is found at the next look
                self._arriving.register(descriptor, select.POLLIN)

    def _read(self, descriptor: int) -> None:
        if descriptor not in self._known:
            self._bell.hear()
            self._looked = 0.0
            return
        for each in self._known[descriptor]:
            each.read_ready()
            self._take(each)
            if each.fileno() != descriptor:  # its connection was lost, or made again
                self._looked = 0.0


def _count_silence(descriptor: int, since: float, now: float) -> float:
    """How long was waited here in vain, and by nobody else; in seconds.

    No more than this can have waited: a process that was stopped finds much time gone, and the answers not yet read.
    """
    waited_s = now - max(since, _COUNTED.get(descriptor, 0.0))
    _COUNTED[descriptor] = now
    return max(0.0, min(waited_s, _LOOK_S))
