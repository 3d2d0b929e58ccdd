"""Opening a kernel in a Python process that runs already, and knows nothing of kernels."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.client.bundle import PACKAGES
from rpyc_kernel.client.launch import connect
from rpyc_kernel.client.whereabouts import find, find_all
from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.errors import CallTimeout, KernelError, KernelExists, RequestError, from_name
from rpyc_kernel.settings import check_name
from rpyc_kernel.system import frames, other_pythons, processes
from rpyc_kernel.system.attaching import Handover
from rpyc_kernel.system.hub_start import start_hub_beside
from rpyc_kernel.system.originals import socket

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient

_ANSWER_S = 60.0


@check_arguments
def attach(
    pid: int,
    name: str | None = None,
    *,
    sudo: bool = False,
    timeout: float = 30.0,
    on_wait: Callable[[str], None] | None = None,
) -> KernelClient:
    """Open a kernel in a Python process that runs, and connect to it; the process goes on with its own work.

    Both Pythons must be 3.14 or newer, of the same minor version, and the process this user's. It needs nothing of
    this package: what it lacks it gets from where this process has it. Executions run in a thread of the kernel's own,
    in the names of the process's ``__main__``. When the kernel is stopped the process is as it was.

    Args:
        pid: the number of the process.
        name: the kernel's name, None for ``attached-PID``.
        sudo: have sudo hand the request to the process, where this user may not.
        timeout: for how many seconds to wait until its main thread comes to a line of Python: one that waits in the
            system, or in code of C, comes to none.
        on_wait: called with what is waited for, when that takes more than a second.

    Returns:
        A client, as of `connect`.

    Raises:
        RequestError: it is no process that one can attach to; the message says why, and what to do.
        KernelExists: a kernel of this name runs.
        CallTimeout: the process has come to no line of Python in time; nothing was changed in it.
        KernelError: it has ended meanwhile, or no kernel can be opened in it.

    Example:
        >>> with rpyc_kernel.attach(12345, "server") as client:  # doctest: +SKIP
        ...     client.execute("len(sessions)").value
        7
    """
    name = check_name(f"attached-{pid}" if name is None else name)
    _refuse_kernels(pid)
    if hindrance := other_pythons.find_hindrance(pid):
        raise RequestError(hindrance)
    place = find(name)
    if place.has_hub and place.file is not None:  # without, it is about to end; the next hub waits for that
        raise KernelExists(f"kernel {name!r} is running already; choose another name for that in process {pid}")
    request = {"name": name, "release": RELEASE, "workers": WORKER_VERSION, "packages": _find_packages()}
    with Handover(pid, request, by_sudo=sudo) as handover:
        handover.send()
        with handover.wait(timeout, on_wait or _say_nothing) as sock:
            _open(sock, pid, name)
    return connect(name)


def _say_nothing(_: str) -> None:
    pass


def _refuse_kernels(pid: int) -> None:
    for place in find_all():
        if place.file is not None and pid in (place.file.hub_pid, place.file.worker_pid) and processes.is_alive(pid):
            part = "hub" if pid == place.file.hub_pid else "worker"
            raise RequestError(
                f"process {pid} is the {part} of kernel {place.file.name!r}; connect to it, as with "
                f"'rpyc-kernel console {place.file.name}'"
            )


def _find_packages() -> dict[str, str]:
    """The folders in which this process has what a kernel needs, by the names of the packages."""
    found = {}
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            found[package] = os.path.abspath(os.path.dirname(spec.submodule_search_locations[0]))
    return found


def _open(sock: socket.socket, pid: int, name: str) -> None:
    """Start the hub, and hand it over to the process, which answers when clients can come."""
    sock.settimeout(_ANSWER_S)
    reader = frames.FrameReader(sock)
    with _explaining_ends(pid):
        program = _hear(reader)
    with start_hub_beside(name, pid, program["program"], program["cwd"]) as hub, _explaining_ends(pid):
        frames.send(sock, {}, (hub.fileno(),))
    with _explaining_ends(pid):
        _hear(reader)
        frames.send(sock, {"taken": True})


@contextlib.contextmanager
def _explaining_ends(pid: int) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        if isinstance(error.__cause__, TimeoutError):
            raise CallTimeout(f"process {pid} did not open the kernel within {_ANSWER_S:g} s") from None
        raise KernelError(f"process {pid} has ended before the kernel was open, or gave up") from None


def _hear(reader: frames.FrameReader) -> dict[str, Any]:
    answer: dict[str, Any] = reader.receive()
    if "error" in answer:
        raise from_name(answer["error"], answer["message"])
    return answer
