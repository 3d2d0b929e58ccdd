"""A program opens itself: it becomes the worker of a kernel, with a hub beside it, and goes on when that is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import RequestError
from rpyc_kernel.settings import check_name
from rpyc_kernel.system import processes
from rpyc_kernel.system.hub_start import start_hub_beside
from rpyc_kernel.system.originals import socket, threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import forks, leaving
from rpyc_kernel.worker.capture import current_execution, is_in_execution
from rpyc_kernel.worker.embedded_console import is_at_terminal, open_console
from rpyc_kernel.worker.embedded_kernel import EmbeddedKernel

MAINS = ("block", "thread", "loop", "poll")
_open: list[EmbeddedKernel] = []
"""The one of this process, if there is one; what it takes of the program is there once."""
_forked_from: list[str] = []
_hooks: list[str] = []
_opening = threading.Lock()


def embed(
    name: str = "default", *, namespace: dict[str, Any] | None = None, main: str = "block"
) -> EmbeddedKernel | None:
    """Make this process the worker of a kernel: clients run code in it, see what there is, come and go.

    The program's streams, signals, arguments and settings stay its own. What it prints goes where it went; what an
    execution of a client prints goes to the clients. When the kernel is stopped, the program goes on.

    Args:
        name: the kernel's name, as of `start`.
        namespace: where executions run. None for that of the caller: at the top of a module its names themselves, in a
            function a copy of the local and global names, so that assignments do not change the function's variables.
        main: where executions run. ``block``: here, until the kernel is stopped; on a terminal a console opens.
            ``thread``: in a thread of the kernel's own, and the call returns at once. ``loop``: in the running asyncio
            loop. ``poll``: wherever the program calls `EmbeddedKernel.poll`.

    Returns:
        The kernel; None after ``block``.

    Raises:
        KernelExists: a kernel of this name runs.
        BadName: it cannot be a name.
        RequestError: an argument is wrong, the program has embedded a kernel already, or it cannot embed one.

    Example:
        >>> import threading
        >>> with rpyc_kernel.embed("inside", namespace={"x": 6}, main="thread"):  # doctest: +SKIP
        ...     threading.Event().wait(60)
    """
    check_name(name)
    if main not in MAINS:
        raise RequestError(f"main is one of 'block', 'thread', 'loop' and 'poll', not {main!r}")
    if namespace is not None and type(namespace) is not dict:
        raise RequestError(f"the namespace must be a dict, not {type(namespace).__name__}")
    if main == "loop" and asyncio._get_running_loop() is None:
        raise RequestError("main='loop' needs a running asyncio loop: call embed() in a coroutine or a callback of it")
    check_process(name)
    if namespace is None:
        namespace = _namespace_of_caller()
    kernel = _open_kernel(name, namespace, main, start_hub_beside(name, os.getpid(), *describe_program()))
    if main == "block":
        console = open_console(kernel) if is_at_terminal() else contextlib.nullcontext()
        with console:
            kernel.run()
        return None
    if main != "thread":
        kernel.settle()
    return kernel


def let_end(timeout_s: float) -> None:
    """Wait for the end of a kernel that is being stopped, if there is one here; not where its executions run."""
    for kernel in list(_open):
        if not kernel.is_open:
            kernel.wait(timeout_s)


def embed_with(hub: socket.socket, name: str, namespace: dict[str, Any]) -> EmbeddedKernel:
    """Embed a kernel in a thread, as `embed`, by a hub that somebody else has started; `check_process` comes first."""
    return _open_kernel(name, namespace, "thread", hub)


def _open_kernel(name: str, namespace: dict[str, Any], main: str, hub: socket.socket) -> EmbeddedKernel:
    with _opening:
        try:
            check_process(name)  # again: another thread may have been faster
        except BaseException:
            hub.close()
            raise
        _hook_forks()
        kernel = EmbeddedKernel(name, namespace, main, hub, _open.remove)
        _open.append(kernel)
    if main == "thread":
        make_thread(kernel.run, "embedded").start()
    return kernel


def check_process(name: str) -> None:
    """See that a kernel can be embedded in this process; raises `RequestError` where it cannot."""
    if (
        current_execution.get()
        or is_in_execution()
        or "rpyc_kernel.worker.__main__" in sys.modules
        or leaving.is_offered()
    ):
        raise RequestError("this is a kernel's own process; connect to it in place of embedding another one in it")
    if _forked_from:
        raise RequestError(
            f"this process was forked from one with the embedded kernel {_forked_from[0]!r}, and cannot have one "
            "itself; start it with subprocess or the start method 'spawn', or embed after the fork only"
        )
    if _open:
        raise RequestError(
            f"this program (process {os.getpid()}) has the embedded kernel {_open[0].name!r} already; connect to that "
            f"one, or close it before {name!r} is embedded"
        )
    forks.belong_here()


def describe_program() -> tuple[str, str]:
    """How this program was started, for people, and the folder where it works."""
    shown = " ".join([Path(sys.executable or "python").name, *getattr(sys, "argv", [])])
    return shown, processes.working_folder()


def _namespace_of_caller() -> dict[str, Any]:
    frame = sys._getframe(2)
    if frame.f_locals is frame.f_globals:
        return frame.f_globals
    return {**frame.f_globals, **frame.f_locals}


def _hook_forks() -> None:
    """Once for this process, as nothing takes such a hook back."""
    if not _hooks:
        _hooks.append("forks")
        os.register_at_fork(after_in_child=_become_child)


def _become_child() -> None:
    for kernel in _open:
        _forked_from[:] = [kernel.name]
        kernel.become_child()
