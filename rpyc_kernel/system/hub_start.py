"""How a hub is started beside this process, and what it answers when clients can connect, or why it cannot run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import CallTimeout, KernelError, from_name
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import SETTINGS_VARIABLE, Folders, HubSettings, WorkerSettings
from rpyc_kernel.system import bundle_start, processes
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.kernel_folder import KernelFolder
from rpyc_kernel.system.originals import json, select, socket

_START_TIMEOUT_S = 30.0
_MAX_SHOWN = 200


def start_hub_beside(name: str, pid: int, shown: str, cwd: str) -> socket.socket:
    """Start the hub of a kernel whose worker is a program that runs already; see `start_hub`.

    Args:
        name: of the kernel.
        pid: the program's process.
        shown: how it was started, for people.
        cwd: where it works.

    Returns:
        The program's end of the socket by which the hub tells it what to do, and that it lives.
    """
    folders = Folders.from_environment()
    home = Home(folders.state / name)
    home.create()
    options = {
        "hub": fields_of(HubSettings()),
        "worker": fields_of(WorkerSettings(cwd=cwd, environment=None)),
        "embedding": {"pid": pid, "shown": shown[:_MAX_SHOWN]},
    }
    told, told_there = socket.socketpair()
    try:
        with told_there:
            start_hub(name, folders, home, options, told_there.fileno())
    except BaseException:
        told.close()
        raise
    return told


def start_hub(
    name: str,
    folders: Folders,
    place: KernelFolder,
    options: dict[str, Any],
    standard_input: int | None,
    *,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Start a hub, and return when clients can connect to it.

    Args:
        name: of the kernel.
        folders: where kernels live.
        place: the folder of this one that is there already, where the hub works.
        options: what the hub is told; see its ``__main__``.
        standard_input: its standard input, None for nothing.
        meanwhile: called while it starts. If that fails, nobody waits for the hub any more.

    Raises:
        KernelError: it cannot run; the hub's own error.
        CallTimeout: it did not answer.
    """
    # Said in full, because the hub runs in another folder, where relative paths would mean something else.
    places = {"RPYC_KERNEL_RUNTIME_DIR": str(folders.runtime), "RPYC_KERNEL_STATE_DIR": str(folders.state)}
    read_end, write_end = os.pipe()
    try:
        child = processes.spawn_module(
            "rpyc_kernel.hub",
            [name],
            bundle=bundle_start.of_this_process(),
            cwd=str(place.path),
            environment={**places, SETTINGS_VARIABLE: json.dumps({**options, "ready": write_end})},
            stdin=processes.NOBODY if standard_input is None else standard_input,
            pass_descriptors=(write_end,),
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    try:
        meanwhile()
        answer = _read_answer(read_end, name, place.log_file)
    finally:
        os.close(read_end)
        child.wait()
    if "error" in answer:
        raise from_name(answer["error"], answer["message"])


def _read_answer(descriptor: int, name: str, log: Path) -> dict[str, Any]:
    data = b""
    answering = select.poll()
    answering.register(descriptor, select.POLLIN)
    while True:
        if not answering.poll(_START_TIMEOUT_S * 1000):
            raise CallTimeout(f"the hub of kernel {name!r} did not come up within {_START_TIMEOUT_S:g} s")
        piece = os.read(descriptor, 65536)
        if not piece:
            break
        data += piece
    if not data:
        raise KernelError(f"the hub of kernel {name!r} ended before it was ready; see {log}")
    answer: dict[str, Any] = json.loads(data)
    return answer
