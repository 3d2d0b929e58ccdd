"""How a connection is made again: at once, then after pauses that grow, until it is there or its time is over.

Time is counted only while it is tried: who was asleep, or did not need the connection, has as long as anybody.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

from rpyc_kernel.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    NotPermitted,
    VersionMismatch,
)
from rpyc_kernel.system.futures import Latch

_T = TypeVar("_T")
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_GROWTH = 1.6
CLOSED = "it was closed here"

HOPELESS = (AuthenticationFailed, NotPermitted, VersionMismatch)
"""What no further attempt changes; neither does any error that is not of the connection, as `NoSuchKernel`."""


class Attempts:
    """How long it may still be tried, and after which pause.

    Args:
        limit_s: for how long in all; 0 for not at all.
        spread: says by how much a pause is shortened, from 0 to 1: many who lose a hub at once do not return at once.

    Attributes:
        left_s: for how long it may still be tried.
    """

    def __init__(self, limit_s: float, spread: Callable[[], float] = lambda: os.urandom(1)[0] / 255) -> None:
        self._limit_s = limit_s
        self._spread = spread
        self.begin_anew()

    def begin_anew(self) -> None:
        """A connection has held: the next loss is another matter."""
        self.left_s = self._limit_s
        self._pause_s = 0.0

    def choose_pause(self) -> float:
        """How long to wait before the next attempt."""
        pause_s, self._pause_s = self._pause_s, min(max(self._pause_s * _GROWTH, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        return min(pause_s * (1 - self._spread() / 2), self.left_s)

    def spend(self, time_s: float) -> None:
        """One took so long, with its pause."""
        self.left_s = max(0.0, self.left_s - time_s)


def come_back(
    enter: Callable[[float], _T],
    attempts: Attempts,
    closing: Latch,
    *,
    timeout_s: float,
    deadline: float = math.inf,
    told: Callable[[ConnectionFailed], None] = lambda _: None,
) -> _T:
    """Try again and again.

    Args:
        enter: makes the connection, within so many seconds.
        attempts: how often.
        closing: ends it at once.
        timeout_s: for each attempt.
        deadline: by the monotonic clock; what is left of the attempts is then left for others.
        told: of each that failed.

    Raises:
        ConnectionLost: nobody wants it any more, or the time is over.
        CallTimeout: the deadline has passed.
        KernelError: there is no hope.
    """
    obstacle: ConnectionFailed = CallTimeout("there was no time")
    while True:
        begun = time.monotonic()
        try:
            if closing.wait(min(attempts.choose_pause(), max(0.0, deadline - begun))):
                raise ConnectionLost(CLOSED)
            now = time.monotonic()
            left_s = min(timeout_s, attempts.left_s - (now - begun), deadline - now)
            if left_s > 0:
                return enter(left_s)
        except HOPELESS:
            raise
        except ConnectionFailed as error:
            if closing.is_set:
                raise ConnectionLost(CLOSED) from None
            obstacle = error
        finally:
            attempts.spend(time.monotonic() - begun)
        told(obstacle)
        if attempts.left_s <= 0:
            raise ConnectionLost(f"it could not be made again in time: {obstacle}")
        if time.monotonic() >= deadline:
            raise CallTimeout(f"it could not be made again so far: {obstacle}")
