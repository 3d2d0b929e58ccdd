"""A worker fails loudly or not at all: what its own code cannot do, even when tried again, ends it, with the reason.

User code shares the interpreter, and may have replaced what all of it is made of, such as `builtins.len`. Without that
neither the loop nor the queue works, and what runs would seem to run for ever. So nothing in here looks up a name of
`builtins`, nor one in a module of others.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from rpyc_kernel.system.stacks import OWN_FAULT
from rpyc_kernel.worker import forks

_F = TypeVar("_F", bound=Callable[..., Any])

EXIT_STATUS = 70
"""What a worker that failed exits with: EX_SOFTWARE of sysexits.h."""

ATTEMPTS = 3
"""How often something is tried: user code may raise in its middle, by a tracer or an asynchronous exception."""

Anything, _Error = BaseException, Exception
_write, _exit, _open, _fstat = os.write, os._exit, os.open, os.fstat
_is_same = os.path.samestat
_FLAGS = os.O_WRONLY | os.O_APPEND


_give_up: list[Callable[[BaseException], None]] = []


def spare_process(give_up: Callable[[BaseException], None] | None) -> None:
    """Have a failure end the kernel alone, in whose process a program goes on; None as it was."""
    _give_up[:] = [] if give_up is None else [give_up]


class _File:
    descriptor = 2
    path = os.devnull
    found: os.stat_result | None = None


def tell_in(descriptor: int, path: Path) -> None:
    """Write the reason to the file in which the hub looks for the reason of an end.

    The descriptor leads there though its folder may have vanished; the path, where user code has closed it.
    """
    _File.descriptor, _File.path, _File.found = descriptor, os.fspath(path), _fstat(descriptor)


def is_error(error: BaseException) -> bool:
    """Whether it is an `Exception`, which those are not that are to end something."""
    return _Error in error.__class__.__mro__


def insist(do: Callable[..., None], *arguments: Any, show: Callable[[BaseException], None]) -> None:
    """Do a part of the worker's work, which must bear to be begun again; what is raised meanwhile is shown."""
    for attempt in count(1):
        try:
            do(*arguments)
            return
        except Anything as error:
            if forks.is_child():
                raise
            if attempt == ATTEMPTS:
                end_worker(error)
            show(error)


def vital(function: _F) -> _F:
    """Mark a callback of the loop: an error that leaves it is one of the kernel's, and the loop would only log it."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except _Error as error:
            if forks.is_child():
                raise
            end_worker(error)

    return call  # type: ignore[return-value]


def end_worker(error: BaseException) -> NoReturn:
    """End this process at once, if it is the worker's own."""
    for give_up in _give_up:
        give_up(error)
        raise error
    try:
        what = f"{error.__class__.__name__}: {error}"
    except Anything as another:
        what = f"{another.__class__.__name__} while formatting an error"
    text = f"{OWN_FAULT} ({what}); has user code replaced something of builtins or asyncio?\n\n"
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        text += f'  File "{code.co_filename}", line {trace.tb_lineno} in {code.co_name}\n'
        trace = trace.tb_next
    try:
        _write(_find_file(), text.encode("utf-8", "backslashreplace"))
    finally:
        _exit(EXIT_STATUS)


def _find_file() -> int:
    try:
        is_there = _File.found is None or _is_same(_fstat(_File.descriptor), _File.found)
    except Anything:
        is_there = False
    return _File.descriptor if is_there else _open(_File.path, _FLAGS)
