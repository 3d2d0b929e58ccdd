"""Which processes there are, whose children they are, and what they were started with.

Read from /proc where there is one, else asked of `ps`.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()


@dataclass(frozen=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    is_zombie: bool


def list_processes() -> list[Process]:
    """Every process of this machine that can be seen."""
    return _list_by_proc() if HAS_PROC else _list_by_ps()


def list_children() -> list[Process]:
    """The children of this process, with those that ended and that nobody has waited for."""
    if not _has_children():
        return []
    return [process for process in list_processes() if process.parent == os.getpid()]


def list_descendants() -> list[Process]:
    """The children of this process, their children, and so on."""
    return find_descendants(list_processes()) if _has_children() else []


def find_descendants(processes: list[Process]) -> list[Process]:
    """Those among processes that descend from this one."""
    family = {os.getpid()}
    # A parent may stand behind its child in the list, so one pass does not do.
    while grown := {process.pid for process in processes if process.parent in family} - family:
        family |= grown
    return [process for process in processes if process.pid in family - {os.getpid()}]


def read_command(pid: int) -> str:
    """The command line, empty where there is none: the process has gone, or is a zombie."""
    if HAS_PROC:
        return " ".join(_read_strings(pid, "cmdline"))
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()


def was_started_with(pid: int, name: str, value: str) -> bool:
    """Whether the environment variable had this value when the process began. Without /proc nobody knows."""
    return HAS_PROC and f"{name}={value}" in _read_strings(pid, "environ")


def suspend(pid: int) -> None:
    """Stop a process, and wait until it has stopped: before one of its threads takes the signal, all of them go on."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _is_suspended(pid), what=f"process {pid} to stop")


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Have a process stand still meanwhile."""
    suspend(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_suspended(pid: int) -> bool:
    if not HAS_PROC:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
        return state.startswith("T")
    try:
        threads = list((PROC / str(pid) / "task").iterdir())
        return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)
    except OSError:  # one has just ended
        return False


def _has_children() -> bool:
    """The cheap question that spares most tests a walk through the process table."""
    if not hasattr(os, "waitid"):
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _read_strings(pid: int, name: str) -> list[str]:
    try:
        content = (PROC / str(pid) / name).read_bytes()
    except OSError:  # gone, or another user's
        return []
    return os.fsdecode(content).rstrip("\0").split("\0")


def _list_by_proc() -> list[Process]:
    return [process for entry in os.listdir(PROC) if entry.isdigit() and (process := _read_stat(int(entry)))]


def _read_stat(pid: int) -> Process | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses, which may itself contain spaces and parentheses.
    state, parent = stat[stat.rindex(")") + 1 :].split()[:2]
    return Process(pid, int(parent), is_zombie=state in "ZX")


def _list_by_ps() -> list[Process]:
    with subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True) as ps:
        lines = ps.communicate()[0].splitlines()
    processes = (Process(int(pid), int(parent), state.startswith("Z")) for pid, parent, state in map(str.split, lines))
    return [process for process in processes if process.pid != ps.pid]
