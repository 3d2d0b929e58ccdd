"""Which thread of a connection reads what comes in: who waits for it, or serves it.

Each change of threads takes a switch interval where user code keeps the interpreter busy, and some time where it does
not. So a request is served by the thread that reads it, and a reply is read by the thread that has asked:

    who reads    until
    caller       its reply is there, or something that is not for it to deal with; that it leaves where it is
    server       it has something to do
    standby      the server is done and asks for the baton; it gets it after the next message
    nobody       something comes. Where callers read, the server waits for that without the baton, and is not disturbed
                 by what a caller reads. And while the server is busy, a call begins, or it has not come back for
                 ``PATIENCE_S``, or it summons the standby: because it waits until a deadline, or because messages come
                 faster than they are served, so that the two may overlap

Whoever reads holds the baton, and what was read before is in the server's queue by then, so messages are dealt with in
the order of their arrival. The standby looks in intervals at what the server does, and sleeps only while that waits for
messages. So somebody always reads within two intervals, and no timer runs in a quiet connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from rpyc_kernel.system import switching
from rpyc_kernel.system.originals import queue, threading
from rpyc_kernel.wire.channel import Channel

PATIENCE_S: Final = 0.005
_BACKLOG: Final = 8
_AT_ONCE: Final = (False,)
_TOO_LATE: Final = (OSError, ValueError)
"""What arming raises where the connection has ended; then whoever waits is told anyway."""

Lease = list[bool]
"""Not empty while a caller has the baton."""


class Reading:
    """The baton, and everybody's way to it.

    Args:
        channel: What is read from.
        read: Waits for a message and deals with it, on a thread of the connection's own that holds the baton. Has to
            call ``stop`` when there is nothing more to read, and must not raise.
        wake_server: Has the server look again whether it can read.
    """

    def __init__(self, channel: Channel, read: Callable[[], None], wake_server: Callable[[], None]) -> None:
        self._channel = channel
        self._read = read
        self._wake_server = wake_server
        readiness = channel.readiness
        self._arm: Callable[[], object] = bool if readiness is None else readiness.arm
        self._disarm: Callable[[], object] = bool if readiness is None else readiness.disarm
        # Reentrant not for being taken twice, but because nobody else can release it.
        self._baton = threading.RLock()
        self._reader = -1
        self._leases: dict[int, Lease] = {}  # of the calling threads, each by its own
        self._turns = 0  # of the server; counted by it alone, like the next
        self._backlog = 0  # messages in a row that were there before they were asked for
        # Each of the two says that it is coming before it looks at the other.
        self._is_server_here = False
        self._is_standby_here = False
        self._is_asked_for = False
        self._is_asleep = False
        # For the standby: True has it read, False has it look.
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_over = False
        self._is_eager = readiness is None  # mostly answers, and user code may compute meanwhile

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller deals with a message, as a thread of the connection's own, and has to come back to read.

        Never true of those who read what they have asked for.
        """
        return threading.get_ident() == self._reader

    def stop(self) -> None:
        """Let nobody read any more; may be called from anywhere."""
        self._is_over = True
        self._bell.put(True)

    # ---- a caller ----

    def call(self, send: Callable[[], None], receive: Callable[[Lease], None]) -> None:
        """Send a request, and receive its reply where nobody else reads, on a thread that is not the connection's own.

        An interrupt can surface after each call: it must leave neither the baton taken nor the server unheeding. So
        the baton is taken, and that is noted, by one call into C; and what has to be done in the end is always the
        very next call.

        Args:
            send: Sends it.
            receive: Reads on until the reply is there, or something else is; must take nothing out of the channel
                where the lease is empty. Then somebody else delivers the reply.
        """
        ident = threading.get_ident()
        outer = self._leases.get(ident)
        if outer:
            self._revoke(outer)
        lease = self._leases[ident] = []
        try:
            lease.extend(filter(None, map(self._baton.acquire, _AT_ONCE)))
            if lease and not (self._is_over or self._channel.has_more):
                with contextlib.suppress(*_TOO_LATE):
                    self._disarm()
                send()
                receive(lease)
            else:
                send()
        finally:
            if lease:  # no `suppress` here: that is written in Python, where an interrupt could surface
                try:
                    self._arm()
                except _TOO_LATE:
                    pass
                finally:
                    try:  # noqa: SIM105
                        self._baton.release()
                    except RuntimeError:  # a call within this one has done so, just before
                        pass
            if outer is None:
                self._leases.pop(ident, None)
            else:
                self._leases[ident] = outer

    def _revoke(self, lease: Lease) -> None:
        """Let others read: a signal's handler, or a finalizer, calls in the middle of a call of the same thread.

        That one cannot go on meanwhile, and where it waits in the system it does not hear of this until it looks up.
        """
        with contextlib.suppress(RuntimeError):  # it is long over, and an interrupt kept it from being forgotten
            self._baton.release()
            with contextlib.suppress(*_TOO_LATE):
                self._arm()
        lease.clear()  # not before: if an interrupt comes, the outer call sees to both

    # ---- the server ----

    def read_while(self, is_needed: Callable[[], bool], *, idly: bool = False) -> bool:
        """Read for as long as it is needed; return whether that was possible, because the standby was not reading.

        Args:
            is_needed: Whether it is; asked while nobody else can read.
            idly: Whether the server itself waits for nothing, so that callers may read.
        """
        self._turns += 1
        self._is_server_here = True
        is_patient = idly and self._channel.readiness is not None
        try:
            while is_needed() and not self._is_over:
                if self._is_standby_here:
                    return False
                may_wait = is_patient and not self._channel.has_more
                if may_wait:
                    self._channel.wait_readable()
                # A caller lets go of the baton as soon as it finds what is not its own. Who is woken just before that
                # happens looks again.
                if self._baton.acquire(blocking=not may_wait):
                    self._read_on(is_needed, is_patient=is_patient)
        finally:
            self._is_server_here = False
            switching.relax()
            if self._backlog >= _BACKLOG:
                self._backlog = 0
                self.summon()
            elif self._is_asleep:
                self._is_asleep = False
                self._bell.put(False)
        return True

    def ask(self) -> bool:
        """Ask for the baton, which the standby has; the server is woken when it is free. Return whether that has it."""
        self._is_asked_for = True
        return self._is_standby_here

    def summon(self) -> None:
        """Have the standby read: the server cannot, or must not, for it has to be elsewhere in time."""
        self._is_asked_for = False
        if not self._is_standby_here:
            self._bell.put(True)

    def _read_on(self, is_needed: Callable[[], bool], *, is_patient: bool) -> None:
        self._reader = threading.get_ident()
        try:
            while is_needed() and not self._is_over:  # asked with the baton: nobody else reads any more
                if self._is_eager:
                    switching.expect()
                self._read()
                has_more = self._channel.has_more
                self._backlog = self._backlog + 1 if has_more else 0
                if is_patient and not has_more:
                    break
        finally:
            self._lay_down()

    # ---- the standby ----

    def stand_by(self) -> None:
        """Read whenever the server does not, until there is nothing more to read."""
        while not self._is_over:
            self._wait_until_needed()
            self._is_asked_for = False
            self._is_standby_here = True
            if not self._is_server_here:
                self._baton.acquire()
                self._reader = threading.get_ident()
                try:
                    while not (self._is_asked_for or self._is_over):
                        self._read()
                finally:
                    self._lay_down()
            self._is_standby_here = False
            if self._is_asked_for:
                self._wake_server()

    def _wait_until_needed(self) -> None:
        while not self._is_over:
            turn, is_server_here = self._turns, self._is_server_here
            if self._hear(PATIENCE_S):
                return
            if turn != self._turns or is_server_here != self._is_server_here:
                continue  # it has come to read, or gone from it
            switching.relax()
            if not is_server_here:
                return
            self._is_asleep = True  # then look once more: the server does the two in the other order
            is_summoned = self._is_server_here and self._hear(None)
            self._is_asleep = False
            if is_summoned:
                return

    def _hear(self, timeout_s: float | None) -> bool:
        try:
            return self._bell.get(timeout=timeout_s)
        except queue.Empty:
            return False

    def _lay_down(self) -> None:
        self._reader = -1
        self._baton.release()
