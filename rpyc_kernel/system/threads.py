"""Threads of the kernel's own."""

from __future__ import annotations

import sys
import threading as shared
from collections.abc import Callable
from typing import Any

from rpyc_kernel.system.originals import threading


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


def follow_tracers() -> None:
    """Trace and profile what follows in this thread, if user code wants that of the threads that it starts."""
    sys.setprofile(shared._profile_hook)
    sys.settrace(shared._trace_hook)  # type: ignore[attr-defined]
