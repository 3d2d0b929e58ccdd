"""What a hub is about to write into a journal: should it die before, who reads the journal next finds it here.

It holds one batch of rows, over the one before, each written in one call into the system's memory, which outlives the
process as SQLite's own log does, at a tenth of the price.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from rpyc_kernel.core.json_text import make_encoder
from rpyc_kernel.system.originals import json

_HEADER = struct.Struct("!II")
_MAX_CHARS = 16_000
"""Of more than that, writing twice would cost more than waiting."""
_FIELDS = 8
_encode = make_encoder(json)
Row = tuple[Any, ...]


class RedoFile:
    """The hub's end.

    Args:
        journal: the journal that it stands beside.
    """

    def __init__(self, journal: Path) -> None:
        self._path = _path_of(journal)
        self._descriptor: int | None = None

    def note(self, rows: Sequence[Row]) -> bool:
        """Note what is about to be written; False where it is too much, or the disk refuses."""
        if sum(len(row[5]) for row in rows) > _MAX_CHARS:
            return False
        data = _encode(rows).encode("ascii")
        data = _HEADER.pack(len(data), crc32(data)) + data
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            return os.pwrite(self._descriptor, data, 0) == len(data)
        except OSError:
            return False

    def close(self, *, is_needed: bool = False) -> None:
        """Let go of the file, and remove it unless it is still needed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if not is_needed:
            with contextlib.suppress(OSError):
                self._path.unlink()


def read_redo(journal: Path, last: int) -> list[Row]:
    """Return the rows that follow the last one of a journal, if a hub died before it wrote them there."""
    try:
        data = _path_of(journal).read_bytes()
        length, check = _HEADER.unpack_from(data)
        body = data[_HEADER.size : _HEADER.size + length]
        rows = [tuple(row) for row in json.loads(body)] if crc32(body) == check else []
    except (OSError, ValueError, TypeError, struct.error):
        return []
    is_next = [row[0] for row in rows] == list(range(last + 1, last + 1 + len(rows)))
    return rows if is_next and all(len(row) == _FIELDS for row in rows) else []


def _path_of(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.redo")
