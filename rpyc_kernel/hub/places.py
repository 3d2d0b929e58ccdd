"""How many connections there may be: strangers are few, and the hub keeps descriptors for worker and journal.

Until a connection has proven itself it is a stranger. Strangers are counted apart for the port, where anybody may
knock, and for the unix sockets. Of one address there are three quarters of these at most: for the next one the oldest
has to go.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable

from rpyc_kernel.errors import ConnectionFailed, KernelError
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.handshake import Welcome

OWN_DESCRIPTORS = 96
"""What the hub needs for itself: journal, worker, the next worker, log, and the sockets on their way to the worker."""
MORE_FOR_TLS = 2
"""How many descriptors more such a connection takes: both ends of the pair, one of which speaks TLS."""
_KEPT_PLACES = 8
"""For further channels of those who are inside, and for who only looks, interrupts or stops: new clients get none."""
_SHARED_FROM = 8
"""Where there may be fewer strangers, one address may have all of these places."""


class Places:
    """Counts connections; any thread may use it.

    Args:
        name: of the kernel.
        settings: of the hub.
        descriptors: how many this process may have.
        freed: called when one more stranger may come where there was no room for one.
    """

    def __init__(self, name: str, settings: HubSettings, descriptors: int, freed: Callable[[], None]) -> None:
        self._name = name
        self._freed = freed
        self._lock = threading.Lock()
        self._origins: dict[socket.socket, str] = {}  # the address that each came from, "" by a unix socket
        self._strangers: Counter[int] = Counter()  # by the family of the socket
        self._strangers_from: dict[str, dict[socket.socket, None]] = {}  # by where they come from, the oldest first
        self._inside: dict[socket.socket, Welcome] = {}  # those who were let in
        self._more: Counter[socket.socket] = Counter()  # the descriptors that each takes beside its own
        room = max(descriptors - OWN_DESCRIPTORS, 16)
        self._max_strangers = min(settings.max_strangers, room // 8)
        is_shared = self._max_strangers >= _SHARED_FROM
        self._max_strangers_from_one = self._max_strangers * 3 // 4 if is_shared else self._max_strangers + 1
        all_strangers = (2 + MORE_FOR_TLS) * self._max_strangers  # at the unix sockets, and at the port behind TLS
        self._max_proven = min(settings.max_connections, room - all_strangers)
        self._max_when_new = self._max_proven - min(_KEPT_PLACES, self._max_proven // 4)
        self._max_with_one_key = max(self._max_proven // 4, 1)  # who is invited leaves places to others

    def has_room(self, family: int) -> bool:
        """Whether one more stranger may come to the doors of this family."""
        with self._lock:
            return self._strangers[family] < self._max_strangers

    def add(self, sock: socket.socket, origin: str) -> None:
        """A stranger has come from an address, "" by a unix socket; the oldest one from there may have to go."""
        with self._lock:
            there = self._strangers_from.setdefault(origin, {})
            if origin and len(there) >= self._max_strangers_from_one:
                oldest = next(iter(there))
                del there[oldest]
                with contextlib.suppress(OSError):  # with the lock: who is let in just now is none of these any more
                    oldest.shutdown(socket.SHUT_RDWR)
            there[sock] = None
            self._origins[sock] = origin
            self._strangers[sock.family] += 1

    def note_more(self, sock: socket.socket, descriptors: int) -> None:
        """A connection takes so many beside its own from here on."""
        with self._lock:
            self._more[sock] += descriptors

    def let_in(
        self, sock: socket.socket, welcome: Welcome, refusal: Callable[[Welcome], KernelError | None]
    ) -> KernelError | None:
        """Have one who has proven to know a key count as inside; returns why not where there is a reason.

        The ``refusal``, which must not wait, says whether there is one: who is sent away just now is refused, or
        `find` finds it here.
        """
        with self._lock:
            problem = refusal(welcome) or self._find_full(welcome)
            if problem is not None:
                return problem
            self._inside[sock] = welcome
            is_freed = self._leave_door(sock)
        if is_freed:
            self._freed()
        return None

    def find(self, session: str | None, key: str | None) -> dict[socket.socket, Welcome]:
        """Those inside of a session, or those let in by a key; None for any."""
        with self._lock:
            return {
                sock: welcome
                for sock, welcome in self._inside.items()
                if session in (None, welcome.identity.session) and key in (None, welcome.grant.key)
            }

    def remove(self, sock: socket.socket) -> None:
        """A connection is over."""
        with self._lock:
            is_freed = self._inside.pop(sock, None) is None and self._leave_door(sock)
            del self._origins[sock]
            self._more.pop(sock, None)
        if is_freed:
            self._freed()

    # ------------------------------------------------------------------ with the lock

    def _find_full(self, welcome: Welcome) -> ConnectionFailed | None:
        """What there are too many of for this one to come in, None if nothing."""
        key, count = welcome.grant.key, len(self._inside)
        if key and sum(other.grant.key == key for other in self._inside.values()) >= self._max_with_one_key:
            return ConnectionFailed(
                f"this invitation has {self._max_with_one_key} connections, as many as it can; close some"
            )
        taken = count + sum(self._more[sock] for sock in self._inside)
        if taken < (self._max_when_new if welcome.channel == handshake.COMMANDS else self._max_proven):
            return None
        return ConnectionFailed(
            f"kernel {self._name!r} has {count} connections, as many as it can; close some, and try again"
        )

    def _leave_door(self, sock: socket.socket) -> bool:
        """This one is no stranger any more; whether the next one may come in instead, who could not."""
        origin = self._origins[sock]
        there = self._strangers_from.get(origin, {})
        there.pop(sock, None)
        if not there:
            self._strangers_from.pop(origin, None)
        was_crowded = self._strangers[sock.family] >= self._max_strangers
        self._strangers[sock.family] -= 1
        return was_crowded
