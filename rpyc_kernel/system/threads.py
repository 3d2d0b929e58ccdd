"""Threads of the kernel's own, which a debugger of user code neither stops nor shows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def make_thread(target: Callable[..., Any], name: str, arguments: tuple[Any, ...] = ()) -> threading.Thread:
    """Make a daemon thread; the two attributes are what debugpy asks for."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
    thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
    return thread
