"""What a program finds around it when a file is run: its arguments, its folder, and no event loop that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import Any, NamedTuple, cast
from zipimport import ZipImportError, zipimporter

from rpyc_kernel.core.contract import Space
from rpyc_kernel.core.source import Program
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.interrupts import runs_user_code

_MISSING: Any = object()
_RESTORED = ("stdin", "stdout", "stderr", "excepthook", "displayhook")


@contextlib.contextmanager
def surroundings(program: Program) -> Iterator[str]:
    """Set up the arguments, the working directory and the path of imports for a program, and restore them.

    After a program in a fresh namespace the standard streams and the hooks are what they were, too.

    Yields:
        The absolute path of the program's file.
    """
    arguments, folder = sys.argv, None
    with contextlib.suppress(OSError):  # it is gone, and the program may be none the worse
        folder = os.getcwd()
    ours = {name: getattr(sys, name) for name in _RESTORED} if program.namespace == Space.FRESH else {}
    entry = None
    try:
        if program.cwd is not None:
            os.chdir(os.path.expanduser(program.cwd))
        path = os.path.abspath(os.path.expanduser(program.path))
        sys.argv = [program.path, *program.arguments]
        entry = path if _is_application(path) else os.path.dirname(os.path.realpath(path))
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


class Compiled(NamedTuple):
    """What is to run: code, the file that it is from, and the package that it is in."""

    code: CodeType
    file: str
    package: str | None = None


def read(path: str) -> Compiled:
    """Compile a program: a file, or the ``__main__`` of a folder or a zip archive.

    Raises:
        ImportError: there is no such module, or the file was compiled by another Python.
    """
    if path.endswith(".pyc"):
        return Compiled(cast("CodeType", SourcelessFileLoader("__main__", path).get_code("__main__")), path)
    if not _is_application(path):
        with open(path, "rb") as file:
            source = file.read()
        _refuse_null_bytes(source, path)
        return Compiled(compile(source, path, "exec", dont_inherit=True), path)
    finder: Any = pkgutil.get_importer(path)
    spec = finder.find_spec("__main__")
    code = None if spec is None else spec.loader.get_code("__main__")
    if code is None:
        raise ImportError(f"can't find '__main__' module in {path!r}")  # as `python` says it
    return Compiled(code, code.co_filename, "")


def _refuse_null_bytes(source: bytes, path: str) -> None:
    """Say as `python` where they are: the compiler does not, and raises a ValueError before Python 3.12."""
    before, found, _ = source.partition(b"\0")
    if found:
        *lines, line = before.split(b"\n")
        where = (path, len(lines) + 1, None, line.decode("utf-8", "replace"))
        raise SyntaxError("source code cannot contain null bytes", where)


@runs_user_code
def call_hook(error: BaseException) -> bool:
    """Tell the program's own `sys.excepthook` how the program ends; whether it has one, and so has shown it."""
    hook = sys.excepthook
    if hook is sys.__excepthook__ or issubclass(type(error), SystemExit):
        return False
    try:
        hook(type(error), error, error.__traceback__)
    except Exception as failed:  # noqa: BLE001 - whatever user code raises; what ends a program passes
        failed.__context__ = None
        trace = describe_error(failed)["traceback"]
        sys.stderr.write(f"Error in sys.excepthook:\n{trace}\nOriginal exception was:\n")
        return False
    return True


def _is_application(path: str) -> bool:
    """Whether it is a folder or an archive that is to be run as `python` runs one."""
    if os.path.isdir(path):
        return True
    try:
        zipimporter(path)  # which is there; `zipfile` takes a start 3 ms
    except ZipImportError:
        return False
    return True


@contextlib.contextmanager
def namespace_of(space: str, path: str, shared: dict[str, Any], package: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the namespace that a program runs in, one of `Space`; as long as it runs, it is the module ``__main__``."""
    if space == Space.CURRENT:
        # Programs show their own `__doc__` as help.
        own: dict[str, Any] = {"__file__": path, "__cached__": None, "__doc__": None, "__package__": package}
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
    module.__package__ = package
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
