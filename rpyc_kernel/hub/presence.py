"""Which connections are open: whose each is, for which channel, from where, since when, and by which key.

Those of live objects, large values and debuggers are the worker's, which says when each has ended.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import Doing
from rpyc_kernel.wire.handshake import CHANNEL_NAMES, EVENTS, Welcome


class Presence:
    """The connections that were let in.

    Args:
        now: a clock, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[str, dict[str, Any]]] = {}

    def note(self, welcome: Welcome, address: str) -> Callable[[], None]:
        """Take note of one that was let in, from an address, "" by a unix socket; returns what is to forget it."""
        who, number = welcome.identity, next(self._numbers)
        told = {
            "channel": CHANNEL_NAMES[welcome.channel],
            "address": address,
            "host": who.host,
            "since": self._now(),
            "role": who.role,
            "key": welcome.grant.key,
        }
        with self._lock:
            self._open[number] = who.session, told

        def forget() -> None:
            with self._lock:
                self._open.pop(number, None)

        return forget

    def has(self, session: str) -> bool:
        """Whether a session has any connection, to the hub or to the worker."""
        with self._lock:
            return any(whose == session for whose, _ in self._open.values())

    def describe(self, sessions: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Say of each session which connections it has, the oldest first; one that only reads events is reading."""
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        with self._lock:
            for whose, told in self._open.values():
                found[whose].append(told)
        described = []
        for session in sessions:
            channels = tuple(found[session["id"]])
            is_reading = any(told["channel"] == CHANNEL_NAMES[EVENTS] for told in channels)
            doing = Doing.READING if session["doing"] == Doing.IDLE and is_reading else session["doing"]
            described.append({**session, "doing": doing, "channels": channels})
        return tuple(described)
