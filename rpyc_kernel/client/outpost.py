"""What a client runs on another machine by SSH: it answers one request about the kernels there.

The request is a line of JSON on standard input, the answer one on standard output, behind `ssh.ANSWER`. Both have what
others must not see, the key of a kernel and a user's variables; neither is written to any file, or shown.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rpyc_kernel.client import launch
from rpyc_kernel.client.address import read_running
from rpyc_kernel.client.archive import stopped_kernels
from rpyc_kernel.client.ssh import ANSWER
from rpyc_kernel.errors import KernelError, NoSuchKernel
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import check_name


def find(name: str) -> dict[str, Any]:
    """What a client needs to connect to a kernel."""
    try:
        file = read_running(check_name(name))
    except NoSuchKernel as error:
        running = ", ".join(kernel.name for kernel in launch.kernels())
        raise NoSuchKernel(f"{error}; {f'there run {running}' if running else 'no kernel runs'}") from None
    return {"key": file.key, "unix": file.unix, "host": file.host, "port": file.port}


def start(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Start a kernel, which stays when whoever asked for it has logged out."""
    if settings.get("cwd"):
        settings["cwd"] = os.path.expanduser(settings["cwd"])
    launch.launch(check_name(name), python=None, is_private=False, **settings)
    return find(name)


def list_kernels(shows_stopped: bool) -> list[dict[str, Any]]:
    """The kernels that run, and those that left a journal."""
    found = [fields_of(kernel) for kernel in launch.kernels()]
    return [*found, *map(fields_of, stopped_kernels())] if shows_stopped else found


def stop_orphan(name: str) -> bool:
    """See `launch.stop_orphan`."""
    return launch.stop_orphan(check_name(name))


def main() -> int:
    """Answer the request; returns the exit status."""
    request = json.loads(sys.stdin.readline())
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
    "stop_orphan": stop_orphan,
}

if __name__ == "__main__":
    sys.exit(main())
