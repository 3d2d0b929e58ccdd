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
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind, Scope, WireEvent
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.hub.checkpointer import Checkpointer
from rpyc_kernel.hub.followers import Follower, Reading
from rpyc_kernel.hub.reader_clock import ReaderClock

_log = logging.getLogger(__name__)
_MAX_REPLY_CHARS = 1024 * 1024
_MAX_FOLLOWED = 1000
_RETRY_S = 0.5
_QUIET_KINDS = frozenset({Kind.QUEUED, Kind.STARTED})
_QUIET_S = 0.005

# No index: each would cost every commit a page more, and only a hub that starts and a search in the history look by
# kind. Both read the short beginnings of rows, not the long texts, which SQLite keeps on overflow pages.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, execution INTEGER, session TEXT,
    payload TEXT NOT NULL, generation INTEGER, ring INTEGER
);
CREATE TABLE IF NOT EXISTS cursors (session TEXT PRIMARY KEY, cursor INTEGER NOT NULL);
"""
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_AT_ONCE = 4
_INSERTS = [_INSERT + ", (?, ?, ?, ?, ?, ?, ?, ?)" * (count - 1) for count in range(_AT_ONCE + 1)]
_Row = tuple[int, float, str, "int | None", "str | None", str, "int | None", "int | None"]


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
        max_memory_chars: how much of the end to hold in memory.
        max_unsaved_chars: how much to hold while the file cannot be written.
        present: makes of a cursor and events what readers get; the pair itself if not given.

    Raises:
        RequestError: the file cannot be opened or is no journal.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_memory_chars: int,
        max_unsaved_chars: int,
        present: Callable[[int, tuple[WireEvent, ...]], Any] = lambda cursor, events: (cursor, events),
    ) -> None:
        self._path = path
        self._present = present
        self._max_memory_chars = max_memory_chars
        self._max_unsaved_chars = max_unsaved_chars
        opened = contextlib.ExitStack()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._writer = self._open(opened)
            self._writer.executescript(_SCHEMA)
            self._reader = self._open(opened)
            last = self._writer.execute("SELECT max(seq) FROM events").fetchone()[0]
            self._cursors: dict[str, int] = dict(self._writer.execute("SELECT session, cursor FROM cursors"))
        except (sqlite3.Error, OSError) as error:
            opened.close()
            raise RequestError(f"the journal {path} cannot be used: {error}") from None
        self._reader_lock = threading.Lock()
        self._append_lock = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: set[_Reader] = set()
        self._followers: dict[int, list[Follower]] = {}
        self._satisfied: list[Follower] = []
        self._clock = ReaderClock(self.publish, self._expire)
        self._checkpointer = Checkpointer(path)
        self._tail: list[WireEvent] = []
        self._tail_chars: list[int] = []
        self._tail_total = 0
        self._last: int = last or 0
        self._unsaved: list[_Row] = []
        self._unsaved_chars = 0
        self._is_in_trouble = False
        self._dropped = 0
        self._next_try = 0.0
        self._saved_cursors = dict(self._cursors)
        self._is_closed = False
        self._is_quiet = True

    def _open(self, opened: contextlib.ExitStack) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=5)
        opened.callback(connection.close)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")  # see `Checkpointer`
        return connection

    # ------------------------------------------------------------------ writing

    @property
    def last(self) -> int:
        """The number of the newest event, 0 if there is none."""
        return self._last

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
            events: list[WireEvent] = []
            to_save: Sequence[Record] = records
            while to_save:  # what comes of saving is to be told and saved too
                rows: list[_Row] = [
                    (seq, now, record.kind, record.execution, record.session, record.encoded, None, None)
                    for seq, record in enumerate(to_save, self._last + len(events) + 1)
                ]
                if position is not None and not events:
                    rows[-1] = (*rows[-1][:6], generation, position)
                events += [row[:6] for row in rows]
                to_save = self._save(rows, now)
            with self._lock:
                self._last += len(events)
                self._extend_tail(events, [len(event[5]) for event in events])
                if self._followers:
                    self._show_followers(events)
        if all(record.kind in _QUIET_KINDS for record in records):
            # What follows is most often there within a fraction of a millisecond, and saves every reader a wake-up.
            self._is_quiet = True
            if self._waiting:
                self._clock.publish_within(_QUIET_S)
        else:
            self._is_quiet = False

    def retry(self) -> None:
        """Try again to write what the disk refused, if anything; so do `append` and `close`."""
        if not self._is_in_trouble:
            return
        with self._append_lock:
            told = [] if self._is_closed else self._save([], time.time())
        if told:
            self.append(told)
            self.publish()

    def _save(self, rows: list[_Row], now: float) -> list[Record]:
        """Commit the rows and whatever waits; returns what everybody must be told."""
        if self._unsaved and now < self._next_try:
            self._keep(*rows)
            return []
        try:
            self._commit([*self._unsaved, *rows])
        except sqlite3.Error as error:
            self._next_try = now + _RETRY_S
            self._keep(*rows)
            if self._is_in_trouble:
                return []
            self._is_in_trouble = True
            _log.error("the journal cannot be written: %s", error)
            message = (
                f"the journal {self._path} cannot be written ({error}); code goes on, "
                "and what it prints is held in memory until there is room"
            )
            return [Record(Kind.JOURNAL_TROUBLE, None, None, {"message": message})]
        if not self._is_in_trouble:
            return []
        self._is_in_trouble = False
        dropped, self._dropped = self._dropped, 0
        self._unsaved, self._unsaved_chars = [], 0
        message = "the journal is written again" + (f"; {dropped} events were too many to hold" if dropped else "")
        return [Record(Kind.JOURNAL_RECOVERED, None, None, {"message": message, "dropped": dropped})]

    def _keep(self, *rows: _Row) -> None:
        self._unsaved += rows
        self._unsaved_chars += sum(len(row[5]) for row in rows)
        while self._unsaved_chars > self._max_unsaved_chars and len(self._unsaved) > 1:
            self._unsaved_chars -= len(self._unsaved.pop(0)[5])
            self._dropped += 1

    def _commit(self, rows: Sequence[_Row]) -> None:
        if not rows:
            return
        writer = self._writer
        if len(rows) <= _AT_ONCE:
            # One statement is a transaction by itself, and saves two calls.
            writer.execute(_INSERTS[len(rows)], [field for row in rows for field in row])
            return
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany(_INSERT, rows)
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def _extend_tail(self, events: list[WireEvent], sizes: list[int]) -> None:
        self._tail += events
        self._tail_chars += sizes
        self._tail_total += sum(sizes)
        if self._tail_total <= 2 * self._max_memory_chars and len(self._tail) <= 100_000:
            return
        first_unsaved = self._unsaved[0][0] if self._unsaved else self._last + 1
        drop = 0
        while (
            (self._tail_total > self._max_memory_chars or len(self._tail) - drop > 50_000)
            and drop < len(self._tail) - 1
            and self._tail[drop][0] < first_unsaved
        ):
            self._tail_total -= self._tail_chars[drop]
            drop += 1
        del self._tail[:drop]
        del self._tail_chars[:drop]

    # ------------------------------------------------------------------ reading

    def publish(self, *, even_quiet: bool = True) -> None:
        """Answer the readers for whom there is something new; `append` leaves that to the caller."""
        with contextlib.suppress(IndexError):  # several threads may be at it
            while self._satisfied:
                follower = self._satisfied.pop()
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

    def follow(self, execution: int, cursor: int, wait_s: float) -> Any:
        """Return the events of one execution after ``cursor`` when it has finished, or when they fill an answer.

        Args:
            execution: its number.
            cursor: the number of its last event seen; all others must be newer.
            wait_s: how long to wait for the end; the answer then holds what there is.

        Raises:
            ConnectionLost: the journal is closed.
        """
        follower = Follower(execution, cursor, time.monotonic() + wait_s)
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
        except sqlite3.Error as error:
            if reader.future.set_running_or_notify_cancel():
                reader.future.set_exception(RequestError(f"the journal cannot be read: {error}"))
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
                found = self._from_memory(reader.cursor, reader.limit)
            if found is None:
                found = self._from_disk(reader.cursor, reader.limit)
            if not found:  # a gap: what neither disk nor memory could hold
                with self._lock:
                    first = self._tail[0][0] if self._tail else self._last + 1
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

    def _from_memory(self, cursor: int, limit: int) -> list[WireEvent] | None:
        """The events after ``cursor``, None when memory does not reach back so far."""
        if not self._tail or cursor + 1 < self._tail[0][0]:
            return None
        start = cursor + 1 - self._tail[0][0]
        return _within_reply(self._tail[start : start + limit], self._tail_chars[start : start + limit])

    def _from_disk(self, cursor: int, limit: int) -> list[WireEvent]:
        with self._reader_lock:
            found: list[WireEvent] = []
            chars = 0
            rows = self._reader.execute(
                "SELECT seq, time, kind, execution, session, payload FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
                (cursor, limit),
            )
            for row in rows:
                found.append(row)
                chars += len(row[5])
                if chars >= _MAX_REPLY_CHARS:
                    break
            rows.close()
        return found

    def history(self, pattern: str, limit: int) -> tuple[tuple[int, int, float, str, str], ...]:
        """Return (seq, execution, time, author, code) of the newest inputs with ``pattern`` in them, oldest first."""
        with self._reader_lock:
            rows = self._reader.execute(
                "SELECT seq, execution, time, payload FROM events WHERE kind = ? AND "
                "json_extract(payload, '$.call') IS NULL AND "
                "(? = '' OR instr(json_extract(payload, '$.code'), ?) > 0) ORDER BY seq DESC LIMIT ?",
                (Kind.QUEUED, pattern, pattern, limit),
            ).fetchall()
        loaded = [(seq, execution, when, json.loads(payload)) for seq, execution, when, payload in reversed(rows)]
        return tuple((seq, number, when, queued["name"], queued["code"]) for seq, number, when, queued in loaded)

    # ------------------------------------------------------------------ cursors of sessions

    def cursor_of(self, session: str) -> int | None:
        """The last cursor a session acknowledged, None if it never did."""
        return self._cursors.get(session)

    def acknowledge(self, session: str, cursor: int) -> None:
        """Remember that a session has dealt with everything up to ``cursor``."""
        self._cursors[session] = cursor

    def save_cursors(self) -> None:
        """Write changed cursors to disk; if a hub dies before this, sessions see some events again and miss none."""
        changed = {s: c for s, c in self._cursors.items() if self._saved_cursors.get(s) != c}
        if not changed:
            return
        with self._append_lock:
            try:
                self._writer.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", list(changed.items()))
            except sqlite3.Error as error:
                _log.warning("cursors cannot be written: %s", error)
                return
        self._saved_cursors.update(changed)

    # ------------------------------------------------------------------ what a new hub asks

    def select(self, kind: str, after: int = 0) -> list[tuple[int, int, str, dict[str, Any], float]]:
        """All events of a kind: (seq, execution, session, payload, time)."""
        with self._reader_lock:
            rows = self._reader.execute(
                "SELECT seq, execution, session, payload, time FROM events WHERE kind = ? AND seq > ? ORDER BY seq",
                (kind, after),
            ).fetchall()
        return [(seq, execution, session, json.loads(payload), when) for seq, execution, session, payload, when in rows]

    def last_of(self, kind: str) -> tuple[int, dict[str, Any]] | None:
        """The newest event of a kind as (seq, payload)."""
        with self._reader_lock:
            row = self._reader.execute(
                "SELECT seq, payload FROM events WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind,)
            ).fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def last_execution(self) -> int:
        """The highest execution number ever given out."""
        with self._reader_lock:
            row = self._reader.execute("SELECT max(execution) FROM events WHERE kind = ?", (Kind.QUEUED,)).fetchone()
        return int(row[0] or 0)

    def ring_position(self, generation: int) -> int:
        """Up to where the ring of a generation is committed."""
        with self._reader_lock:
            row = self._reader.execute(
                "SELECT ring, generation FROM events WHERE ring IS NOT NULL ORDER BY seq DESC LIMIT 1"
            ).fetchone()
        return int(row[0]) if row and row[1] == generation else 0

    def close_readers(self) -> None:
        """Answer every reader that waits; nobody waits from now on."""
        with self._lock:
            self._is_closed = True
            self._satisfied += [follower for waiting in self._followers.values() for follower in waiting]
            self._followers.clear()
        self.publish()
        self._clock.stop()
        self._checkpointer.stop()

    def close(self) -> None:
        """Answer every reader that waits, and close the file."""
        self.close_readers()
        self.save_cursors()
        with self._append_lock, self._reader_lock:
            if self._unsaved:
                self._save_at_last()
            self._reader.close()
            self._writer.close()

    def _save_at_last(self) -> None:
        try:
            self._commit(self._unsaved)
        except sqlite3.Error as error:
            _log.error("%d events are lost, the journal cannot be written: %s", len(self._unsaved), error)


def _within_reply(events: list[WireEvent], sizes: list[int]) -> list[WireEvent]:
    """Cut off what would make a reply too long; the first event always stays."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total >= _MAX_REPLY_CHARS:
            return events[: count + 1]
    return events
