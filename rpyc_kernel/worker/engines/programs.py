"""What a program finds around it when a file is run: its arguments, its folder, and no event loop that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pkgutil
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from rpyc_kernel.core.contract import Space
from rpyc_kernel.core.form import Form
from rpyc_kernel.worker.interrupts import runs_user_code

_MISSING: Any = object()
_RESTORED = ("stdin", "stdout", "stderr", "excepthook", "displayhook")


@contextlib.contextmanager
def surroundings(form: Form) -> Iterator[str]:
    """Set up the arguments, the working directory and the path of imports for a program, and restore them.

    After a program in a fresh namespace the standard streams and the hooks are what they were, too.

    Yields:
        The absolute path of the program's file.
    """
    arguments, folder = sys.argv, None
    with contextlib.suppress(OSError):  # it is gone, and the program may be none the worse
        folder = os.getcwd()
    ours = {name: getattr(sys, name) for name in _RESTORED} if form.namespace == Space.FRESH else {}
    entry = None
    try:
        if form.cwd is not None:
            os.chdir(os.path.expanduser(form.cwd))
        path = os.path.abspath(os.path.expanduser(form.file))
        sys.argv = [form.file, *(form.arguments or ())]
        entry = path if _is_application(path) else os.path.dirname(path)
        sys.path.insert(0, entry)
        with _outside_the_loop():
            yield path
    finally:
        sys.argv = arguments
        if folder is not None:
            with contextlib.suppress(OSError):  # it may be gone by now
                os.chdir(folder)
        if entry is not None:
            with contextlib.suppress(ValueError):
                sys.path.remove(entry)
        for name, value in ours.items():
            setattr(sys, name, value)


def read(path: str) -> CodeType:
    """Compile a program: a file, or the ``__main__`` of a folder or a zip archive."""
    if not _is_application(path):
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True)
    finder: Any = pkgutil.get_importer(path)
    spec = finder.find_spec("__main__")
    code = None if spec is None else spec.loader.get_code("__main__")
    if code is None:
        raise ImportError(f"can't find '__main__' module in {path!r}")  # as `python` says it
    found: CodeType = code
    return found


@runs_user_code
def call_hook(error: BaseException) -> bool:
    """Tell the program's own `sys.excepthook` how the program ends; whether it has one, and so has shown it."""
    hook = sys.excepthook
    if hook is sys.__excepthook__ or issubclass(type(error), SystemExit):
        return False
    hook(type(error), error, error.__traceback__)
    return True


def _is_application(path: str) -> bool:
    return os.path.isdir(path) or zipfile.is_zipfile(path)


@contextlib.contextmanager
def namespace_of(form: Form, path: str, shared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the namespace that a program runs in; as long as it runs, it is the module ``__main__``."""
    if form.namespace == Space.CURRENT:
        own = {"__file__": path, "__doc__": None}  # programs show their own `__doc__` as help
        before = {name: shared.get(name, _MISSING) for name in own}
        shared.update(own)
        try:
            yield shared
        finally:
            for name, value in before.items():
                if value is _MISSING:
                    shared.pop(name, None)
                else:
                    shared[name] = value
        return
    module, main = ModuleType("__main__"), sys.modules["__main__"]
    vars(module).update(__builtins__=sys.modules["builtins"], __file__=path, __cached__=None, __annotations__={})
    module.__loader__ = SourceFileLoader("__main__", path)
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
