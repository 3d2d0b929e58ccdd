"""The record of a kernel's life: every event with its number, kept on disk, readable from any point.

Events get their numbers in the order in which they are committed, without gaps or repetition. A reader says from where
it wants to read; what it has read is its own affair, so the journal need not know who reads, or how fast.

The end of the journal is also held in memory, so that readers who keep up never touch the disk. While the disk
refuses, memory holds what could not be written, everybody is told, and writing is tried again with every append and
whenever `retry` is called.

Durability: a commit survives the death of any process. SQLite's ``synchronous=NORMAL`` in WAL mode means that a loss
of power can take the last moments, but never damages what was there.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind, Scope, WireEvent
from rpyc_kernel.core.form import form_of
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.hub.journal import salvage
from rpyc_kernel.hub.journal.followers import Follower, Reading
from rpyc_kernel.hub.journal.reader_clock import ReaderClock
from rpyc_kernel.hub.journal.rows import lost
from rpyc_kernel.hub.journal.store import Row, Snapshot, Store, is_damage
from rpyc_kernel.hub.journal.tail import Tail, cost_of
from rpyc_kernel.hub.journal.upkeep import Upkeep

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_MAX_REPLY_CHARS = 1024 * 1024
_MAX_FOLLOWED = 1000
_RETRY_S = 0.5
_QUIET_KINDS = frozenset({Kind.QUEUED, Kind.STARTED})
_QUIET_S = 0.005
_SNAPSHOT_EVENTS = 10_000
"""After so many events what is unfinished is written down again: a start reads no more of them."""


@dataclass(eq=False)
class _Reader:
    """One reader that waits for events it has not seen."""

    cursor: int
    limit: int
    scope: str
    session: str
    deadline: float
    future: Future[Any] = field(default_factory=Future)


class Journal:
    """The events of one kernel, in a SQLite file.

    Args:
        path: the file; its folder is made.
        max_memory_bytes: how much memory the end may take that is held for readers.
        max_unsaved_bytes: the same of what is held while the file cannot be written.
        present: makes of a cursor and events what readers get; the pair itself if not given.

    Raises:
        RequestError: the file cannot be opened or is no journal.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_memory_bytes: int,
        max_unsaved_bytes: int,
        present: Callable[[int, tuple[WireEvent, ...]], Any] = lambda cursor, events: (cursor, events),
    ) -> None:
        self._path = path
        self._present = present
        self._max_unsaved_bytes = max_unsaved_bytes
        self._last = 0
        self._cursors: dict[str, int] = {}
        told = self._open()
        self._append_lock = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: set[_Reader] = set()
        self._followers: dict[int, list[Follower]] = {}
        self._satisfied: list[Follower] = []
        self._clock = ReaderClock(self.publish, self._expire)
        self._tail = Tail(max_memory_bytes)
        self._unsaved: list[Row] = []
        self._unsaved_bytes = 0
        self._trouble: str | None = None
        self._is_apart = False
        self._dropped = 0
        self._next_try = 0.0
        self._saved_cursors = dict(self._cursors)
        self._is_closed = False
        self._is_quiet = True
        self._upkeep = Upkeep(path, hold=lambda: self._append_lock, retry=self.retry, mend=self._mend)
        self._upkeep.start()
        if told is not None:
            self.append([told])

    def _open(self) -> Record | None:
        """Open the file; of one that is damaged, what can be read of it. Returns what is to be told of that."""
        try:
            salvage.complete_interrupted(self._path)
            try:
                self._read_start(Store(self._path))
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                _log.error("the journal %s is damaged: %s", self._path, error)
                copy, last = salvage.salvage_unopened(self._path)
                aside = salvage.install(copy, self._path)
                self._read_start(Store(self._path))
                self._last = max(self._last, last)
                return _tell_damage(self._path, f"is damaged ({error})", aside)
        except (sqlite3.Error, OSError) as error:
            remedy = "; end the program that uses it, or wait until it is done" if "locked" in str(error) else ""
            raise RequestError(f"the journal {self._path} cannot be used: {error}{remedy}") from None
        return None

    def _read_start(self, store: Store) -> None:
        try:
            self._last = store.last
            self._cursors = store.read_cursors()
            self._written_down, self._recovery = store.read_recovery()
        except BaseException:
            store.close()
            raise
        self._store = store

    # ------------------------------------------------------------------ writing

    @property
    def last(self) -> int:
        """The number of the newest event, 0 if there is none."""
        return self._last

    def go_on_behind(self, number: int) -> None:
        """Give the next event a number above this one, which clients know although it was never written."""
        with self._append_lock, self._lock:
            self._last = max(self._last, number)

    @property
    def trouble(self) -> str | None:
        """Why the file cannot be written at the moment; None if it can."""
        return self._trouble

    def append(self, records: Sequence[Record], generation: int | None = None, position: int | None = None) -> None:
        """Number, commit and show events, in one transaction with the position in the ring they came from.

        Never raises for a disk that refuses: see the module's docstring.
        """
        if not records:
            return
        with self._append_lock:
            if self._is_closed:
                return
            now = time.time()
            shown: list[WireEvent] = []
            to_save: Sequence[Record] = records
            while to_save:  # what comes of saving is to be told and saved too
                rows: list[Row] = []
                for seq, record in enumerate(to_save, self._last + len(shown) + 1):
                    rows.append((seq, now, record.kind, record.execution, record.session, record.encoded, None, None))
                    self._recovery.take(seq, now, record.kind, record.execution, record.session, record.payload)
                if position is not None and not shown:
                    rows[-1] = (*rows[-1][:6], generation, position)
                    self._recovery.take_ring(generation or 0, position)
                shown += [row[:6] for row in rows]
                to_save = self._save(rows)
            with self._lock:
                self._last += len(shown)
                self._tail.extend(shown, self._unsaved[0][0] if self._unsaved else None)
                if self._followers:
                    self._show_followers(shown)
        if all(record.kind in _QUIET_KINDS for record in records):
            # What follows is most often there within a fraction of a millisecond, and saves every reader a wake-up.
            self._is_quiet = True
            if self._waiting:
                self._clock.publish_within(_QUIET_S)
        else:
            self._is_quiet = False

    def retry(self) -> None:
        """Try again to write what the disk refused, if anything; so do `append` and `close`."""
        if self._trouble is None:
            return
        with self._append_lock:
            told = [] if self._is_closed else self._save([])
        if told:
            self.append(told)
            self.publish()

    def _save(self, rows: list[Row]) -> list[Record]:
        """Commit the rows and whatever waits; returns what everybody must be told."""
        if self._is_apart or (self._unsaved and time.monotonic() < self._next_try):
            self._keep(*rows)
            return []
        try:
            self._commit([*self._unsaved, *rows])
        except sqlite3.Error as error:
            self._next_try = time.monotonic() + _RETRY_S
            self._keep(*rows)
            if is_damage(error):
                self._upkeep.suspect(f"is damaged ({error})", is_sure=True)
            return self._begin_trouble(f"cannot be written ({error})")
        return self._end_trouble("the journal is written again")

    def _begin_trouble(self, what: str) -> list[Record]:
        if self._trouble is not None:
            return []
        self._trouble = (
            f"the journal {self._path} {what}; code goes on, "
            "and what it prints is held in memory until it can be written"
        )
        _log.error("%s", self._trouble)
        return [Record(Kind.JOURNAL_TROUBLE, None, None, {"message": self._trouble})]

    def _end_trouble(self, message: str) -> list[Record]:
        if self._trouble is None:
            return []
        self._trouble = None
        dropped, self._dropped = self._dropped, 0
        self._unsaved, self._unsaved_bytes = [], 0
        message += f"; {dropped} events were too many to hold" if dropped else ""
        return [Record(Kind.JOURNAL_RECOVERED, None, None, {"message": message, "dropped": dropped})]

    def _keep(self, *rows: Row) -> None:
        self._unsaved += rows
        self._unsaved_bytes += sum(cost_of(row[5]) for row in rows)
        drop = 0
        while self._unsaved_bytes > self._max_unsaved_bytes and drop < len(self._unsaved) - 1:
            self._unsaved_bytes -= cost_of(self._unsaved[drop][5])
            drop += 1
        del self._unsaved[:drop]
        self._dropped += drop

    def _commit(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        last = rows[-1][0]
        snapshot = None
        if last - self._written_down >= _SNAPSHOT_EVENTS:
            snapshot = Snapshot(last, self._recovery.as_text())
        self._store.commit(rows, snapshot)
        if snapshot is not None:
            self._written_down = last
        self._upkeep.count(sum(len(row[5]) for row in rows))

    # ------------------------------------------------------------------ the file

    def _mend(self, what: str) -> None:
        """Put a new file in the place of one that is gone or damaged, with all of it that can be read.

        Others go on meanwhile: what they record is held in memory, as while a disk refuses. The file that was there
        stays, under another name.
        """
        if self._store.is_closed:  # an attempt before this came so far
            self._store = Store(self._path)
        with self._append_lock:
            if self._is_closed:
                return
            told = self._begin_trouble(what)
            self._is_apart = True  # from here on nothing is written but by this
            written = self._unsaved[0][0] - 1 if self._unsaved else self._last
        self.append(told)
        self.publish()
        with contextlib.closing(salvage.salvage(self._path, self._store.read, written)) as copy, self._append_lock:
            with self._lock:
                held = [(*event, None, None) for event in self._tail.events]
            copy.replace([*held, *self._unsaved])
            copy.write_cursors(self._cursors)
            copy.commit([], Snapshot(self._last, self._recovery.as_text()))
            (count,) = copy.reader.execute("SELECT count(*) FROM events").fetchone()
            self._store.close()
            aside = salvage.install(copy, self._path)
            self._store = Store(self._path)
            self._written_down = self._last
            self._is_apart = False
            self._upkeep.begin_anew()
            self._unsaved, self._unsaved_bytes = [], 0
            told = self._end_trouble(_tell_recovery(count, self._last, aside))
        self.append(told)
        self.publish()

    # ------------------------------------------------------------------ reading

    def publish(self, *, even_quiet: bool = True) -> None:
        """Answer the readers for whom there is something new; `append` leaves that to the caller."""
        if self._satisfied:
            with self._lock:
                satisfied, self._satisfied = self._satisfied, []
            for follower in satisfied:
                self._set(follower.future, *follower.reading)
        if not self._waiting or (self._is_quiet and not even_quiet):
            return
        with self._lock:
            ready = [reader for reader in self._waiting if reader.cursor < self._last or self._is_closed]
            self._waiting.difference_update(ready)
        for reader in ready:
            self._answer(reader)

    def read(self, cursor: int, limit: int, wait_s: float, scope: str = Scope.ALL, session: str = "") -> Any:
        """Return events after ``cursor``, and the cursor to go on with; if there are none yet, a future of that.

        Args:
            cursor: the number of the last event seen.
            limit: the most events to return; a reply also ends after about a million characters.
            wait_s: how long to wait when there is nothing new; the answer is then empty.
            scope: all events, or those of ``session`` and of nobody.
            session: whose events, with `Scope.SESSION`.
        """
        reader = _Reader(cursor, limit, scope, session, time.monotonic() + wait_s)
        found = self._look(reader)
        if found is not None:
            return self._present(*found)
        if wait_s <= 0 or self._is_closed:
            return self._present(reader.cursor, ())
        with self._lock:
            self._waiting.add(reader)
            missed = reader.cursor < self._last or self._is_closed
        self._clock.expire_at(reader.deadline)
        if missed:
            self.publish()
        return reader.future

    def find(self, execution: int) -> int | None:
        """Return the number of an execution's first event, None if there is none.

        Executions are queued in the order of their numbers, so it is found by halving, without another index.

        Raises:
            RequestError: the file cannot be read now.
        """
        before, end = 0, self._last  # it comes after the one, and is the other at most
        while before < end:
            middle = (before + end) // 2
            queued = self._find_queued(middle, end)
            number = 0 if queued is None else queued[3] or 0
            if queued is None or number > execution:
                end = middle
            elif number == execution:
                return queued[0]
            else:
                before = queued[0]
        return None

    def _find_queued(self, cursor: int, end: int) -> WireEvent | None:
        """The first event by which an execution was queued, after ``cursor`` and up to ``end``."""
        reader = _Reader(cursor, _MAX_FOLLOWED, Scope.ALL, "", 0.0)
        while reader.cursor < end and (found := self._look(reader)) is not None:
            for event in found[1]:
                if event[2] == Kind.QUEUED:
                    return event if event[0] <= end else None
        return None

    def follow(self, execution: int, cursor: int, wait_s: float, *, is_eager: bool = False) -> Any:
        """Return the events of one execution after ``cursor`` when it has finished, or when they fill an answer.

        Args:
            execution: its number.
            cursor: the number of its last event seen; all others must be newer.
            wait_s: how long to wait for the end; the answer then holds what there is.
            is_eager: answer as soon as there is an event.

        Raises:
            ConnectionLost: the journal is closed.
        """
        follower = Follower(execution, cursor, time.monotonic() + wait_s, is_eager)
        reader = _Reader(cursor, _MAX_FOLLOWED, Scope.ALL, "", 0.0)
        while not follower.is_satisfied:
            found = self._look(reader)
            if found is not None:
                follower.gather(found[1])
                continue
            with self._lock:
                if self._is_closed:
                    raise ConnectionLost("the kernel has stopped")
                if reader.cursor == self._last:
                    self._followers.setdefault(execution, []).append(follower)
                    break
        else:
            return self._present(*follower.reading)
        self._clock.expire_at(follower.deadline)
        return follower.future

    def _show_followers(self, events: list[WireEvent]) -> None:
        for execution in {event[3] for event in events if event[3] in self._followers}:
            waiting = self._followers.pop(execution or 0)
            for follower in waiting:
                follower.gather(events)
            self._satisfied += [follower for follower in waiting if follower.is_satisfied]
            still = [follower for follower in waiting if not follower.is_satisfied]
            if still:
                self._followers[execution or 0] = still

    def _answer(self, reader: _Reader) -> None:
        """Give a reader what it waits for, or let it wait on."""
        try:
            found = self._look(reader)
        except RequestError as error:
            if reader.future.set_running_or_notify_cancel():
                reader.future.set_exception(error)
            return
        if found is None and not self._is_closed and not reader.future.cancelled():
            with self._lock:
                self._waiting.add(reader)
                missed = reader.cursor < self._last
            if missed:
                self.publish()
            return
        self._set(reader.future, *((reader.cursor, ()) if found is None else found))

    def _look(self, reader: _Reader) -> Reading | None:
        """What there is for a reader; None, with its cursor moved on, when nothing is."""
        while reader.cursor < self._last:
            with self._lock:
                found = self._tail.after(reader.cursor, reader.limit, _MAX_REPLY_CHARS)
            if found is None:
                found = self._ask_disk(lambda store: store.read(reader.cursor, reader.limit, _MAX_REPLY_CHARS))
            if not found:  # a gap: what neither disk nor memory could hold
                with self._lock:
                    first = self._tail.first or self._last + 1
                reader.cursor = first - 1 if reader.cursor < first - 1 else self._last
                continue
            reader.cursor = found[-1][0]
            if reader.scope == Scope.SESSION:
                found = [event for event in found if event[4] is None or event[4] == reader.session]
            if found:
                return reader.cursor, tuple(found)
        return None

    def _expire(self, now: float) -> float | None:
        """Answer readers whose time is over; returns when the next one's is."""
        with self._lock:
            over = [reader for reader in self._waiting if reader.deadline <= now]
            self._waiting.difference_update(over)
            gone = [reader for reader in self._waiting if reader.future.cancelled()]
            self._waiting.difference_update(gone)
            late = [one for waiting in self._followers.values() for one in waiting if one.deadline <= now]
            for follower in late:
                self._forget(follower)
            deadlines = [reader.deadline for reader in self._waiting]
            deadlines += [follower.deadline for waiting in self._followers.values() for follower in waiting]
        for reader in over:
            self._set(reader.future, reader.cursor, ())
        for follower in late:
            self._set(follower.future, *follower.reading)
        return min(deadlines, default=None)

    def _set(self, future: Future[Any], cursor: int, events: tuple[WireEvent, ...]) -> None:
        """Answer a future, unless its connection has gone."""
        if future.set_running_or_notify_cancel():
            future.set_result(self._present(cursor, events))

    def _forget(self, follower: Follower) -> None:
        waiting = self._followers[follower.execution]
        waiting.remove(follower)
        if not waiting:
            del self._followers[follower.execution]

    def _ask_disk(self, ask: Callable[[Store], _T]) -> _T:
        """Read from the file.

        Raises:
            RequestError: it cannot be read now.
        """
        try:
            return ask(self._store)
        except sqlite3.Error as error:
            if "locked" not in str(error):
                self._upkeep.suspect(f"it cannot be read ({error})", is_sure=False)
            raise RequestError(
                f"the journal {self._path} cannot be read now ({error}); try again in a moment"
            ) from None

    def history(self, pattern: str, limit: int) -> tuple[tuple[int, int, float, str, str], ...]:
        """Return (seq, execution, time, author, code) of the newest inputs with ``pattern`` in them, oldest first.

        Raises:
            RequestError: the file cannot be read now.
        """
        found = self._ask_disk(lambda store: store.search(pattern, limit))
        return tuple(
            (event[0], event[3] or 0, event[1], payload["name"], payload["code"]) for event, payload in reversed(found)
        )

    # ------------------------------------------------------------------ cursors of sessions

    def cursor_of(self, session: str) -> int | None:
        """The last cursor a session acknowledged, None if it never did."""
        return self._cursors.get(session)

    def acknowledge(self, session: str, cursor: int) -> None:
        """Remember that a session has dealt with everything up to ``cursor``."""
        self._cursors[session] = cursor

    def save_cursors(self) -> None:
        """Write changed cursors to disk; if a hub dies before this, sessions see some events again and miss none."""
        changed = {s: c for s, c in dict(self._cursors).items() if self._saved_cursors.get(s) != c}
        if not changed:
            return
        with self._append_lock:
            try:
                self._store.write_cursors(changed)
            except sqlite3.Error as error:
                _log.warning("cursors cannot be written: %s", error)
                return
        self._saved_cursors.update(changed)

    # ------------------------------------------------------------------ what a new hub asks

    def restored(self) -> events.Restored:
        """What an earlier hub left. What it left so that nobody can read it ends here, as lost."""
        unfinished = self._recovery.unfinished
        payloads = self._ask_disk(lambda store: store.payloads_of([seq for seq, _ in unfinished.values()]))
        queued = {number: payloads[seq] for number, (seq, _) in unfinished.items() if _is_whole(payloads.get(seq))}
        reason = lost("the record of what it is cannot be read")
        self.append([Record(Kind.FINISHED, n, of, reason) for n, (_, of) in unfinished.items() if n not in queued])
        return self._recovery.restored(queued)

    def ring_position(self, generation: int) -> int:
        """Up to where the ring of a generation is committed."""
        return self._recovery.ring_position(generation)

    def close_readers(self) -> None:
        """Answer every reader that waits; nobody waits from now on."""
        with self._lock:
            self._is_closed = True
            self._satisfied += [follower for waiting in self._followers.values() for follower in waiting]
            self._followers.clear()
        self.publish()
        self._clock.stop()
        self._upkeep.stop()

    def close(self) -> None:
        """Answer every reader that waits, and close the file."""
        self.close_readers()
        self.save_cursors()
        with self._append_lock:
            snapshot = Snapshot(self._last, self._recovery.as_text()) if self._last > self._written_down else None
            try:
                self._store.commit(self._unsaved, snapshot)
            except sqlite3.Error as error:
                if self._unsaved:
                    _log.error("%d events are lost, the journal cannot be written: %s", len(self._unsaved), error)
            self._store.close()


def _tell_damage(path: Path, what: str, aside: Path | None) -> Record:
    message = f"the journal {path} {what}; what can be read of it is kept{_name_aside(aside)}"
    return Record(Kind.JOURNAL_TROUBLE, None, None, {"message": message})


def _tell_recovery(count: int, last: int, aside: Path | None) -> str:
    return f"the journal is written again, with {count} of {last} events{_name_aside(aside)}"


def _name_aside(aside: Path | None) -> str:
    return "" if aside is None else f"; the file that was there is {aside.name} now"


def _is_whole(queued: dict[str, Any] | None) -> bool:
    """Whether a payload says all that is needed to run an execution."""
    if queued is None:
        return False
    try:
        form_of(queued)
    except RequestError:
        return False
    return isinstance(queued.get("code"), str) and {"lane", "stop_on_error", "call"} <= queued.keys()
