"""Bringing threads and connections to the point a test is about, and closing what it opened."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

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
    """Wait until the thread makes no progress any more: it waits for somebody else."""
    last: list[Any] = []

    def is_still() -> bool:
        frame = sys._current_frames().get(serving.ident)
        place = None if frame is None else (id(frame), frame.f_lasti)
        last.append(place)
        return len(last) > 5 and place is not None and last[-5:] == [place] * 5

    wait_until(is_still, what="a thread to block")
