"""The record of a kernel's life: every event with its number, kept on disk, readable from any point.

Events get their numbers in the order in which they are committed, without gaps or repetition. A reader says from where
it wants to read; what it has read is its own affair, so the journal need not know who reads, or how fast.

The end of the journal is also held in memory (`tail`), so that readers who keep up (`readers`) never touch the disk.
While the disk refuses, memory holds what could not be written (`trouble`), everybody is told, and writing is tried
again with every append and whenever `retry` is called.

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
from pathlib import Path
from typing import Any, TypeVar

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind, Scope, WireEvent
from rpyc_kernel.core.source import read_source
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.hub.journal import salvage
from rpyc_kernel.hub.journal.readers import Readers
from rpyc_kernel.hub.journal.rows import lost
from rpyc_kernel.hub.journal.store import Row, Snapshot, Start, Store, is_damage
from rpyc_kernel.hub.journal.tail import Tail, payload_of
from rpyc_kernel.hub.journal.trouble import Trouble
from rpyc_kernel.hub.journal.upkeep import Upkeep
from rpyc_kernel.system.journal_file import JournalFile

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_MAX_REPLY_CHARS = 1024 * 1024
_SNAPSHOT_EVENTS = 10_000
"""After so many events what is unfinished is written down again: a start reads no more of them."""
_FAR = 1000
"""So many events are looked through faster than the first of an execution is looked up."""


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
        self._store, start, told = _open(path)
        self._last, self._cursors = start.last, start.cursors
        self._saved_cursors = dict(self._cursors)
        self._written_down, self._recovery = start.written_down, start.recovery
        self._append_lock = threading.Lock()  # orders all that is written
        self._lock = threading.Lock()  # keeps the end in memory and its number together
        self._tail = Tail(max_memory_bytes)
        self._trouble = Trouble(path, max_unsaved_bytes)
        self._is_apart = False
        self._is_closed = False
        self._readers = Readers(self, present)
        self._file = JournalFile(path, is_live=True)  # read apart, so that nobody waits behind a search
        self._upkeep = Upkeep(
            path,
            hold=lambda: self._append_lock,
            is_troubled=lambda: self._trouble.message is not None,
            retry=self.retry,
            mend=self._mend,
            last=lambda: self._last,
        )
        self._upkeep.start()
        if told:
            self.append([Record(Kind.JOURNAL_TROUBLE, None, None, {"message": told})])

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
        return self._trouble.message

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
                from_ring = position is not None and not shown
                for seq, record in enumerate(to_save, self._last + len(shown) + 1):
                    event = seq, now, record.kind, record.execution, record.session, record.encoded
                    shown.append(event)
                    rows.append((*event, None, None))
                    self._recovery.take(seq, now, record.kind, record.execution, record.session, record.payload)
                if from_ring:
                    rows[-1] = (*event, generation, position)
                    self._recovery.take_ring(generation or 0, position or 0)
                to_save = self._save(rows)
            with self._lock:
                self._last += len(shown)
                self._tail.extend(shown, self._trouble.first_held)
            self._readers.tell(shown)

    def publish(self, *, even_quiet: bool = True) -> None:
        """Answer the readers for whom there is something new; `append` leaves that to the caller."""
        self._readers.publish(even_quiet=even_quiet)

    def retry(self) -> None:
        """Try again to write what the disk refused, if anything; so do `append` and `close`."""
        if self._trouble.message is None:
            return
        with self._append_lock:
            told = [] if self._is_closed else self._save([])
        self._announce(told)

    def _announce(self, told: list[Record]) -> None:
        if told:
            self.append(told)
            self.publish()

    def _save(self, rows: list[Row]) -> list[Record]:
        """Commit the rows and whatever waits; returns what everybody must be told."""
        trouble = self._trouble
        if self._is_apart or not trouble.may_try:
            trouble.hold(rows)
            return []
        try:
            self._commit([*trouble.held, *rows])
        except sqlite3.Error as error:
            trouble.hold(rows)
            if is_damage(error):
                self._upkeep.suspect(f"is damaged ({error})", is_sure=True)
            return trouble.begin(f"cannot be written ({error})")
        return trouble.end()

    def _commit(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        last = rows[-1][0]
        is_due = last - self._written_down >= _SNAPSHOT_EVENTS
        self._store.commit(rows, Snapshot(last, self._recovery.as_text()) if is_due else None)
        if is_due:
            self._written_down = last
        self._upkeep.count(sum(map(len, map(payload_of, rows))))

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
            told = self._trouble.begin(what)
            self._is_apart = True  # from here on nothing is written but by this
            written = (self._trouble.first_held or self._last + 1) - 1
        self._announce(told)
        with contextlib.closing(salvage.salvage(self._path, self._store.read, written)) as copy, self._append_lock:
            with self._lock:
                held = [(*event, None, None) for event in self._tail.events]
            copy.replace([*held, *self._trouble.held])
            copy.write_cursors(self._cursors)
            copy.commit([], Snapshot(self._last, self._recovery.as_text()))
            count = copy.count()
            self._store.close()
            aside = salvage.install(copy, self._path)
            self._store = Store(self._path)
            self._written_down = self._last
            self._is_apart = False
            self._upkeep.begin_anew()
            told = self._trouble.end(salvage.tell_recovery(count, self._last, aside))
        self._announce(told)

    # ------------------------------------------------------------------ reading

    def read(self, cursor: int, limit: int, wait_s: float, scope: str = Scope.ALL, session: str = "") -> Any:
        """Return events after ``cursor``, and the cursor to go on with; if there are none yet, a `Later` of that.

        Args:
            cursor: the number of the last event seen.
            limit: the most events to return; a reply also ends after about a million characters.
            wait_s: how long to wait when there is nothing new; the answer is then empty.
            scope: all events, or those of ``session`` and of nobody.
            session: whose events, with `Scope.SESSION`.
        """
        return self._readers.read(cursor, limit, wait_s, scope, session)

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
        if self.last - cursor > _FAR and (first := self.find(execution)) is not None:
            cursor = max(cursor, first - 1)  # what came before it need not be looked at
        return self._readers.follow(execution, cursor, wait_s, is_eager=is_eager)

    def after(self, cursor: int, limit: int) -> tuple[int, list[WireEvent]]:
        """Return events after ``cursor``, and the number up to which they go: what is lost is passed over.

        Raises:
            RequestError: the file cannot be read now.
        """
        while cursor < self._last:
            with self._lock:
                found = self._tail.after(cursor, limit, _MAX_REPLY_CHARS)
            if found is None:
                found = self._ask_disk(Store.read, cursor, limit, _MAX_REPLY_CHARS)
            if found:
                return found[-1][0], found
            with self._lock:  # a gap: what neither disk nor memory could hold
                first = self._tail.first or self._last + 1
            cursor = first - 1 if cursor < first - 1 else self._last
        return cursor, []

    def _ask_disk(self, ask: Callable[..., _T], *what: Any) -> _T:
        """Read from the file.

        Raises:
            ConnectionLost: it is closed, before who reads has come to its end.
            RequestError: it cannot be read now.
        """
        try:
            return ask(self._store, *what)
        except sqlite3.Error as error:
            if self._is_closed:
                raise ConnectionLost("the kernel has stopped") from None
            if "locked" not in str(error):
                self._upkeep.suspect(f"it cannot be read ({error})", is_sure=False)
            raise RequestError(
                f"the journal {self._path} cannot be read now ({error}); try again in a moment"
            ) from None

    def find(self, execution: int) -> int | None:
        """Return the number of an execution's first event, None if there is none.

        Raises:
            RequestError: the file cannot be read now.
        """
        held = [row[0] for row in list(self._trouble.held) if row[2:4] == (Kind.QUEUED, execution)]
        return held[0] if held else self._ask_disk(lambda _: self._file.find(execution))

    def history(self, pattern: str, limit: int) -> tuple[tuple[int, int, float, str, str], ...]:
        """Return (seq, execution, time, author, code) of the newest inputs with ``pattern`` in them, oldest first.

        Raises:
            RequestError: the file cannot be read now.
        """
        found = self._ask_disk(lambda _: self._file.inputs(pattern, limit))
        return tuple(
            (event.seq, event.execution or 0, event.time, event.payload["name"], event.payload["code"])
            for event in reversed(found)
        )

    # ------------------------------------------------------------------ cursors of sessions

    def cursor_of(self, session: str) -> int | None:
        """The last cursor a session acknowledged, None if it never did."""
        return self._cursors.get(session)

    def acknowledge(self, session: str, cursor: int) -> None:
        """Remember that a session has dealt with everything up to ``cursor``."""
        self._cursors[session] = cursor

    def look_after(self) -> None:
        """Do what is to be done about once a second."""
        self.save_cursors()
        self._upkeep.look()

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
        payloads = self._ask_disk(Store.payloads_of, [seq for seq, _ in unfinished.values()])
        queued = {number: payloads[seq] for number, (seq, _) in unfinished.items() if _is_whole(payloads.get(seq))}
        reason = lost("the record of what it is cannot be read")
        self.append([Record(Kind.FINISHED, n, of, reason) for n, (_, of) in unfinished.items() if n not in queued])
        return self._recovery.restored(queued)

    def ring_position(self, generation: int) -> int:
        """Up to where the ring of a generation is committed."""
        return self._recovery.ring_position(generation)

    # ------------------------------------------------------------------ the end

    def close_readers(self) -> None:
        """Answer every reader that waits; nobody waits from now on."""
        self._readers.close()

    def close(self) -> None:
        """Answer every reader that waits, and close the file."""
        with self._append_lock:
            self._is_closed = True
        self.close_readers()
        self._upkeep.stop()
        self.save_cursors()
        with self._append_lock:
            snapshot = Snapshot(self._last, self._recovery.as_text()) if self._last > self._written_down else None
            held = self._trouble.held
            try:
                self._store.commit(held, snapshot)
            except sqlite3.Error as error:
                if held:
                    _log.error("%d events are lost, the journal cannot be written: %s", len(held), error)
            self._store.close()


def _open(path: Path) -> tuple[Store, Start, str]:
    """Open the file, or what can be read of it, and say what everybody is to be told of that."""
    try:
        return salvage.open_or_salvage(path)
    except (sqlite3.Error, OSError) as error:
        remedy = "; end the program that uses it, or wait until it is done" if "locked" in str(error) else ""
        raise RequestError(f"the journal {path} cannot be used: {error}{remedy}") from None


def _is_whole(queued: dict[str, Any] | None) -> bool:
    """Whether a payload says all that is needed to run an execution."""
    if queued is None:
        return False
    try:
        read_source(queued.get("source"))
    except RequestError:
        return False
    return isinstance(queued.get("code"), str) and {"lane", "stop_on_error", "call"} <= queued.keys()
