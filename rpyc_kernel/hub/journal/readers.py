"""Those who read events: they are answered at once, or wait until there is something for them or their time is over.

A reader wants whatever is new. A follower wants the events of one execution, in one answer, when it has ended. Both
wait without a thread of theirs: a `Later` is left behind. A few are answered by the thread that commits, which saves a
change of threads. A crowd is answered in rounds by this room's own thread: all who wait get what has gathered, those
who read the same share one answer, and after each round there is a rest in which others find the machine free.
"""

from __future__ import annotations

import heapq
import itertools
import operator
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rpyc_kernel.core.contract import Kind, Scope, WireEvent
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.hub.journal.tail import cut
from rpyc_kernel.system.later import Later

_FIRST_FOLLOWED, _MAX_FOLLOWED = 64, 1000
"""So many events are looked at first, and at once later: most executions are short."""
_FULL_CHARS = 1024 * 1024
_QUIET_KINDS = frozenset({Kind.QUEUED, Kind.STARTED})
_kind_of, _execution_of = operator.itemgetter(2), operator.itemgetter(3)
_QUIET_S = 0.005
_FEW_DEADLINES = 256
_FEW = 4
"""As many readers are answered where events are committed; more are a crowd."""
_CROWD_S = 0.5
"""After a round who asks is taken for one of the crowd for so long."""
_REST_S = 0.0005
"""What answering one of the crowd costs the hub and the reader, roughly: rounds rest for as long as they cost."""
_SHARED_CHARS = 512 * 1024
"""The size of an answer to a crowd, each of whom has a copy in memory until its socket takes it."""

Reading = tuple[int, tuple[WireEvent, ...]]
"""What a reader gets: the cursor to go on with, and events."""
_Answers = dict[tuple[int, int], Any]
"""Those of a round, by cursor and limit."""


class Source(Protocol):
    """What readers look at."""

    @property
    def last(self) -> int:
        """The number of the newest event."""

    def after(self, cursor: int, limit: int) -> tuple[int, list[WireEvent]]:
        """Events after a number, so many, or as many as an answer holds; and the number up to which they go.

        Raises:
            RequestError: they cannot be read now.
        """


@dataclass(eq=False)
class _Reader:
    """One who waits for events it has not seen."""

    cursor: int
    limit: int
    scope: str
    session: str
    deadline: float
    answer: Later = field(default_factory=Later)

    @property
    def reading(self) -> Reading:
        """The answer when its time is over."""
        return self.cursor, ()


@dataclass(eq=False)
class _Follower:
    """One who waits for the end of an execution, or if it is eager for the first event of it that is not quiet."""

    execution: int
    cursor: int
    is_eager: bool
    deadline: float
    answer: Later = field(default_factory=Later)
    _events: list[WireEvent] = field(default_factory=list)
    _chars: int = 0
    _has_end: bool = False
    _has_news: bool = False

    def gather(self, events: Iterable[WireEvent]) -> None:
        """Take in those that belong to the execution."""
        for event in events:
            if event[3] == self.execution and event[0] > self.cursor:
                self.cursor = event[0]
                self._events.append(event)
                self._chars += len(event[5])
                self._has_end = self._has_end or event[2] == Kind.FINISHED
                self._has_news = self._has_news or event[2] not in _QUIET_KINDS

    @property
    def is_satisfied(self) -> bool:
        """Whether the end is there, or as much as one answer should hold, or anything for who is eager."""
        return self._has_end or self._chars >= _FULL_CHARS or (self.is_eager and self._has_news)

    def hurry(self, now: float) -> bool:
        """Have one who is eager not wait long behind what is quiet; whether its time is over sooner than before."""
        deadline = now + _QUIET_S
        if not (self.is_eager and self._events and deadline < self.deadline):
            return False
        self.deadline = deadline
        return True

    @property
    def reading(self) -> Reading:
        """The answer."""
        return self.cursor, tuple(self._events)


