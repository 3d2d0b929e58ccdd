"""Ctrl-C at every place where it can surface, one after the other.

CPython looks for signals after calls into C and at the start of Python functions, and a profile function is called at
just these places. Where it surfaces in a finalizer, the interpreter reports it and goes on: `MAY_BE_SWALLOWED` marks
the tests in which that is expected.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

MAY_BE_SWALLOWED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def interrupt_at(place: int, action: Callable[[], Any]) -> bool:
    """Run the action with a KeyboardInterrupt at its n-th place; return whether it got that far."""
    seen = 0
    was_hit = False

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen, was_hit
        if event not in ("call", "c_return") or frame.f_code is interrupt_at.__code__:
            return
        seen += 1
        if seen == place:
            was_hit = True
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return was_hit


def interrupt_everywhere(action: Callable[[], Any], step: int = 1) -> Iterator[int]:
    """Run the action again and again, interrupted one place later each time, until it ends by itself."""
    place = 1
    while interrupt_at(place, action):
        yield place
        place += step
