"""What the kernel needs of the standard library, apart from what user code finds under the same names and may patch.

User code is free to replace what it finds: gevent puts greenlets in place of threads, locks and sockets; a test freezes
the time; a log configuration disables every logger that it does not know. So a worker calls `set_apart` before anything
else. From then on these names stand for modules of the kernel's own, made of the same files, that nobody else holds.
References to functions alone would not do, since these find what they call in their module.

Any other process sees the modules that everybody has: a client is part of its user's program, logs where that logs, and
waits as that wants to wait.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import json
    import logging
    import queue
    import select
    import socket
    import threading
    import time
    from concurrent import futures

__all__ = ["futures", "json", "logging", "queue", "select", "set_apart", "socket", "threading", "time"]

_HOMES = {"futures": "concurrent.futures"}
_IN_C = ("select", "time")
_IN_PYTHON = ("threading", "queue", "socket", "logging", "json", "futures")  # each behind what it is made of


def set_apart() -> None:
    """Make these modules the kernel's own, for all who import them from here later; user code must not have run."""
    modules = sys.modules
    tops = {_home(name).partition(".")[0] for name in _IN_PYTHON}

    def take() -> dict[str, ModuleType]:
        return {name: modules.pop(name) for name in list(modules) if name.partition(".")[0] in tops}

    in_c = {name: importlib.import_module(name) for name in _IN_C}
    shared = take() | in_c
    try:
        for name, module in in_c.items():
            modules[name] = ModuleType(name, module.__doc__)
            vars(modules[name]).update(vars(module))
        own = {name: importlib.import_module(_home(name)) for name in (*_IN_C, *_IN_PYTHON)}
    finally:
        take()
        modules.update(shared)
    globals().update(own)
    # A thread asks while it is made what ends it loudly, which fails where user code has taken `sys.excepthook` away.
    invoke = vars(own["threading"])["_make_invoke_excepthook"]()
    vars(own["threading"])["_make_invoke_excepthook"] = lambda: invoke


def _home(name: str) -> str:
    return _HOMES.get(name, name)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(_home(name))
