"""The index of a long journal: which event queued an execution, and the text of what people handed in.

It stands in a file of its own, so that no commit waits for it or pays for it, and is written now and then by who looks
after the journal. All in it is made of the journal: a file that is missing, damaged, of another release or of another
journal is simply made anew, each step in one transaction with how far it came.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub.journal.store import connect, index_of, is_damage, log_of
from rpyc_kernel.system.journal_file import INDEX_VERSION, index_path_of, indexed

_log = logging.getLogger(__name__)
_WORTH_EVENTS = 10_000
"""As many are looked through in a moment; a journal that is no longer has no index."""
_STEP_EVENTS = 10_000

# A text inside JSON never holds an unescaped quotation mark, so that a key is found as a key and nowhere else. What is
# no JSON to SQLite, or would end at a null character, stands there as the payload spells it.
_IS_NO_INPUT = """instr(payload, '"is_input":false')"""
_CODE = r"""CASE WHEN NOT instr(payload, '\u0000') AND json_valid(payload) AND json_type(payload, '$.code') IS 'text'
    THEN json_extract(payload, '$.code') ELSE CAST(payload AS TEXT) END"""
_NEW = f"FROM journal.events WHERE seq > ? AND seq <= ? AND kind = '{Kind.QUEUED}'"
_SCHEMA = (
    "CREATE TABLE queued (execution INTEGER PRIMARY KEY, seq INTEGER NOT NULL)",
    "CREATE TABLE codes (seq INTEGER PRIMARY KEY, code TEXT NOT NULL)",
    "CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, time REAL NOT NULL)",
    f"PRAGMA user_version={INDEX_VERSION}",
)
_GRAMS = (
    "CREATE VIRTUAL TABLE grams USING fts5"
    "(code, content='', tokenize='trigram case_sensitive 1', detail=none, columnsize=0)"
)


class InputsIndex:
    """Writes the index of one journal; for one thread.

    Args:
        journal: the journal's file.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = index_path_of(journal)
        self._connection: sqlite3.Connection | None = None
        self._has_grams = False
        self._done = 0

    def catch_up(self, last: int) -> bool:
        """Take in some of what is new, where it is worth it; whether there is more.

        Raises:
            sqlite3.Error: it cannot be written now.
        """
        if last - self._done < _WORTH_EVENTS:
            return False
        try:
            if self._connection is not None and not self._path.exists():
                self.close()
            is_more = self._step(self._connection or self._open())
        except sqlite3.Error as error:
            self.close()
            if is_damage(error):
                _log.warning("the index of the journal %s is made anew: %s", self._journal, error)
                self._remove()
            raise
        return is_more and last - self._done >= _WORTH_EVENTS

    def _open(self) -> sqlite3.Connection:
        with contextlib.ExitStack() as opened:
            connection = connect(self._path, 1.0, creates=True)
            opened.callback(connection.close)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("ATTACH ? AS journal", (f"{self._journal.absolute().as_uri()}?mode=ro",))
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            done = 0
            if version == INDEX_VERSION:
                done = indexed(connection, "SELECT seq, time FROM progress", "journal.events")
            if version and not done and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                opened.close()
                self._remove()
                return self._open()
            if not version:
                _make(connection)
            self._has_grams = bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'grams'").fetchone())
            self._connection, self._done = connection, done
            opened.pop_all()
        return connection

    def _step(self, connection: sqlite3.Connection) -> bool:
        with _transaction(connection):
            end, when = connection.execute(
                "SELECT seq, time FROM (SELECT seq, time FROM journal.events WHERE seq > ? ORDER BY seq LIMIT ?) "
                "ORDER BY seq DESC LIMIT 1",
                (self._done, _STEP_EVENTS),
            ).fetchone() or (self._done, None)
            if when is not None:
                step = self._done, end
                is_number = "typeof(execution) = 'integer'"
                connection.execute(f"INSERT OR IGNORE INTO queued SELECT execution, seq {_NEW} AND {is_number}", step)
                connection.execute(f"INSERT INTO codes SELECT seq, {_CODE} {_NEW} AND NOT {_IS_NO_INPUT}", step)
                if self._has_grams:
                    connection.execute("INSERT INTO grams (rowid, code) SELECT * FROM codes WHERE seq > ?", step[:1])
                connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?)", (end, when))
        self._done = end
        return when is not None

    def _remove(self) -> None:
        for part in (self._path, log_of(self._path), index_of(self._path)):
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection, self._done = self._connection, None, 0
        if connection is not None:
            connection.close()


def _make(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        for statement in _SCHEMA:
            connection.execute(statement)
        with contextlib.suppress(sqlite3.OperationalError):  # this SQLite has none; the texts are there
            connection.execute(_GRAMS)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
