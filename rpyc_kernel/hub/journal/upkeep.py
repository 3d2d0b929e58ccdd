"""Looks after the journal's file while the kernel runs, beside the commits instead of inside them.

SQLite's log is moved into the file: in a flood whenever it has grown long, so that it stays bounded, and in every
quiet moment, so that all is in the file when a hub is killed. The file is looked at: nobody else is to write to it, to
replace or to remove it. What a disk refused is written as soon as it may be. The thread has no clock of its own: once a
second it is woken if there is something to do, so that a hub that does nothing has one clock.

Left to SQLite, every few megabytes some commit would copy pages and wait for the disk, and everybody with it; and as
SQLite never makes writers wait, its log would grow as long as they write.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from rpyc_kernel.hub.journal.inputs import InputsIndex
from rpyc_kernel.hub.journal.store import connect, find_damage, index_of, log_of, size_of

_log = logging.getLogger(__name__)
_LONG_LOG_BYTES = 8 * 1024 * 1024
_SHORT_LOG_BYTES = 1024 * 1024
_MAX_ROUNDS = 3
_COMMIT_BYTES = 2 * 4096


class Upkeep:
    """A thread with a connection of its own.

    Args:
        path: the journal's file.
        hold: keeps everybody from writing.
        is_troubled: whether the disk has refused something.
        retry: writes it.
        mend: called with what is wrong with the file, again and again until `begin_anew` is.
        last: the number of the newest event.
    """

    def __init__(
        self,
        path: Path,
        *,
        hold: Callable[[], AbstractContextManager[object]],
        is_troubled: Callable[[], bool],
        retry: Callable[[], None],
        mend: Callable[[str], None],
        last: Callable[[], int],
    ) -> None:
        self._path = path
        self._hold = hold
        self._is_troubled = is_troubled
        self._retry = retry
        self._mend = mend
        self._last = last
        self._inputs = InputsIndex(path)
        self._unmoved_bytes = 0
        self._seen_bytes = 0
        self._is_due = threading.Event()
        self._is_stopped = False
        self._suspicion: str | None = None
        self._damage: str | None = None
        self._complaints: dict[str, str] = {}
        self._watch = FileWatch(path)
        self._thread = threading.Thread(target=self._run, name="journal-upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def count(self, chars: int) -> None:
        """So much was committed, once."""
        self._unmoved_bytes += chars + _COMMIT_BYTES
        if self._unmoved_bytes >= _LONG_LOG_BYTES:
            self._is_due.set()

    def suspect(self, what: str, *, is_sure: bool) -> None:
        """Something was seen that says the file is damaged, or that it may be."""
        if is_sure:
            self._damage = what
        else:
            self._suspicion = what
        self._is_due.set()

    def look(self) -> None:
        """Have the thread do what there is to do, if anything; called about once a second."""
        if self._unmoved_bytes or self._damage or self._suspicion or self._is_troubled() or self._watch.is_touched:
            self._is_due.set()

    def begin_anew(self) -> None:
        """The file is another one now, and sound."""
        self._damage = self._suspicion = None
        self._unmoved_bytes = 0
        self._watch = FileWatch(self._path)
        self._inputs.close()

    def stop(self) -> None:
        """End the thread. What is still in the log, SQLite moves when the last connection is closed."""
        self._is_stopped = True
        self._is_due.set()
        if self._thread.is_alive():
            self._thread.join()

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            if self._is_stopped:
                self._inputs.close()
                return
            try:
                self._look_after()
            except Exception:  # noqa: BLE001 - the top of a thread; the next round may find things in order
                _log.exception("the journal %s could not be looked after", self._path)

    def _look_after(self) -> None:
        if self._damage is None:
            self._damage = self._find_damage()
        if self._damage is not None:
            self._mend(self._damage)
            return
        self._retry()
        unmoved, seen = self._unmoved_bytes, self._seen_bytes
        self._seen_bytes = unmoved
        if unmoved >= _LONG_LOG_BYTES or (unmoved and unmoved == seen):
            with self._complaining("the journal's log cannot be moved into its file now"):
                self._move()
        with self._complaining("the index of the journal's inputs cannot be written now"):
            if self._inputs.catch_up(self._last()):
                self._is_due.set()

    @contextlib.contextmanager
    def _complaining(self, what: str) -> Iterator[None]:
        """Log once what is tried again and again."""
        try:
            yield
            self._complaints.pop(what, None)
        except sqlite3.Error as error:
            if self._complaints.get(what) != str(error):
                _log.warning("%s: %s", what, error)
            self._complaints[what] = str(error)

    def _find_damage(self) -> str | None:
        gone = self._watch.find_loss()
        if gone is not None:
            return gone
        suspicion, self._suspicion = self._suspicion, None
        if suspicion is None and not self._watch.is_changed:
            return None
        _log.warning("the journal %s is looked through: %s", self._path, suspicion or "another program wrote to it")
        try:
            found = find_damage(self._path)
        except sqlite3.OperationalError as error:
            _log.warning("the journal %s cannot be looked through now: %s", self._path, error)
            self._suspicion = suspicion or "another program wrote to it"
            return None
        self._watch.take_note()
        return None if found is None else f"is damaged ({found})"

    def _move(self) -> None:
        """Move the log into the file, and begin it anew."""
        with contextlib.closing(connect(self._path, 0)) as connection:
            for _ in range(_MAX_ROUNDS):
                # Nobody waits for this; but what is written meanwhile remains.
                before = self._unmoved_bytes
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                if self._unmoved_bytes - before < _SHORT_LOG_BYTES:
                    break
            with self._hold():
                is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._watch.take_note()
                # Somebody may be reading from the log: then it is tried again.
                self._unmoved_bytes = self._seen_bytes = max(1, size_of(log_of(self._path))) if is_busy else 0


class FileWatch:
    """Sees what others do to the files of a journal, which only this process has to write.

    Args:
        path: the journal, open and sound.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identities = {part: _identity_of(part) for part in (path, log_of(path), index_of(path))}
        self.take_note()

    def take_note(self) -> None:
        """What the file is like now is as it should be."""
        self._state = _state_of(self._path)
        self._log_bytes = size_of(log_of(self._path))

    @property
    def is_touched(self) -> bool:
        """Whether there is anything to find by the others; changes nothing."""
        is_cut = size_of(log_of(self._path)) < self._log_bytes
        return is_cut or _state_of(self._path) != self._state or self.find_loss() is not None

    @property
    def is_changed(self) -> bool:
        """Whether the file was written, or its log cut, since `take_note`: the log only grows between two of them."""
        before, self._log_bytes = self._log_bytes, size_of(log_of(self._path))
        return self._log_bytes < before or _state_of(self._path) != self._state

    def find_loss(self) -> str | None:
        """What has happened to the files themselves, None if nothing has."""
        for part, identity in self._identities.items():
            now = _identity_of(part)
            if identity is not None and now != identity:
                what = "was removed" if now is None else "was replaced"
                return what if part == self._path else f"is damaged ({part.name} {what})"
        if self._state is not None and size_of(self._path) < self._state[0]:
            return "was cut short"
        return None


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
