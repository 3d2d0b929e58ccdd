"""Which frames are the user's: those of the kernel and of its engine are left out of tracebacks and of the debugger."""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LOOPS = (os.path.dirname(asyncio.__file__) + os.sep, selectors.__file__)
"""What the names of the event loop's files begin with."""
_hidden: tuple[str, ...] = (_PACKAGE,)
_entrances: set[CodeType] = set()
_F = TypeVar("_F", bound=Callable[..., Any])


def hide(*prefixes: str) -> None:
    """Leave out also what is in files whose names begin so."""
    global _hidden
    _hidden = (*dict.fromkeys((*_hidden, *prefixes)),)


def hidden() -> tuple[str, ...]:
    """What the names of files begin with whose frames are left out."""
    return _hidden


def enters_user_code(function: _F) -> _F:
    """Mark a function whose purpose it is to run the user's code, so that a debugger may stop in there."""
    _entrances.add(function.__code__)
    return function


def is_entrance(frame: FrameType) -> bool:
    """Whether the frame is of such a function."""
    return frame.f_code in _entrances


def is_within_user_code(frame: FrameType) -> bool:
    """Whether the frame is the user's, or one to which the user's code led without one of ours between.

    What the event loop has called, such as a task of the user's, is the user's, too; the loop is ours.
    """
    is_called_by_loop = has_user_frame = False
    caller: FrameType | None = frame
    while caller is not None:
        if is_hidden(caller.f_code.co_filename):
            return is_called_by_loop or (caller is not frame and is_entrance(caller))
        if is_entrance(caller):
            return True
        if is_of_loop(caller):
            is_called_by_loop |= has_user_frame
        else:
            has_user_frame = True
        caller = caller.f_back
    return True


def is_of_loop(frame: FrameType) -> bool:
    """Whether the frame is the event loop's."""
    return frame.f_code.co_filename.startswith(LOOPS)


def first_of_users(frames: list[FrameType]) -> int:
    """At which place of a stack, the outermost frame first, the user's begin: behind ours, and those of our loop."""
    entrance = next((place for place, frame in enumerate(frames) if is_entrance(frame)), None)
    if entrance is not None:
        return entrance
    hidden = [is_hidden(frame.f_code.co_filename) for frame in frames]
    first = hidden.index(True) if True in hidden else 0
    return next((n for n in range(first, len(frames)) if not hidden[n] and not is_of_loop(frames[n])), first)


def is_ours(filename: str) -> bool:
    """Whether a file is of this package."""
    return filename.startswith(_PACKAGE)


def is_hidden(filename: str) -> bool:
    """Whether a frame of this file is not the user's."""
    return filename.startswith(_hidden)
