"""Any journal, read and never written: of a kernel that runs, that was killed, or that is stopped.

Beside a long journal stands an index of what people handed in (`hub.journal.inputs` writes it). It is made of the
journal, always a little behind it, and may be missing: what it does not know is looked for among the events.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rpyc_kernel.core.contract import JOURNAL_VERSION, MAX_NUMBER, Event, Kind
from rpyc_kernel.core.payloads import has_texts, load_payload
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system.originals import json, time

JournalError = sqlite3.Error
"""What goes wrong when a journal is read."""
INDEX_VERSION = 1
GRAM = 3
"""The index of texts holds every sequence of so many characters."""

_BATCH = 1000
_PATIENCE_S = 2.0
_STEPS = 10_000
"""After so many steps of SQLite it is asked whether it takes too long."""
_MAX_GRAMS = 16
_BEYOND = 2**63 - 1
"""No event has as high a number."""
_Row = tuple[Any, ...]
_EVENTS = "SELECT seq, time, kind, execution, session, payload FROM events"


def index_path_of(journal: Path) -> Path:
    """Where the index of a journal's inputs stands, if there is one."""
    return journal.with_name(f"{journal.name}.index")


class JournalFile:
    """A journal on disk, read until a deadline at most; whatever is asked may raise `JournalError`.

    Where it ``is_live``, this process is the hub that writes it.
    """

    def __init__(self, path: Path, *, is_live: bool = False, deadline: float | None = None) -> None:
        self._path = path
        self._is_live = is_live
        self._deadline = deadline

    def events(self, since: int = 0) -> Iterator[Event]:
        """Yield what happened after an event, in order; a broken row takes no other away."""
        edge = max(0, min(since, _BEYOND))
        while True:
            with self._open() as journal:
                rows = journal.execute(f"{_EVENTS} WHERE seq > ? ORDER BY seq LIMIT ?", (edge, _BATCH)).fetchall()
            if not rows:
                return
            edge = rows[-1][0]
            yield from filter(None, map(_read, rows))

    def last(self) -> int:
        """The number of the newest event, 0 if there is none."""
        with self._open() as journal:
            return int(journal.execute("SELECT max(seq) FROM events").fetchone()[0] or 0)

    def inputs(self, pattern: str, limit: int) -> list[Event]:
        """Return the newest inputs with ``pattern`` in their code, newest first."""
        found: list[Event] = []
        with self._open() as journal:
            for row in _candidates(journal, pattern) if limit > 0 else ():
                event = _read(row)
                if event and _is_input(event) and pattern in event.payload["code"]:
                    found.append(event)
                    if len(found) == limit:
                        break
        return found

    def find(self, execution: int) -> int | None:
        """Return the number of the event that queued an execution, None if there is none."""
        if not 0 <= execution <= MAX_NUMBER:
            return None
        with self._open() as journal:
            done = _indexed(journal)
            asked = ["SELECT seq FROM inputs.queued WHERE execution = ?"] if done else []
            asked.append(f"SELECT seq FROM events WHERE execution = ? AND kind = '{Kind.QUEUED}' AND seq > {done}")
            for query in asked:
                if found := journal.execute(f"{query} ORDER BY seq LIMIT 1", (execution,)).fetchone():
                    return int(found[0])
        return None

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        left_s = _PATIENCE_S if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        uri = self._locate(self._path)
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=left_s)) as journal:
            if self._deadline is not None:
                journal.set_progress_handler(self._is_late, _STEPS)
            check_journal_version(self._path, int(journal.execute("PRAGMA user_version").fetchone()[0]))
            journal.text_factory = lambda data: data.decode("utf-8", "replace")  # or one bad row takes all away
            with contextlib.suppress(sqlite3.Error):
                journal.execute("ATTACH ? AS inputs", (self._locate(index_path_of(self._path)),))
            yield journal

    def _locate(self, path: Path) -> str:
        # "immutable" locks and writes nothing, whatever a hub that is just being started does there. But it leaves out
        # what a killed hub had written last: where there is such, SQLite makes the index of it anew.
        log = path.with_name(f"{path.name}-wal")
        is_settled = not self._is_live and not (log.exists() and log.stat().st_size)
        return f"{path.absolute().as_uri()}?{'mode=ro&immutable=1' if is_settled else 'mode=ro'}"

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline


def _indexed(journal: sqlite3.Connection) -> int:
    """Up to which event the index that is attached knows all; 0 if there is none, or none of this journal."""
    try:
        (version,) = journal.execute("PRAGMA inputs.user_version").fetchone() or (0,)
        if version != INDEX_VERSION:
            return 0
        return indexed(journal, "SELECT seq, time FROM inputs.progress", "events")
    except sqlite3.Error:
        return 0


def indexed(connection: sqlite3.Connection, progress: str, events: str) -> int:
    """Up to where an index goes, 0 where the journal was another one then: its event of that number differs."""
    done, when = connection.execute(progress).fetchone() or (0, None)
    there = connection.execute(f"SELECT time FROM {events} WHERE seq = ?", (done,)).fetchone()
    return int(done) if there == (when,) else 0


def _candidates(journal: sqlite3.Connection, pattern: str) -> Iterator[_Row]:
    """Yield rows of events that may be inputs with a pattern in them, newest first."""
    done = _indexed(journal)
    spelled = json.dumps(pattern)[1:-1]  # as a payload spells it; that it is there does not say that it is in the code
    yield from journal.execute(
        f"{_EVENTS} WHERE seq > ? AND kind = '{Kind.QUEUED}' AND instr(payload, ?) ORDER BY seq DESC", (done, spelled)
    )
    for (seq,) in _look_up(journal, pattern, spelled, done) if done else ():
        yield from journal.execute(f"{_EVENTS} WHERE seq = ?", (seq,))


def _look_up(journal: sqlite3.Connection, pattern: str, spelled: str, done: int) -> Iterator[tuple[int]]:
    try:
        pattern.encode()
    except UnicodeEncodeError:  # no code has it
        return iter(())
    if "\0" in pattern:
        pattern = spelled
    elif len(pattern) >= GRAM:
        grams = list(dict.fromkeys(pattern[i : i + GRAM] for i in range(len(pattern) - GRAM + 1)))[:_MAX_GRAMS]
        asked = " AND ".join('"{}"'.format(gram.replace('"', '""')) for gram in grams)
        # A SQLite without such an index has the texts themselves.
        with contextlib.suppress(sqlite3.OperationalError):
            return journal.execute(
                "SELECT rowid FROM inputs.grams WHERE grams MATCH ? AND rowid <= ? ORDER BY rowid DESC", (asked, done)
            )
    return journal.execute(
        "SELECT seq FROM inputs.codes WHERE instr(code, ?) AND seq <= ? ORDER BY seq DESC", (pattern, done)
    )


def _read(row: _Row) -> Event | None:
    seq, when, kind, execution, session, payload = row
    loaded = load_payload(payload)
    if loaded is None or not has_texts(kind, loaded):
        return None
    return Event(seq, when, kind, execution, session, loaded)


def _is_input(event: Event) -> bool:
    return event.kind == Kind.QUEUED and event.execution is not None and event.payload.get("is_input", True)


def check_journal_version(path: Path, version: int) -> None:
    """Raise `RequestError` where a later release wrote it."""
    if version > JOURNAL_VERSION:
        raise RequestError(
            f"the journal {path} is of version {version}, written by a later release; this one reads up to "
            f"{JOURNAL_VERSION}; use the later release"
        )