class Readers:
    """All who read, and their clock.

    Args:
        source: what they look at.
        present: makes of a cursor and events what they get.
    """

    def __init__(self, source: Source, present: Callable[[int, tuple[WireEvent, ...]], Any]) -> None:
        self._source = source
        self._present = present
        self._told = source.last
        self._is_quiet = True
        self._is_closed = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: set[_Reader] = set()
        self._followers: dict[int, list[_Follower]] = {}
        self._satisfied: list[_Follower] = []
        # Held weakly: most are answered long before, and each has an answer of up to a million characters.
        self._deadlines: list[tuple[float, int, weakref.ref[_Reader | _Follower]]] = []
        self._max_deadlines = _FEW_DEADLINES
        self._count = itertools.count()
        self._publish_at: float | None = None
        self._round_at: float | None = None
        self._rest_until = 0.0
        self._thread = threading.Thread(target=self._run, name="journal-readers", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ asking

    def read(self, cursor: int, limit: int, wait_s: float, scope: str, session: str) -> Any:
        """Return events after ``cursor``; if there are none yet, a `Later` of them."""
        now = time.monotonic()
        reader = _Reader(cursor, limit, scope, session, now + wait_s)
        waits = wait_s > 0 and not self._is_closed
        if not (waits and now < self._rest_until + _CROWD_S):
            answer = self._find(reader)
            if answer is not None:
                return answer
        if not waits:
            return self._present(*reader.reading)
        with self._lock:
            self._waiting.add(reader)
            self._set_clock(reader)
            missed = reader.cursor < self._source.last or self._is_closed
        if missed:
            self.publish()
        return reader.answer

    def follow(self, execution: int, cursor: int, wait_s: float, *, is_eager: bool) -> Any:
        """Return the events of an execution after ``cursor`` when it has ended; until then, a `Later` of them.

        Raises:
            ConnectionLost: nobody waits any more.
        """
        follower = _Follower(execution, cursor, is_eager, time.monotonic() + wait_s)
        limit = _FIRST_FOLLOWED
        while not follower.is_satisfied:
            if cursor < self._source.last:
                cursor, found = self._source.after(cursor, limit)
                follower.gather(found)
                limit = _MAX_FOLLOWED
                continue
            follower.cursor = max(follower.cursor, cursor)  # and who asks again has none of it looked at again
            with self._lock:
                if self._is_closed:
                    raise ConnectionLost("the kernel has stopped")
                if cursor >= self._told:
                    if wait_s <= 0:
                        break
                    follower.hurry(time.monotonic())
                    self._followers.setdefault(execution, []).append(follower)
                    self._set_clock(follower)
                    return follower.answer
        return self._present(*follower.reading)

    def _set_clock(self, waiter: _Reader | _Follower) -> None:
        """Have it answered when its time is over; with the lock."""
        if len(self._deadlines) >= self._max_deadlines:
            self._deadlines = [entry for entry in self._deadlines if entry[2]() is not None]
            heapq.heapify(self._deadlines)
            self._max_deadlines = 2 * len(self._deadlines) + _FEW_DEADLINES
        entry = (waiter.deadline, next(self._count), weakref.ref(waiter))
        heapq.heappush(self._deadlines, entry)
        if self._deadlines[0] is entry:
            self._changed.notify()

    # ------------------------------------------------------------------ telling

    def tell(self, events: list[WireEvent]) -> None:
        """These are in the source now, behind all that were told before; `publish` answers."""
        self._is_quiet = _QUIET_KINDS.issuperset(map(_kind_of, events))
        with self._lock:
            self._told = events[-1][0]
            if self._followers:
                self._show_followers(events)
            # What follows is most often there within a fraction of a millisecond, and saves every reader a wake-up.
            if not self._is_quiet:
                self._publish_at = None  # or what is quiet next would be told too soon
            elif self._waiting and self._publish_at is None:
                self._publish_at = time.monotonic() + _QUIET_S
                self._changed.notify()

    def _show_followers(self, events: list[WireEvent]) -> None:
        for execution in self._followers.keys() & map(_execution_of, events):
            still = []
            for follower in self._followers.pop(execution):
                follower.gather(events)
                if follower.is_satisfied:
                    self._satisfied.append(follower)
                    continue
                still.append(follower)
                if follower.hurry(time.monotonic()):
                    self._set_clock(follower)
            if still:
                self._followers[execution] = still

    def publish(self, *, even_quiet: bool = True) -> None:
        """Answer those for whom there is something new."""
        if self._satisfied:
            with self._lock:
                satisfied, self._satisfied = self._satisfied, []
            for follower in satisfied:
                follower.answer.settle(self._present(*follower.reading))
        if not self._waiting or (self._is_quiet and not even_quiet):
            return
        if (len(self._waiting) > _FEW or time.monotonic() < self._rest_until + _CROWD_S) and not self._is_closed:
            with self._changed:
                if self._round_at is None:
                    self._round_at = self._rest_until
                    self._changed.notify()
            return
        for reader in self._take_ready():
            self._answer(reader)

    def _hold_round(self) -> None:
        """Answer a crowd with what has gathered, one after the other, and rest."""
        answers: _Answers = {}
        count = sum(self._answer(reader, answers) for reader in self._take_ready())
        if count > _FEW:
            self._rest_until = time.monotonic() + count * _REST_S

    def _take_ready(self) -> list[_Reader]:
        with self._lock:
            ready = [reader for reader in self._waiting if reader.cursor < self._source.last or self._is_closed]
            self._waiting.difference_update(ready)
        return ready

    def _answer(self, reader: _Reader, answers: _Answers | None = None) -> bool:
        """Give a reader what it waits for, or let it wait on; whether it was answered."""
        try:
            answer = self._find(reader, answers)
        except RequestError as error:
            reader.answer.settle(None, error)
            return True
        if answer is None and not self._is_closed and not reader.answer.is_over:
            with self._lock:
                waits = time.monotonic() < reader.deadline  # else the clock has looked for it already
                if waits:
                    self._waiting.add(reader)
                missed = reader.cursor < self._source.last
            if waits:
                if missed:
                    self.publish()
                return False
        reader.answer.settle(self._present(*reader.reading) if answer is None else answer)
        return True

    def _find(self, reader: _Reader, answers: _Answers | None = None) -> Any:
        """The answer to a reader, in a crowd one that others may have got already; None when nothing is there."""
        asked = reader.cursor, reader.limit
        if answers is not None and reader.scope == Scope.ALL and asked in answers:
            return answers[asked]
        found = self._look(reader, _FULL_CHARS if answers is None else _SHARED_CHARS)
        answer = None if found is None else self._present(*found)
        if answers is not None and answer is not None and reader.scope == Scope.ALL:
            answers[asked] = answer
        return answer

    def _look(self, reader: _Reader, max_chars: int = _FULL_CHARS) -> Reading | None:
        """What there is to read; None, with the cursor moved on, when nothing is."""
        while reader.cursor < self._source.last:
            reader.cursor, found = self._source.after(reader.cursor, reader.limit)
            if max_chars < _FULL_CHARS and found:
                found = cut(found, max_chars)
                reader.cursor = found[-1][0]
            if reader.scope == Scope.SESSION:
                found = [event for event in found if event[4] is None or event[4] == reader.session]
            if found:
                return reader.cursor, tuple(found)
        return None

    # ------------------------------------------------------------------ the clock

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._is_closed:
                    return
                now = time.monotonic()
                due = [entry[0] for entry in self._deadlines[:1]]
                due += [moment for moment in (self._publish_at, self._round_at) if moment is not None]
                if not due or min(due) > now:
                    self._changed.wait(min(due) - now if due else None)
                    continue
                publishes = self._publish_at is not None and self._publish_at <= now
                if publishes:
                    self._publish_at = None
                is_round = self._round_at is not None and self._round_at <= now
                if is_round:
                    self._round_at = None
            if is_round:
                self._hold_round()
            elif publishes:
                self.publish()
            self._expire(now)

    def _expire(self, now: float) -> None:
        """Answer those whose time is over with what there is."""
        over: list[_Reader | _Follower] = []
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= now:
                waiter = heapq.heappop(self._deadlines)[2]()
                if isinstance(waiter, _Follower) and self._forget(waiter):
                    over.append(waiter)
                elif waiter in self._waiting:
                    self._waiting.discard(waiter)
                    over.append(waiter)
        for waiter in over:
            waiter.answer.settle(self._present(*waiter.reading))

    def _forget(self, follower: _Follower) -> bool:
        """Let a follower go; whether it was waiting."""
        waiting = self._followers.get(follower.execution, [])
        if follower not in waiting:
            return False
        waiting.remove(follower)
        if not waiting:
            del self._followers[follower.execution]
        return True

    def close(self) -> None:
        """Answer all who wait; nobody waits from now on."""
        with self._changed:
            self._is_closed = True
            self._satisfied += [follower for waiting in self._followers.values() for follower in waiting]
            self._followers.clear()
            self._deadlines.clear()
            self._changed.notify()
        self.publish()
        if threading.current_thread() is not self._thread:
            self._thread.join()
