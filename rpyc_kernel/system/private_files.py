"""Files that only this user can read. Each is replaced in one step: nobody ever reads half of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_private(path: Path, data: bytes, *, is_lasting: bool = False) -> None:
    """Write one; raises `OSError`, and leaves what was there then.

    Args:
        path: where it stands, with a suffix of its own: what is written first has ``.new`` instead.
        data: all that it holds.
        is_lasting: whether it is on the disk itself when this returns.
    """
    fresh = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            if is_lasting:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
    if is_lasting:
        with contextlib.suppress(OSError):  # some file systems put no folders on the disk when asked
            _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put on the disk which files there are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
