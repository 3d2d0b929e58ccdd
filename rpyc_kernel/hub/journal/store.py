"""The journal's file: a SQLite database, written by one connection and read by others. Whoever calls sees to errors.

It must never be opened in this process but by SQLite: closing any descriptor of a file gives up all locks on it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rpyc_kernel.core.contract import JOURNAL_VERSION, MAX_NUMBER, Kind, WireEvent
from rpyc_kernel.core.payloads import load_payload
from rpyc_kernel.errors import RequestError
from rpyc_kernel.hub.journal.recovery import CONCERNING, TELLING, Recovery
from rpyc_kernel.hub.journal.rows import IS_WHOLE, check_row
from rpyc_kernel.system.journal_file import check_journal_version
from rpyc_kernel.system.kernel_folder import make_folders

_OPENING_S = 5.0
_PATIENCE_MS = 50
"""How long another program's lock is waited for: many wait with whoever writes, and what is not written is held."""

# No index: it would cost every commit a page more; see `inputs`. What a hub that starts asks stands in `recovery`.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, execution INTEGER, session TEXT,
    payload TEXT NOT NULL, generation INTEGER, ring INTEGER
);
CREATE TABLE IF NOT EXISTS cursors (session TEXT PRIMARY KEY, cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS recovery (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, state TEXT NOT NULL);
"""
_COLUMNS = ("seq", "time", "kind", "execution", "session", "payload", "generation", "ring")
_TABLES = frozenset({"events", "cursors", "recovery"})
_INSERT = f"INSERT INTO events ({', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_AT_ONCE = 4
_INSERTS = [_INSERT + ", (?, ?, ?, ?, ?, ?, ?, ?)" * (count - 1) for count in range(_AT_ONCE + 1)]
_EVENTS = f"SELECT seq, time, kind, execution, session, payload, {IS_WHOLE} FROM events"

_ENOUGH = 100

Row = tuple[int, float, str, "int | None", "str | None", str, "int | None", "int | None"]


class Snapshot(NamedTuple):
    """What is unfinished, after the event of this number."""

    seq: int
    state: str


class Start(NamedTuple):
    """What a journal begins with: its last number, sessions' cursors, and what is unfinished."""

    last: int
    cursors: dict[str, int]
    written_down: int
    recovery: Recovery


class Store:
    """An open journal.

    Args:
        path: the file; its folder is made.

    Raises:
        RequestError: a later release wrote it, or something else did.
        sqlite3.Error: it cannot be opened, or is no journal.
        OSError: its folder cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_closed = False
        make_folders(path.parent)
        with contextlib.ExitStack() as opened:
            self.writer = self._connect(opened)
            version = int(self.writer.execute("PRAGMA user_version").fetchone()[0])
            check_journal_version(path, version)
            _check_is_journal(self.writer, path)
            _configure(self.writer)
            self.writer.executescript(_SCHEMA)  # which adds what journals of before have not
            if version != JOURNAL_VERSION:
                self.writer.execute(f"PRAGMA user_version={JOURNAL_VERSION}")
            self.reader = self._connect(opened)
            _configure(self.reader)
            self.last: int = self.writer.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
            if self.last > MAX_NUMBER:
                raise sqlite3.DatabaseError(_tell_number(self.last))
            for connection in (self.writer, self.reader):
                connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
            self._opened = opened.pop_all()
        self._reader_lock = threading.Lock()

    def _connect(self, opened: contextlib.ExitStack) -> sqlite3.Connection:
        connection = connect(self.path, _OPENING_S, creates=True)
        opened.callback(connection.close)
        return connection

    # ------------------------------------------------------------------ writing; the caller sees that one thread does

    def commit(self, rows: Sequence[Row], snapshot: Snapshot | None = None) -> None:
        """Write events, in one transaction with what is unfinished after them."""
        writer = self.writer
        if not rows and snapshot is None:
            return
        if snapshot is None and len(rows) <= _AT_ONCE:
            # One statement is a transaction by itself, and saves two calls.
            writer.execute(_INSERTS[len(rows)], list(itertools.chain.from_iterable(rows)))
            return
        try:
            writer.execute("BEGIN IMMEDIATE")
            writer.executemany(_INSERT, rows)
            if snapshot is not None:
                writer.execute("INSERT OR REPLACE INTO recovery VALUES (1, ?, ?)", snapshot)
            writer.execute("COMMIT")
        except BaseException:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def replace(self, rows: Sequence[Row]) -> None:
        """Write events, over what stands under their numbers."""
        self.writer.execute("BEGIN IMMEDIATE")
        self.writer.executemany(_INSERT.replace("INSERT", "INSERT OR REPLACE"), rows)
        self.writer.execute("COMMIT")

    def write_cursors(self, cursors: dict[str, int]) -> None:
        """Write how far sessions have dealt with events."""
        self.writer.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?)", list(cursors.items()))

    def close(self) -> None:
        """Close the file; what is in its log is moved into it."""
        with self._reader_lock:
            self._opened.close()
        self.is_closed = True

    # ------------------------------------------------------------------ reading; by any thread

    def read(self, cursor: int, limit: int, max_chars: int) -> list[WireEvent]:
        """Return events after ``cursor``, so many, or until they have so many characters."""
        with self._reader_lock:
            return read_events(self.reader, cursor, limit, max_chars)

    def payloads_of(self, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """The payloads of the events of these numbers; of those that cannot be read, none."""
        found = {}
        for number in numbers:
            for event in self.read(number - 1, 1, 0):
                payload = load_payload(event[5])
                if event[0] == number and event[2] == Kind.QUEUED and payload is not None:
                    found[number] = payload
        return found

    def read_start(self) -> Start:
        """How far sessions had dealt with events, what is unfinished, and up to which event that is written down."""
        with self._reader_lock, _whatever_text(self.reader):
            after, recovery = 0, Recovery()
            row = self.reader.execute("SELECT seq, state FROM recovery WHERE seq <= ?", (self.last,)).fetchone()
            if row:
                with contextlib.suppress(ValueError):
                    after, recovery = row[0], Recovery.from_text(row[1])
            edge = after or self._skip_settled(recovery)
            concerning = f"kind IN ({_quote(CONCERNING)}) OR ring IS NOT NULL"
            self._follow(recovery, f"seq > ? AND ({concerning}) ORDER BY seq", edge)
            cursors = dict(self.reader.execute("SELECT session, cursor FROM cursors"))
        return Start(self.last, cursors, after, recovery)

    def _skip_settled(self, recovery: Recovery) -> int:
        """Of a journal in which nothing is written down, pass over what the last clean stop has settled.

        Numbers go up, so that the newest of each kind tell what must not be given out again; some may be damaged.
        """
        stopped = f"SELECT seq FROM events WHERE kind = '{Kind.HUB_STOPPED}' ORDER BY seq DESC LIMIT 1"
        after, *_ = self.reader.execute(stopped).fetchone() or (0,)
        workers = _quote((Kind.WORKER_STARTED, Kind.WORKER_DIED))
        for asked in (f"kind = '{Kind.QUEUED}'", f"kind IN ({workers})", "ring IS NOT NULL", "seq > 0"):
            newest = f"SELECT seq FROM events WHERE seq <= ? AND {asked} ORDER BY seq DESC LIMIT {_ENOUGH}"
            self._follow(recovery, f"seq IN ({newest}) ORDER BY seq", after)
        return int(after)

    def _follow(self, recovery: Recovery, which: str, edge: int) -> None:
        rows = self.reader.execute(
            f"SELECT seq, time, kind, execution, session, CASE WHEN kind IN ({_quote(TELLING)}) THEN payload END, "
            f"generation, ring FROM events WHERE {which}",
            (edge,),
        )
        with contextlib.closing(rows):
            recovery.follow(rows, load_payload)

    def count(self) -> int:
        """How many events there are."""
        return int(self.writer.execute("SELECT count(*) FROM events").fetchone()[0])


def connect(path: Path, timeout_s: float, *, creates: bool = False) -> sqlite3.Connection:
    """Open a database; what is written is committed at once."""
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if creates else 'rw'}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=timeout_s)


def bear_damage(connection: sqlite3.Connection) -> None:
    """Let a connection read what there is of a file that SQLite would refuse as a whole."""
    # Made for those who repair a schema: with it, a page that is missing is an error where it is needed only.
    connection.execute("PRAGMA writable_schema=ON")


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # see `upkeep`


def _check_is_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse the database of another program, before anything in it is changed."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    columns = {name: is_key for _, name, _, _, _, is_key in connection.execute("PRAGMA table_info(events)")}
    is_empty = tables <= _TABLES - {"events"}
    if not is_empty and not (columns.keys() >= set(_COLUMNS) and columns["seq"]):
        raise RequestError(
            f"the journal {path} cannot be used: it is a database of another program; move it away, "
            "or choose another name for the kernel"
        )


def _quote(kinds: Iterable[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


def _tell_number(number: int) -> str:
    return f"event {number} is none of a kernel"


def read_events(connection: sqlite3.Connection, cursor: int, limit: int, max_chars: int) -> list[WireEvent]:
    """Read events after ``cursor``, so many, or until they have so many characters; what is damaged says so."""
    try:
        return list(_iterate(connection, cursor, limit, max_chars))
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    with _whatever_text(connection):
        return list(_iterate(connection, cursor, limit, max_chars))


@contextlib.contextmanager
def _whatever_text(connection: sqlite3.Connection) -> Iterator[None]:
    """Read text that is none as well; for much of it, this is slow."""
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        yield
    finally:
        connection.text_factory = str


def _iterate(connection: sqlite3.Connection, cursor: int, limit: int, max_chars: int) -> Iterator[WireEvent]:
    rows = connection.execute(f"{_EVENTS} WHERE seq > ? ORDER BY seq LIMIT ?", (cursor, limit))
    with contextlib.closing(rows):
        chars = 0
        for row in rows:
            event = check_row(row)
            chars += len(event[5])
            yield event
            if chars >= max_chars:
                return


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is not what it was, rather than that it cannot be used at the moment."""
    # Python raises these two very classes where SQLite says that a database is malformed or none, or where a number
    # that was never given out is there already. What our own statements ask for was there when the file was opened.
    is_malformed = type(error) in (sqlite3.DatabaseError, sqlite3.IntegrityError)
    return is_malformed or str(error).startswith("no such ") or "has no column named" in str(error)


def find_damage(path: Path) -> str | None:
    """Look through a whole journal as it is on disk; what is wrong with it, None if nothing is.

    Raises:
        sqlite3.OperationalError: it cannot be looked at now.
    """
    with contextlib.closing(connect(path, 1.0)) as connection:
        try:
            query = "SELECT quick_check FROM pragma_quick_check(1) WHERE quick_check <> 'ok'"
            found = connection.execute(query).fetchone()
            if found:
                return " ".join(str(found[0]).split())
            count = connection.execute("SELECT count(*) FROM events WHERE NOT json_valid(payload)").fetchone()[0]
            last = connection.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise
            return str(error)  # such as a file that is shorter than it says
        except sqlite3.DatabaseError as error:
            return str(error)
    if last > MAX_NUMBER:
        return _tell_number(last)
    return f"{count} events cannot be read" if count else None


def log_of(path: Path) -> Path:
    """SQLite's log beside a database."""
    return path.with_name(f"{path.name}-wal")


def index_of(path: Path) -> Path:
    """The index of the log, shared memory in a file."""
    return path.with_name(f"{path.name}-shm")


def size_of(path: Path) -> int:
    """The size of a file in bytes, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
