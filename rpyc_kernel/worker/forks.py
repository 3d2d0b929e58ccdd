"""A forked child of the worker is the user's process: it must never serve the kernel, nor be taken for it.

It has a copy of everything, of the kernel's sockets and event loop too. So each child closes its copies of the sockets,
which leaves the worker's connections as they are (a shutdown would not), forgets what else belongs to the kernel, runs
what it was forked in to the end, and then ends by itself, as a script does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import faulthandler
import fcntl
import os
import selectors
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Collection
from typing import Any, NoReturn, TypeVar

from rpyc_kernel.system import switching
from rpyc_kernel.system.originals import socket, threading
from rpyc_kernel.system.processes import exit_status
from rpyc_kernel.system.sending import silence
from rpyc_kernel.system.stacks import STACK_SIGNAL
from rpyc_kernel.worker.error_reports import describe_error

_Socket = TypeVar("_Socket", bound=socket.socket)
_INTERRUPTED = 130
_MULTI_THREADED = r"This process \(pid=\d+\) is multi-threaded, use of fork"
_FIRST_DESCRIPTOR = 3
"""Those below are standard input and output, also when user code has closed them."""
_getpid = os.getpid  # user code may put something in its place
_worker = _getpid()
_main_thread = threading.main_thread().ident
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_descriptors: set[int] = set()


def is_child() -> bool:
    """Whether this process is a forked child of the worker."""
    return _getpid() != _worker


def keep_from_children(sock: _Socket) -> _Socket:
    """Have forked children close their copies of a socket, and others have none; returns the one to use in its place.

    It sends no SIGPIPE either, which is user code's.

    Where user code has closed a standard stream, the system gives its number to the next socket, and what a child
    prints would go to a client.
    """
    os.set_inheritable(sock.fileno(), False)
    if sock.fileno() < _FIRST_DESCRIPTOR:
        moved = fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
        sock.close()
        sock = type(sock)(fileno=moved)
    silence(sock)
    _sockets.add(sock)
    return sock


def belong_here() -> None:
    """Be the worker's process from now on: what was loaded before a fork has belonged to another one."""
    global _worker, _main_thread
    _worker, _main_thread = _getpid(), threading.main_thread().ident


def close_in_child(descriptors: Collection[int]) -> None:
    """In a forked child: close its copies of these descriptors, and of the kernel's sockets."""
    for sock in list(_sockets):
        with contextlib.suppress(OSError):
            sock.close()
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def install(prepare: Callable[[], None], forget: Callable[[], None], *, descriptors: tuple[int, ...] = ()) -> None:
    """See to every child that is forked from now on: prepare it in the worker, and have it forget and close these."""
    _descriptors.update(descriptors)

    def become_child() -> None:
        close_in_child(_descriptors)
        _descriptors.clear()
        # What goes wrong in the child is not what the worker died of.
        faulthandler.disable()
        faulthandler.unregister(STACK_SIGNAL)
        signal.set_wakeup_fd(-1)
        switching.relax()
        forget()

    os.register_at_fork(before=prepare, after_in_child=become_child)
    # Since Python 3.12. The threads are the kernel's; who has none of their own sees no warning in `python` either.
    warnings.filterwarnings("ignore", _MULTI_THREADED, DeprecationWarning)


def renew_loop(loop: Any) -> None:
    """Give a loop of the worker a selector and a pipe of its own, in a child.

    An epoll descriptor is shared with the parent: what the child took out of it would be out for both. So the old one
    is left behind untouched.
    """
    loop._selector = selectors.DefaultSelector()
    for end in (loop._ssock, loop._csock):
        end.close()
    loop._internal_fds -= 1
    loop._make_self_pipe()


def end_child(error: BaseException | None = None) -> NoReturn:
    """End a child as `python` ends a script whose code has raised this, with the status that a script would have.

    The main thread raises SystemExit, as it has the interpreter's own end below it.
    """
    ending: BaseException = SystemExit(0)
    if error is not None and issubclass(type(error), SystemExit):
        ending = error
    elif error is not None:
        with contextlib.suppress(Exception):
            sys.stderr.write(describe_error(error)["traceback"])
        ending = SystemExit(_INTERRUPTED if issubclass(type(error), (KeyboardInterrupt, asyncio.CancelledError)) else 1)
    if threading.get_ident() == _main_thread:
        raise ending
    _exit_here(ending.code)  # type: ignore[attr-defined]


def _exit_here(code: Any) -> NoReturn:
    """What the interpreter does when SystemExit reaches its end, as far as a thread that is not at its end can."""
    status = exit_status(code) if isinstance(code, int) else int(code is not None)
    try:
        if status != code and code is not None:
            sys.stderr.write(f"{code}\n")
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(status)
