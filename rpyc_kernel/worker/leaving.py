"""The end of a worker that is asked to leave: the ``atexit`` functions of user code run, whatever its threads do."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading as shared  # with user code
from collections.abc import Callable

from rpyc_kernel.system.originals import threading
from rpyc_kernel.system.threads import make_thread

_PATIENCE_S = 0.5
_begin: list[Callable[[], None]] = []


def offer(begin: Callable[[], None]) -> None:
    """Say what has the worker leave."""
    _begin[:] = [begin]


def ask() -> None:
    """Have the worker leave, on any thread, as soon as what runs on the main lane lets its loop go on."""
    for begin in _begin:
        begin()


def leave(patience_s: float = _PATIENCE_S) -> None:
    """Return if all threads that the interpreter waits for at its end have ended in time, else end the process here.

    The interpreter would wait for them without limit, and the hub does not: it would kill the worker before the
    functions have run.
    """
    ended = threading.Event()

    def join_all() -> None:
        for call in reversed(getattr(shared, "_threading_atexits", [])):  # how executors tell their threads to end
            call()
        for thread in shared.enumerate():
            if not thread.daemon and thread is not shared.main_thread():
                thread.join()
        ended.set()

    make_thread(join_all, "leaving").start()
    if ended.wait(patience_s):
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be the user's
            stream.flush()
    os._exit(0)
