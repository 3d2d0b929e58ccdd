"""Which thread of a connection reads what comes in: the one that serves requests, or its standby while that is busy.

A request that is served by the thread that read it costs no change of threads, each of which takes a switch interval
where user code keeps the interpreter busy. But somebody has to read while a request runs:

    who reads    until
    server       it has something to do
    nobody       the server is done, or it has not read for ``PATIENCE_S``, or it summons the standby: because it waits
                 until a deadline, or because messages come faster than they are served, so that the two may overlap
    standby      the server is done and asks for the baton; it gets it after the next message

Whoever reads holds the baton, and what was read before is in the server's queue by then, so messages are dealt with in
the order of their arrival. The standby looks in intervals at what the server does, and sleeps only while that reads and
nothing comes. So somebody always reads within two intervals, and no timer runs in a quiet connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rpyc_kernel.system.originals import queue, threading

PATIENCE_S: Final = 0.005
_BACKLOG: Final = 8


class Reading:
    """The baton, and both threads' ways to it.

    Args:
        read: Waits for a message and deals with it, on the thread that holds the baton. Has to call ``stop`` when there
            is nothing more to read, and must not raise. Returns whether part of another message is there already.
        wake_server: Has the server look again whether it can read.
    """

    def __init__(self, read: Callable[[], bool], wake_server: Callable[[], None]) -> None:
        self._read = read
        self._wake_server = wake_server
        self._baton = threading.Lock()
        self._reader = -1
        self._turns = 0  # of the server; counted by it alone, like the next
        self._backlog = 0  # messages in a row that were there before they were asked for
        self._is_asked_for = False
        self._is_asleep = False
        # For the standby: True has it read, False has it look.
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_over = False

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller holds the baton: it is dealing with a message, and has to come back to read."""
        return threading.get_ident() == self._reader

    def stop(self) -> None:
        """Let nobody read any more; may be called from anywhere."""
        self._is_over = True
        self._bell.put(True)

    # ---- the server ----

    def read_while(self, is_needed: Callable[[], bool]) -> bool:
        """Read for as long as it is needed; return whether that was possible, because the standby was not reading."""
        if not self._baton.acquire(blocking=False):
            return False
        self._reader = threading.get_ident()
        self._turns += 1
        try:
            while is_needed() and not self._is_over:  # asked with the baton: nobody else reads any more
                self._backlog = self._backlog + 1 if self._read() else 0
        finally:
            self._lay_down()
            if self._backlog >= _BACKLOG:
                self._backlog = 0
                self.summon()
            elif self._is_asleep:
                self._is_asleep = False
                self._bell.put(False)
        return True

    def ask(self) -> None:
        """Ask for the baton, which the standby has; the server is woken when it is free."""
        self._is_asked_for = True

    def summon(self) -> None:
        """Have the standby read: the server cannot, or must not, for it has to be elsewhere in time."""
        self._is_asked_for = False
        if not self._baton.locked():
            self._bell.put(True)

    # ---- the standby ----

    def stand_by(self) -> None:
        """Read whenever the server does not, until there is nothing more to read."""
        while not self._is_over:
            self._wait_until_needed()
            if self._baton.acquire(blocking=False):
                self._reader = threading.get_ident()
                self._is_asked_for = False
                try:
                    while not (self._is_asked_for or self._is_over):
                        self._read()
                finally:
                    self._lay_down()
                    self._wake_server()  # after that: it may have looked, and found it still taken

    def _wait_until_needed(self) -> None:
        while not self._is_over:
            turn, is_reading = self._turns, self._baton.locked()
            if self._hear(PATIENCE_S):
                return
            if turn != self._turns or is_reading != self._baton.locked():
                continue  # it has come to read, or gone from it
            if not is_reading:
                return
            self._is_asleep = True  # then look once more: the server does the two in the other order
            is_summoned = self._baton.locked() and self._hear(None)
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
