"""Whether the peer of a connection is still there, asked while something is awaited of it.

An end that is stopped, a host that is gone and a tunnel that is stuck all look alike: the connection is open and
silent. So whoever waits asks, in beats: at the first one in which nothing came it pings, and after some more without a
sign of life the connection is given up. Beats are counted, not seconds, because a process that was stopped itself, or a
machine that slept, finds much time gone and the answer not yet read.

A peer that is only busy answers nowhere. So where it has answered by another way, and for two beats more is silent on
this one, it is this one that is broken.

Nothing is asked while nothing is awaited: a silent peer costs nothing then, and the next call finds out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.originals import futures, time

_BEATS: Final = 5
_LOOKED_ELSEWHERE: Final = 3
"""The beat at which an answer by another way has to be there: what is freed just now has two more to answer here."""


class Patience(Frozen):
    """How long a peer may be silent.

    Attributes:
        limit_s: while something is awaited of it, in seconds.
        advice: what to say to people when it was silent for longer, and what to do.
        vouch: asks somebody else whether the peer is only busy; where the answer comes, the wait goes on. It must not
            wait, and may raise.
        ask_elsewhere: asks the peer itself by another way; where the answer comes, it is not busy, whoever vouches. It
            must not wait, and may raise.
    """

    limit_s: float
    advice: str
    vouch: Callable[[], futures.Future[Any]] | None = None
    ask_elsewhere: Callable[[], futures.Future[Any]] | None = None

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
        self._elsewhere: futures.Future[Any] | None = None
        self._is_free = False

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
            self._voucher = _ask(self._patience.vouch)
            self._elsewhere = _ask(self._patience.ask_elsewhere)
        if self._silent_beats == _LOOKED_ELSEWHERE:
            self._is_free = _is_answered(self._elsewhere)
        if self._silent_beats >= _BEATS:
            self._silent_beats = 0
            if not _is_answered(self._voucher):
                self._give_up(f"nothing came for {self._patience.limit_s:g} s; {self._patience.advice}")
            elif self._is_free:
                self._give_up(
                    f"nothing came for {self._patience.limit_s:g} s by this way, which is blocked: "
                    "the other side answers by another"
                )


def _ask(ask: Callable[[], futures.Future[Any]] | None) -> futures.Future[Any] | None:
    if ask is None:
        return None
    try:
        return ask()
    except Exception:  # noqa: BLE001 - whatever it is, there is no answer
        return None


def _is_answered(voucher: futures.Future[Any] | None) -> bool:
    return voucher is not None and voucher.done() and not voucher.cancelled() and voucher.exception() is None
