"""How soon a thread gets the interpreter lock that code keeps busy: sooner where somebody has just asked for something.

Who waits for the lock has it offered after the switch interval. A short one costs code with several threads a fifth of
its speed, and cuts what is to be answered into pieces, with a wait after each. So it is short only while the next
request is expected, and long again as soon as that has come, or nothing has for a while.

The interval belongs to the process, and user code may set it: what it sets is then the usual one.
"""

from __future__ import annotations

import sys
from typing import Final

_SHARE: Final = 4
_HALF_S: Final = 5e-7
"""Of a microsecond: what is set is cut to whole ones, and would become less each time; none at all is not allowed."""
_get: Final = sys.getswitchinterval  # user code may put something in their place
_set: Final = sys.setswitchinterval
_usual_s = _short_s = -1.0


def expect() -> None:
    """Have the next thread that waits get the lock soon."""
    global _usual_s, _short_s
    interval_s = _get()
    if interval_s != _short_s:
        _usual_s = interval_s + _HALF_S
        _set(interval_s / _SHARE + 2 * _HALF_S)
        _short_s = _get()


def relax() -> None:
    """Let it be as usual."""
    if _get() == _short_s:
        _set(_usual_s)
