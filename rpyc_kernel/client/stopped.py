"""What was run in kernels that are stopped, read from the journals they left."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Collection
from pathlib import Path

from rpyc_kernel.client.kernel import Past
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.settings import Folders

_MAX_KERNELS = 8
_PATIENCE_S = 0.3
_STEPS = 10_000
"""After so many steps of SQLite it is asked whether it takes too long."""


def recall_stopped(running: Collection[str], *, limit: int) -> list[Past]:
    """Return the newest inputs of stopped kernels; of a journal that cannot be read in a moment, none.

    Args:
        running: names of kernels to leave out.
        limit: how many at most of each kernel.
    """
    journals = list(Folders.from_environment().state.glob("*/journal.sqlite"))
    left = [path for path in journals if path.parent.name not in running]
    found: list[Past] = []
    for path in sorted(left, key=_read_age)[:_MAX_KERNELS]:
        with contextlib.suppress(sqlite3.Error, ValueError, KeyError, TypeError):
            found += _read(path, limit)
    return found


def _read_age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path, limit: int) -> list[Past]:
    # immutable: nothing is locked or written, whatever a hub that is just being started does there.
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as journal:
        deadline = time.monotonic() + _PATIENCE_S
        journal.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        rows = journal.execute(
            "SELECT seq, execution, time, payload FROM events WHERE kind = ? AND "
            "json_extract(payload, '$.call') IS NULL AND json_extract(payload, '$.is_input') IS NOT 0 "
            "ORDER BY seq DESC LIMIT ?",
            (Kind.QUEUED, limit),
        ).fetchall()
    loaded = [(seq, execution, when, json.loads(payload)) for seq, execution, when, payload in reversed(rows)]
    return [Past(seq, number, when, str(queued["name"]), str(queued["code"])) for seq, number, when, queued in loaded]
