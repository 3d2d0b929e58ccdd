"""How a terminal is set: whether it shows what is typed, and hands it over line by line."""

from __future__ import annotations

import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCAL = 3

Modes = list[Any]


def read_modes(descriptor: int) -> Modes:
    """How the terminal is set now."""
    return termios.tcgetattr(descriptor)


def set_modes(descriptor: int, modes: Modes) -> None:
    """Set the terminal so, at once."""
    termios.tcsetattr(descriptor, termios.TCSANOW, modes)


@contextmanager
def kept(descriptor: int) -> Iterator[Modes]:
    """Set the terminal as before when the block is over; yields how it was."""
    before = read_modes(descriptor)
    try:
        yield before
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def unseen(descriptor: int) -> Iterator[None]:
    """Show nothing of what is typed but the end of the line."""
    with kept(descriptor) as before:
        hidden = before.copy()
        hidden[_LOCAL] &= ~termios.ECHO
        hidden[_LOCAL] |= termios.ECHONL
        termios.tcsetattr(descriptor, termios.TCSADRAIN, hidden)
        yield
