"""Strangers who come to a port, as many as go: some stay, some go at once, and none has a key."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

_THREADS = 4
"""Each comes from an address of its own where the system has several."""
_HELD = 200
_LIMIT_S = 0.2
"""Where nobody is let in for now, the next one is tried."""
OPENINGS = (
    b"",
    b"R",
    b"RPYK\2\1\0\0" + bytes(range(40)),  # a whole hello, of a key that is not there
    bytes(range(200)),
    b"\x16\x03\x01\x02\x00\x01",  # as TLS begins, and goes no further
    b"\x16\x03\x01\x00\xc8" + bytes(200),
)


class Flood:
    """Callers from now until `end`.

    Attributes:
        counts: how many have come from each address.
    """

    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place
        self._is_over = threading.Event()
        self.counts = [0] * _THREADS
        self._threads = [threading.Thread(target=self._pour, args=[number]) for number in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def _pour(self, number: int) -> None:
        chance = random.Random(number)
        source = f"127.0.0.{number + 2}" if sys.platform == "linux" else "127.0.0.1"
        with ExitStack() as held:
            while not self._is_over.is_set():
                sock = socket.socket()
                sock.settimeout(_LIMIT_S)
                with suppress(OSError):
                    sock.bind((source, 0))
                    sock.connect(self._place)
                    sock.sendall(chance.choice(OPENINGS))
                    self.counts[number] += 1
                if chance.random() < 0.05 and self.counts[number] < _HELD:
                    held.enter_context(sock)
                else:
                    sock.close()

    def end(self) -> None:
        """Have them all go."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def flooding(place: tuple[str, int]) -> Iterator[Flood]:
    """Strangers at this place, who all go at the end."""
    flood = Flood(place)
    try:
        yield flood
    finally:
        flood.end()
