"""The console that a program opens on its own terminal, as another process, where it stops at a point of its code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from rpyc_kernel.system.originals import threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker.embedded_kernel import EmbeddedKernel
from rpyc_kernel.worker.interrupts import set_handler

_ENDS_S = 1.0


def is_at_terminal() -> bool:
    """Whether somebody sits at this program's terminal."""
    try:
        return os.isatty(0) and os.isatty(1) and sys.stdin is not None and sys.stdin.isatty()
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def open_console(kernel: EmbeddedKernel) -> Iterator[None]:
    """A console on the program's terminal; leaving it stops the kernel, and so the program goes on."""
    process = subprocess.Popen([sys.executable, "-m", "rpyc_kernel", "console", kernel.name])

    def close_with_it() -> None:
        process.wait()
        kernel.close()

    watching = make_thread(close_with_it, "embedded-console")
    with _leaving_ctrl_c_alone():
        watching.start()
        try:
            yield
        finally:
            watching.join(_ENDS_S)
            process.terminate()  # one that hopes for a hub to come back
            watching.join()


@contextlib.contextmanager
def _leaving_ctrl_c_alone() -> Iterator[None]:
    """Do nothing at a Ctrl-C, which this process hears too: the console says what it means."""
    if threading.get_ident() != threading.main_thread().ident:
        yield
        return
    before = set_handler(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        set_handler(signal.SIGINT, before or 0)
