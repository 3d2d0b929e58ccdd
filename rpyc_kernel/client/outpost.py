"""What a client runs on another machine by SSH: it answers one request about the kernels there.

The request is JSON: the argument, or a line on standard input where it has what others must not see, as a user's
variables. The answer is such a line on standard output, behind `outpost_line.ANSWER`. It may have a kernel's key;
neither of them is written to any file, or shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rpyc_kernel.client.address import read_running
from rpyc_kernel.client.outpost_line import ANSWER, TO_STAY
from rpyc_kernel.errors import KernelError, NoSuchKernel
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import check_name
from rpyc_kernel.system import bundle_start

_MANAGER_S = 5.0


def find(name: str) -> dict[str, Any]:
    """What a client needs to connect to a kernel."""
    try:
        file = read_running(check_name(name))
    except NoSuchKernel as error:
        from rpyc_kernel.client import launch  # here, because who finds a kernel needs no more, and waits

        others = [kernel.name for kernel in launch.kernels()]
        if name in others:  # without a hub, as is said already
            raise
        running = f"there run {', '.join(others)}" if others else "no kernel runs"
        raise NoSuchKernel(f"{error}; {running}") from None
    return {"key": file.key, "unix": file.unix, "host": file.host, "port": file.port}


def start(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Start a kernel, which stays when whoever asked for it has logged out."""
    from rpyc_kernel.client import launch

    if settings.get("cwd"):
        settings["cwd"] = os.path.expanduser(settings["cwd"])
    # Named, because what this runs with is the bundle's, and a worker has the packages of its environment.
    launch.launch(check_name(name), python=sys.executable, is_private=False, **settings)
    _note_python()
    return find(name)


def _note_python() -> None:
    """Leave word for who comes next, and may not know of a Python that is not on PATH; see `ssh_command`."""
    from rpyc_kernel.system import bundle_cache

    with contextlib.suppress(OSError):  # then it has to be named again
        path = os.path.join(bundle_cache.cache_folder(), bundle_cache.NOTE)
        bundle_cache.put_file(path, os.fsencode(f"{sys.executable}\n"))


def list_kernels(shows_stopped: bool) -> list[dict[str, Any]]:
    """The kernels that run, and those that left a journal."""
    from rpyc_kernel.client import launch

    found = [fields_of(kernel) for kernel in launch.kernels()]
    if shows_stopped:
        from rpyc_kernel.client.archive import stopped_kernels

        found += map(fields_of, stopped_kernels())
    return found


def count_events(name: str) -> int | None:
    """How many events a journal holds, None if it cannot be read."""
    from rpyc_kernel.client.archive import Archive

    return Archive(name).count()


def stop_orphan(name: str) -> bool:
    """See `launch.stop_orphan`."""
    from rpyc_kernel.client import launch

    return launch.stop_orphan(check_name(name))


def forget(name: str) -> None:
    """See `archive.forget`."""
    from rpyc_kernel.client import archive

    archive.forget(name)


def move_to_stay() -> None:
    """Where the user's service manager goes on after the last log-out, go on as a unit of that; else stay as we are.

    Else a system that ends what a login has left (``KillUserProcesses`` of logind) would end the kernel.
    """
    loginctl, run = shutil.which("loginctl"), shutil.which("systemd-run")
    if loginctl is None or run is None:
        return
    asked = [loginctl, "show-user", str(os.getuid()), "--property=Linger", "--value"]
    into_scope = [run, "--user", "--scope", "--quiet"]
    if _listen_to(asked) != (0, "yes") or _listen_to([*into_scope, "/bin/sh", "-c", ":"]) != (0, ""):
        return
    os.execv(run, [*into_scope, *bundle_start.command(sys.executable, bundle_start.of_this_process(), __spec__.name)])


def _listen_to(command: list[str]) -> tuple[int, str]:
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_MANAGER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 1, ""
    return ended.returncode, ended.stdout.strip()


def main(arguments: list[str]) -> int:
    """Answer the request; returns the exit status."""
    if arguments == [TO_STAY]:
        move_to_stay()
    request = json.loads(sys.stdin.readline() if arguments in ([], [TO_STAY]) else arguments[0])
    answer: dict[str, Any]
    try:
        answer = {"answer": _DO[request.pop("do")](**request)}
    except KernelError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except OSError as error:
        answer = {"error": KernelError.__name__, "message": str(error)}
    print(f"\n{ANSWER}{json.dumps(answer)}", flush=True)  # noqa: T201 - printing is its work
    return 0


_DO: dict[str, Callable[..., Any]] = {
    "find": find,
    "start": start,
    "list": list_kernels,
    "count_events": count_events,
    "stop_orphan": stop_orphan,
    "forget": forget,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
