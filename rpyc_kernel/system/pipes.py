"""Pipes: how much is in them."""

from __future__ import annotations

import fcntl
import sys
import termios


def pending_bytes(descriptor: int) -> int:
    """How many bytes wait to be read; 0 also where that cannot be said."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0
