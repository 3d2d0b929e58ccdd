"""Somebody's Python process, seen from outside: whose it is, which Python it runs, what it waits for."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

from rpyc_kernel.system import processes

_FIRST = (3, 14)
_LARGEST = 2**31 - 1
_EMBED = "the program can open itself, with rpyc_kernel.embed()"
_OF_FILES = re.compile(r"python(\d)\.(\d+)|cpython-(\d)(\d+)")


def find_hindrance(pid: int) -> str:
    """Say what keeps this process from having another one run a script, and what to do; "" where nothing is known."""
    if pid == os.getpid():
        return f"process {pid} is this one; open it with rpyc_kernel.embed()"
    if not 0 < pid <= _LARGEST or not processes.is_alive(pid):
        return f"there is no process {pid}; 'pgrep -a python' lists those of Python"
    version = version_of(pid)
    if version == ():
        return f"process {pid} runs no Python ({processes.program_of(pid) or 'its program cannot be seen'})"
    if version is not None and version < _FIRST:
        return f"process {pid} runs Python {_show(version)}; attaching takes {_show(_FIRST)} or newer there: {_EMBED}"
    own = sys.version_info[:2]
    if version not in (None, own):
        path = processes.program_of(pid) or f"python{_show(version)}"
        return (
            f"process {pid} runs Python {_show(version)}, and this is Python {_show(own)}; attach with the same: "
            f"'{path} -m rpyc_kernel attach {pid}'"
        )
    if not hasattr(sys, "remote_exec"):
        return (
            f"this is Python {_show(own)}; attaching takes {_show(_FIRST)} or newer, not built without remote debugging"
        )
    owner = owner_of(pid)
    if owner not in (None, os.geteuid()):
        name = user_name(owner)
        return f"process {pid} is user {name}'s; attach as that user: 'sudo -u {name} rpyc-kernel attach {pid}'"
    return ""


def _show(version: tuple[int, ...] | None) -> str:
    return ".".join(map(str, version or ()))


def version_of(pid: int) -> tuple[int, ...] | None:
    """Which Python a process runs, by the names of its files; () for none, None where that cannot be seen."""
    names = [processes.program_of(pid)]
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as lines:
            names += [line.split(maxsplit=5)[-1] for line in lines if "python" in line]
    except OSError:
        if not names[0]:
            return None
    for name in names:
        if found := _OF_FILES.search(os.path.basename(name)):
            major, minor = (found[1], found[2]) if found[1] else (found[3], found[4])
            return int(major), int(minor)
    return None if any("python" in name for name in names) else ()


def owner_of(pid: int) -> int | None:
    """The user whose process it is, None where that cannot be known."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        pass
    asked = subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(asked.stdout) if asked.stdout.strip().isdigit() else None


def user_name(number: int | None) -> str:
    """A user's name, or number where it has none."""
    try:
        return pwd.getpwuid(number or 0).pw_name
    except KeyError:
        return f"#{number}"


def describe_wait(pid: int) -> str:
    """What keeps a process's main thread from its next line of Python, as far as the system tells."""
    state = processes.state_of(pid)
    if state in ("T", "t"):
        return f"it is stopped; 'kill -CONT {pid}' lets it go on"
    if state == "R":
        return "its main thread is busy in code of C"
    if not state:
        return "its main thread may wait in the system"
    try:
        where = Path(f"/proc/{pid}/wchan").read_text("ascii", "replace").strip("0")
    except OSError:
        where = ""
    return f"its main thread waits in the system{f' ({where})' if where else ''}, for a key, a request, a time"
