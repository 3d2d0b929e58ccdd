"""Ports for those who must be told one before they listen, while other tests of the same run open ports too.

What asks the system for any free port and gives it back for another process to take may find it taken by then, for the
system gives it to the next who asks. These lie below the range that the system gives out by itself, and each process
of a run has its own.
"""

import itertools
import os
import socket
from collections.abc import Iterator

_FIRST = 20_000
_EACH = 500
_RANGES = 25  # more processes than that share one
_worker = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
_numbers = itertools.cycle(range(_FIRST + _EACH * (_worker % _RANGES), _FIRST + _EACH * (_worker % _RANGES + 1)))


def set_aside(count: int) -> list[int]:
    """Some of this process's ports, for a process it starts."""
    return list(itertools.islice(_numbers, count))


def find_port(host: str = "127.0.0.1", numbers: Iterator[int] = _numbers) -> int:
    """A port of this process's, or of these, that nobody listens on."""
    while True:
        port = next(numbers)
        try:
            socket.create_server((host, port)).close()
        except OSError:
            continue
        return port
