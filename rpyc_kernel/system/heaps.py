"""The memory of a process: how many heaps the C library keeps for its threads, and what is looked through for garbage.

Given one for almost every thread, as glibc does, a process with a thread for each connection keeps in each of them what
its largest messages took once. The environment variable for it would be inherited by user code.
"""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def share_heaps(count: int) -> None:
    """Have all threads share so many heaps, where the C library can be told; before there are other threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, count)


def collect_from_here() -> None:
    """Begin to look for garbage, where that was put off while modules were loaded, but not among these.

    They live as long as the process, and to look through them again and again takes a tenth of a start.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
