"""The end of a program, and of a worker that is asked to leave: the ``atexit`` functions of user code run.

A program's may take as long as they like. Those of a worker that leaves run whatever its threads do, as the hub does
not wait long.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading as shared  # with user code
from collections.abc import Callable

from rpyc_kernel.system.originals import threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker.interrupts import runs_user_code

_PATIENCE_S = 0.5
_begin: list[Callable[[], None]] = []
_last: list[Callable[[], object]] = []


def offer(begin: Callable[[], None]) -> None:
    """Say what has the worker leave."""
    _begin[:] = [begin]


def is_offered() -> bool:
    """Whether this process is a worker that can leave."""
    return _begin != []


def ask() -> None:
    """Have the worker leave, on any thread, as soon as what runs on the main lane lets its loop go on."""
    for begin in _begin:
        begin()


def keep_for_last(function: Callable[[], object]) -> None:
    """Have an ``atexit`` function that the kernel needs nothing more after wait for the end of the process."""
    _last[:] = [function]


@runs_user_code
def end_program() -> None:
    """Do what the interpreter does at the end of a program; the kernel goes on.

    So the output of its last functions is the program's, and so is a status that they give.
    """
    _join_threads()
    for function in _last:
        atexit.unregister(function)
    try:
        atexit._run_exitfuncs()
    finally:
        for function in _last:
            atexit.register(function)


@runs_user_code
def _join_threads() -> None:
    for call in reversed(getattr(shared, "_threading_atexits", [])):  # how executors tell their threads to end
        call()
    for thread in shared.enumerate():
        if not thread.daemon and thread is not shared.main_thread():
            thread.join()


def leave(patience_s: float = _PATIENCE_S) -> None:
    """Return if all threads that the interpreter waits for at its end have ended in time, else end the process here.

    The interpreter would wait for them without limit, and the hub does not: it would kill the worker before the
    functions have run.
    """
    ended = threading.Event()

    def join_all() -> None:
        _join_threads()
        ended.set()

    make_thread(join_all, "leaving").start()
    if ended.wait(patience_s):
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be the user's
            stream.flush()
    os._exit(0)
