"""Threads of the kernel's own."""

from __future__ import annotations

import sys
import threading as shared
from _thread import start_new_thread
from collections.abc import Callable, Sequence
from typing import Any

from rpyc_kernel.system.originals import threading

_START_S = 10.0
"""No thread takes as long to start; but nothing may wait for ever on the way out."""


class KernelThread(*dict.fromkeys((threading.Thread, shared.Thread))):  # type: ignore[misc]
    """A daemon thread that starts and ends whatever user code has made of `threading.Thread`.

    User code finds it there all the same: in `threading.enumerate`, and as `threading.current_thread` inside of it.
    """

    def __init__(self, target: Callable[..., Any], name: str, arguments: tuple[Any, ...] = ()) -> None:
        threading.Thread.__init__(self, target=target, args=arguments, name=name, daemon=True)

    def run(self) -> None:
        """Run the target."""
        listed: dict[Any, Any] = shared._active  # type: ignore[attr-defined]
        if self.ident in listed:
            super().run()
            return
        listed[self.ident] = self
        try:
            super().run()
        finally:
            listed.pop(self.ident, None)


def make_thread(target: Callable[..., Any], name: str, arguments: tuple[Any, ...] = ()) -> threading.Thread:
    """Make one that a debugger of user code neither stops nor shows; the two attributes are what debugpy asks for."""
    thread: threading.Thread = KernelThread(target, name, arguments)
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
    return thread


def start_threads(*threads: threading.Thread) -> None:
    """Start threads so that Ctrl-C, wherever it comes, is a KeyboardInterrupt, and never leaves them half started.

    `Thread.start` waits for the new thread in code written in Python, where an interrupt of the main thread turns into
    a RuntimeError about a lock. So a thread that no interrupt reaches starts the others, and one C call starts that.

    Raises:
        RuntimeError: there is no room for them all.
    """
    if threading.get_ident() != threading.main_thread().ident:
        _start(threads)
        return
    is_over = threading.Lock()
    is_over.acquire()
    outcome: list[BaseException | None] = []

    def start() -> None:
        try:
            _start(threads)
        except BaseException as error:  # noqa: BLE001 - raised below
            outcome.append(error)
        else:
            outcome.append(None)
        finally:
            is_over.release()

    try:
        start_new_thread(start, ())
        is_over.acquire()
    except RuntimeError:
        raise
    except BaseException:  # Ctrl-C; who is told of it has to find the threads as they will be
        if not outcome:
            is_over.acquire(timeout=_START_S)
        raise
    (error,) = outcome
    if error is not None:
        raise error


def _start(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()


def follow_tracers() -> None:
    """Trace and profile what follows in this thread, if user code wants that of the threads that it starts."""
    sys.setprofile(shared._profile_hook)
    sys.settrace(shared._trace_hook)  # type: ignore[attr-defined]
