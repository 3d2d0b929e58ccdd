"""A damaged journal: what can be read of it is copied into a new one, and it stays beside it under another name."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from rpyc_kernel.core.contract import MAX_NUMBER, WireEvent
from rpyc_kernel.hub.journal.store import (
    Row,
    Start,
    Store,
    bear_damage,
    connect,
    index_of,
    is_damage,
    log_of,
    read_events,
    size_of,
)

_log = logging.getLogger(__name__)
_AT_ONCE = (1000, 100, 10, 1)
_AT_ONCE_CHARS = 4 * 1024 * 1024
_LEAST_EVENT_BYTES = 16

Read = Callable[[int, int, int], list[WireEvent]]
"""Reads events after a number: so many, or so many characters; raises what SQLite raises."""


def open_or_salvage(path: Path) -> tuple[Store, Start, str]:
    """Open a journal; of one that is damaged, what can be read of it, and what is to be told of that."""
    complete_interrupted(path)
    try:
        return *_begin(path), ""
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _log.error("the journal %s is damaged: %s", path, error)
        copy, last = salvage_unopened(path)
        aside = install(copy, path)
        store, start = _begin(path)
        message = f"the journal {path} is damaged ({error}); what can be read of it is kept{_name_aside(aside)}"
        return store, start._replace(last=max(start.last, last)), message


def _begin(path: Path) -> tuple[Store, Start]:
    store = Store(path)
    try:
        return store, store.read_start()
    except BaseException:
        store.close()
        raise


def tell_recovery(count: int, last: int, aside: Path | None) -> str:
    """What is to be told of a new file with so many of so many events."""
    return f"the journal is written again, with {count} of {last} events{_name_aside(aside)}"


def _name_aside(aside: Path | None) -> str:
    return "" if aside is None else f"; the file that was there is {aside.name} now"


def new_path_of(path: Path) -> Path:
    """Where the copy is made, until it is complete."""
    return path.with_name(f"{path.name}.new")


def complete_interrupted(path: Path) -> None:
    """Finish, or drop, what a hub that was killed meanwhile had begun."""
    new = new_path_of(path)
    if new.exists() and not path.exists():
        new.rename(path)
    _remove(new)


def salvage(path: Path, read: Read, last: int) -> Store:
    """Copy what can be read, with numbers up to ``last``, into a new journal at `new_path_of` the damaged one."""
    new = new_path_of(path)
    _remove(new)
    store = Store(new)
    try:
        cursor = 0
        while cursor < last:
            events = _read_on(read, cursor, last)
            if not events:
                break
            store.replace([_row_of(event) for event in events if event[0] <= last])
            cursor = events[-1][0]
        # Here, where nobody waits for it, rather than when the copy is closed to take its place.
        store.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        store.close()
        raise
    return store


def _read_on(read: Read, cursor: int, last: int) -> list[WireEvent]:
    """The next events that can be read; as one page holds many, whole stretches may be passed over."""
    for limit in _AT_ONCE:
        with contextlib.suppress(sqlite3.Error):
            return read(cursor, limit, _AT_ONCE_CHARS)
    unreadable, step = cursor, 1
    while unreadable + step < last:
        try:
            events = read(unreadable + step, 1, 0)
        except sqlite3.Error:
            unreadable, step = unreadable + step, step * 2
            continue
        readable = unreadable + step
        while readable - unreadable > 1:
            middle = (readable + unreadable) // 2
            try:
                events = read(middle, 1, 0)
                readable = middle
            except sqlite3.Error:
                unreadable = middle
        return events
    return []


def salvage_unopened(path: Path) -> tuple[Store, int]:
    """Copy what can be read of a journal that cannot be opened; and the number after which to go on."""
    with contextlib.closing(connect(path, 1.0)) as connection:
        bear_damage(connection)
        last = 0
        with contextlib.suppress(sqlite3.Error, TypeError):
            query = "SELECT seq FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
            last = connection.execute(query, (MAX_NUMBER,)).fetchone()[0]
        # No event is smaller than this: so no number is given out again, though nobody can tell how many there were.
        last = last or (size_of(path) + size_of(log_of(path))) // _LEAST_EVENT_BYTES
        store = salvage(path, lambda *what: read_events(connection, *what), last)
        for table in ("cursors", "recovery"):
            with contextlib.suppress(sqlite3.Error):
                rows = connection.execute(f"SELECT * FROM {table}").fetchall()
                marks = ", ".join("?" * len(rows[0])) if rows else ""
                store.writer.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
    return store, last


def install(store: Store, path: Path) -> Path | None:
    """Put a copy into the place of the damaged journal, which nobody has open; returns where that is now, if it was."""
    store.close()
    aside = _set_aside(path)
    store.path.rename(path)
    return aside


def _set_aside(path: Path) -> Path | None:
    moment = time.strftime("%Y%m%d-%H%M%S")
    names = [f"{path.stem}.damaged-{moment}{again}{path.suffix}" for again in ("", *(f"-{n}" for n in range(1, 100)))]
    aside = next(named for name in names if not (named := path.with_name(name)).exists())
    was_there = path.exists()
    for of in (lambda path: path, log_of, index_of):
        with contextlib.suppress(FileNotFoundError):
            of(path).rename(of(aside))
    return aside if was_there else None


def _remove(path: Path) -> None:
    for part in (path, log_of(path), index_of(path)):
        part.unlink(missing_ok=True)


def _row_of(event: WireEvent) -> Row:
    return (*event, None, None)
