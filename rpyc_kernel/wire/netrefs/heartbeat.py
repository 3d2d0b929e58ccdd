"""Whether the peer of a connection is still there, asked while something is awaited of it.

An end that is stopped, a host that is gone and a tunnel that is stuck all look alike: the connection is open and
silent. So whoever waits asks, in beats: at the first one in which nothing came it pings, and after some more without a
sign of life the connection is given up. Beats are counted, not seconds, because a process that was stopped itself, or a
machine that slept, finds much time gone and the answer not yet read.

Nothing is asked while nothing is awaited: a silent peer costs nothing then, and the next call finds out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.originals import futures, time

_BEATS: Final = 5


class Patience(Frozen):
    """How long a peer may be silent.

    Attributes:
        limit_s: while something is awaited of it, in seconds.
        advice: what to say to people when it was silent for longer, and what to do.
        vouch: asks somebody else whether the peer is only busy; where the answer comes, the wait goes on. It must not
            wait, and may raise.
    """

    limit_s: float
    advice: str
    vouch: Callable[[], futures.Future[Any]] | None = None

    @property
    def interval_s(self) -> float:
        """How long a beat is, in seconds."""
        return self.limit_s / _BEATS


class Heartbeat:
    """The beats of one connection, counted by one of its threads.

    Args:
        patience: how long the peer may be silent.
        look: what changes with every sign of life, None while nothing is awaited.
        ping: asks the peer for one; must not wait.
        give_up: ends the connection, with a reason.
    """

    def __init__(
        self,
        patience: Patience,
        look: Callable[[], object],
        ping: Callable[[], None],
        give_up: Callable[[str], None],
    ) -> None:
        self._patience = patience
        self._look = look
        self._ping = ping
        self._give_up = give_up
        self._due = time.monotonic() + patience.interval_s
        self._seen: object = None
        self._silent_beats = 0
        self._voucher: futures.Future[Any] | None = None

    def pulse(self) -> float:
        """Beat if it is time; returns in how many seconds the next one is due."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._patience.interval_s
            self.beat()
        return self._due - now

    def beat(self) -> None:
        """Count one, and give the peer up if it has been silent for too many."""
        seen = self._look()
        if seen is None or seen != self._seen:
            self._seen, self._silent_beats = seen, 0
            return
        self._silent_beats += 1
        if self._silent_beats == 1:
            self._ping()  # once: whatever is sent meanwhile would only wait behind it
            self._voucher = self._ask_others()
        if self._silent_beats >= _BEATS:
            self._silent_beats = 0
            if not _is_answered(self._voucher):
                self._give_up(f"nothing came for {self._patience.limit_s:g} s; {self._patience.advice}")

    def _ask_others(self) -> futures.Future[Any] | None:
        if self._patience.vouch is None:
            return None
        try:
            return self._patience.vouch()
        except Exception:  # noqa: BLE001 - whatever it is, nobody vouches
            return None


def _is_answered(voucher: futures.Future[Any] | None) -> bool:
    return voucher is not None and voucher.done() and not voucher.cancelled() and voucher.exception() is None
