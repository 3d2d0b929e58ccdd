"""What a program finds around it when a file is run: its arguments, its folder, and no event loop that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from rpyc_kernel.core.contract import Space
from rpyc_kernel.core.form import Form

_MISSING: Any = object()


@contextlib.contextmanager
def surroundings(form: Form) -> Iterator[str]:
    """Set up the arguments, the working directory and the path of imports for a program, and restore them.

    Yields:
        The absolute path of the program's file.
    """
    before = (sys.argv, os.getcwd())
    path = None
    try:
        if form.cwd is not None:
            os.chdir(os.path.expanduser(form.cwd))
        path = os.path.abspath(os.path.expanduser(form.file))
        sys.argv = [form.file, *(form.arguments or ())]
        sys.path.insert(0, os.path.dirname(path))
        with _outside_the_loop():
            yield path
    finally:
        sys.argv = before[0]
        with contextlib.suppress(OSError):  # the folder may be gone by now
            os.chdir(before[1])
        if path is not None:
            with contextlib.suppress(ValueError):
                sys.path.remove(os.path.dirname(path))


@contextlib.contextmanager
def namespace_of(form: Form, path: str, shared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the namespace that a program runs in; as long as it runs, it is the module ``__main__``."""
    if form.namespace == Space.CURRENT:
        before = shared.get("__file__", _MISSING)
        shared["__file__"] = path
        try:
            yield shared
        finally:
            if before is _MISSING:
                shared.pop("__file__", None)
            else:
                shared["__file__"] = before
        return
    module, main = ModuleType("__main__"), sys.modules["__main__"]
    vars(module).update(__builtins__=sys.modules["builtins"], __file__=path)
    sys.modules["__main__"] = module
    try:
        yield vars(module)
    finally:
        sys.modules["__main__"] = main


def is_success(error: BaseException) -> bool:
    """Whether a program that raised this has ended in good order."""
    return type(error) is SystemExit and error.code in (None, 0)


@contextlib.contextmanager
def _outside_the_loop() -> Iterator[None]:
    """Let `asyncio.run` work, which refuses to where a loop runs already: the worker's does."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)
        asyncio.set_event_loop(loop)
