"""How many heaps the C library keeps for the threads of this process.

Given one for almost every thread, as glibc does, a process with a thread for each connection keeps in each of them what
its largest messages took once. The environment variable for it would be inherited by user code.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def share_heaps(count: int) -> None:
    """Have all threads share so many heaps, where the C library can be told; before there are other threads."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is not None:
        tell(_M_ARENA_MAX, count)
