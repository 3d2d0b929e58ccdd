"""What a hub writes down for whoever looks for the cause of trouble: a file that never grows beyond a bound.

Not `logging.handlers`, which imports a good part of the standard library, with it what unpickles, and leaves files of
other names behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(message)s"
_MAX_BYTES = 1024 * 1024


class BoundedLog(logging.FileHandler):
    """Writes to a file, and takes its older half away whenever it has become too large; what is in it already stays."""

    def __init__(self, path: Path, max_bytes: int = _MAX_BYTES) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._max_bytes = max_bytes
        self.setFormatter(logging.Formatter(_FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises, as who logs may be in the middle of what must be done."""
        super().emit(record)
        # There is no descriptor left, no file, or no room, which to ask for the place in the file shows as well, as
        # that first writes what could not be written: the next record tries again.
        with contextlib.suppress(OSError):
            if self.stream is not None and self.stream.tell() > self._max_bytes:
                self._shorten()

    def _shorten(self) -> None:
        with open(self.baseFilename, "r+b") as file:
            file.seek(-self._max_bytes // 2, os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            file.write(kept)
            file.truncate()


def write_log(path: Path, *, is_shown: bool = False) -> None:
    """Let everything that this process logs go to a file, and where it is shown to standard error, too."""
    shown = [logging.StreamHandler()] if is_shown else []
    logging.basicConfig(handlers=[BoundedLog(path), *shown], format=_FORMAT, level=logging.INFO)
