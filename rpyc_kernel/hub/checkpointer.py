"""Moves what was committed from SQLite's log into the journal's file, beside the commits instead of inside them.

Left to SQLite, every few megabytes some commit would copy pages and wait for the disk, and everybody with it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

_log = logging.getLogger(__name__)
_AFTER_CHARS = 8 * 1024 * 1024
_PAUSE_S = 0.5


class Checkpointer:
    """A thread with a connection of its own.

    Args:
        path: the journal's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chars = 0
        self._is_due = threading.Event()
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
        self._thread.start()

    def count(self, chars: int) -> None:
        """So much was committed."""
        self._chars += chars
        if self._chars >= _AFTER_CHARS:
            self._chars = 0
            self._is_due.set()

    def stop(self) -> None:
        """End the thread. What is still in the log, SQLite moves when the last connection is closed."""
        self._is_stopped.set()
        self._is_due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._is_due.wait()
            self._is_due.clear()
            if self._is_stopped.is_set():
                return
            try:
                connection = sqlite3.connect(self._path, isolation_level=None, timeout=5)
                try:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                finally:
                    connection.close()
            except sqlite3.Error as error:
                _log.warning("the journal's log cannot be moved into its file now: %s", error)
            self._is_stopped.wait(_PAUSE_S)
