"""Bringing threads and connections to the point a test is about, and closing what it opened."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tests.support.processes import HAS_PROC, PROC
from tests.support.waiting import wait_until
from tests.wire.peers import Serving


@contextlib.contextmanager
def closing_all(*things: Any) -> Iterator[None]:
    """Close them all at the end, whatever state they are in."""
    try:
        yield
    finally:
        for thing in things:
            with contextlib.suppress(OSError, EOFError):
                thing.close()


def wait_until_blocked(serving: Serving) -> None:
    """Wait until the thread makes no progress any more: it waits for somebody else, and not for a processor."""
    last: list[Any] = []

    def is_still() -> bool:
        frame = sys._current_frames().get(serving.ident)
        place = None if frame is None or not _sleeps(serving.native_id) else (id(frame), frame.f_lasti)
        last.append(place)
        return len(last) > 5 and place is not None and last[-5:] == [place] * 5

    wait_until(is_still, what="a thread to block")


def _sleeps(native_id: int) -> bool:
    """Whether the system has the thread wait, as far as it tells."""
    try:
        stat = (PROC / "self" / "task" / str(native_id) / "stat").read_text(errors="replace")
    except OSError:
        return not HAS_PROC
    return stat.rpartition(")")[2].split()[0] == "S"
