"""Processes: starting them, whether they live, how they ended, their memory, their children, where they stand."""

from __future__ import annotations

import contextlib
import os
import resource  # noqa: F401 - `os.wait4` imports it when called: too late where there is no descriptor left
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system import bundle_start
from rpyc_kernel.system.originals import select, threading, time

INTERRUPT_SIGNAL: int = signal.SIGRTMIN + 6 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR1
"""Says that the hub wants an execution interrupted. Not SIGINT: that one is the user's own, as in any program."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ask a command to end: Ctrl-C, whoever stops it, a terminal that is closed."""

NUDGE_SIGNAL: int = signal.SIGURG
"""Does nothing but end a wait, after which Python runs the handlers of signals that came before."""

if TYPE_CHECKING:
    import subprocess

NOBODY = -3
"""`subprocess.DEVNULL`, without what comes with it."""

_MAX_CHILDREN = 4096
_ENDING_S = 0.25


class Ending(Frozen):
    """How a process ended.

    Attributes:
        reason: in words, as ``killed by SIGKILL`` or ``exited with status 3``.
        exit_code: its exit status, negative for the signal that killed it; None where nobody can know.
        peak_memory_bytes: the most it ever held, where the system tells.
    """

    reason: str
    peak_memory_bytes: int | None = None
    exit_code: int | None = None


def birth_of(pid: int | None) -> str:
    """What tells a process from a later one of the same number; "" where the system does not tell at little cost."""
    _, birth = _look_at(pid)
    return birth


def is_alive(pid: int | None, birth: str = "") -> bool:
    """Whether a process of this number, and of this birth if one is given, exists and is not a zombie."""
    if not pid:
        return False
    state, its_birth = _look_at(pid)
    if state in ("Z", "X") or (birth and its_birth not in ("", birth)):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _look_at(pid: int | None) -> tuple[str, str]:
    """A process's state, as ``R``, and its birth; both "" where the system does not tell at little cost."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""


def memory_bytes(pid: int) -> int | None:
    """Resident memory in bytes where the system tells at little cost (Linux), else None."""
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return resident_pages * os.sysconf("SC_PAGE_SIZE") or None


def kill(pid: int, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal to exactly this process; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal or a debugger of C; False where the system does not tell."""
    return state_of(pid) in ("T", "t")


def state_of(pid: int) -> str:
    """What a process does, as the system's letter for it, ``S`` for waiting; "" where it does not tell."""
    return _look_at(pid)[0]


def would_end(pid: int, number: int) -> bool:
    """Whether a signal would end a process, as it neither handles nor ignores it; False where the system does not tell.

    User code may have given up the kernel's handlers with its own: recipes reset all signals.
    """
    status = _read_status(pid)
    return is_alive(pid) and "SigCgt" in status and not _is_in(status, number, "SigCgt", "SigIgn")


def _read_status(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _is_in(status: dict[str, str], number: int, *masks: str) -> bool:
    return any(int(status.get(mask, "0"), 16) >> (number - 1) & 1 for mask in masks)


def exit_status(code: int) -> int:
    """What the system keeps of the number that a program ends with; Python takes one that C cannot hold for -1."""
    return code & 0xFF if -(2**63) <= code < 2**63 else 0xFF


def has_children() -> bool:
    """Whether this process has children, also such as have ended and that nobody has waited for."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children_of(pid: int, thread: int | None = None) -> list[int]:
    """The processes that a process, or this thread of it, has started itself and that are its own still.

    Of a thread there are none where the system does not tell.
    """
    if sys.platform == "darwin":
        return _ask_libproc(pid) if thread is None else []
    try:
        threads = os.listdir(f"/proc/{pid}/task") if thread is None else [str(thread)]
    except OSError:
        return []
    found: list[int] = []
    for name in threads:
        try:
            found += map(int, Path(f"/proc/{pid}/task/{name}/children").read_bytes().split())
        except FileNotFoundError:
            if Path(f"/proc/{pid}/task/{name}").exists():  # a system made without these files
                return _search_table(pid) if thread is None else []
        except OSError:
            continue
    return found


def foreground_of(pid: int, spared: Collection[int] = (), thread: int | None = None) -> list[int]:
    """The descendants of the leader of a process group that are in its group, as a terminal's Ctrl-C finds them.

    Those of ``spared`` children are left out; of a thread, see `children_of`.
    """
    found: list[int] = []
    children = [child for child in children_of(pid, thread) if child not in spared]
    while children:
        child = children.pop()
        children += children_of(child)
        if _group_of(child) == pid:
            found.append(child)
    return found


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _search_table(pid: int) -> list[int]:
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            if int(Path(f"/proc/{entry}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry))
    return found


if sys.platform == "darwin":
    import ctypes

    def _ask_libproc(pid: int) -> list[int]:
        numbers = (ctypes.c_int * _MAX_CHILDREN)()
        count = ctypes.CDLL(None).proc_listchildpids(pid, numbers, ctypes.sizeof(numbers))
        return list(numbers[: max(0, count)])


def program_of(pid: int) -> str:
    """The file that a process runs, "" where the system does not tell at little cost."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def end_group(leader: int) -> None:
    """End what is left of a process group whose leader is gone, as a terminal does that is closed: by SIGHUP.

    Who ignores that signal, as nohup sees to, stays. Before it there is a moment for those that end with the leader by
    themselves, and may have something to clear up.
    """
    pause = threading.Event()
    deadline = time.monotonic() + _ENDING_S
    with contextlib.suppress(OSError):  # there is nobody (left)
        while time.monotonic() < deadline:
            os.killpg(leader, 0)
            pause.wait(0.01)
        for number in (signal.SIGHUP, signal.SIGCONT):
            os.killpg(leader, number)


def detach() -> None:
    """Go on as a process that is nobody's child, so that whoever started this one has nothing to wait for.

    Must be called before there are threads.
    """
    if os.fork():
        os._exit(0)


_SECRETS = ("RPYC_KERNEL_KEY", "RPYC_KERNEL_INVITATION")

_CHILDREN: set[int] = set()
"""Those whose end somebody here waits for."""
_starting = threading.Lock()
"""Held until a child that is started is known as such."""


class Child:
    """A process this one started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        _CHILDREN.add(process.pid)

    def wait(self) -> Ending:
        """Wait for its end."""
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        _CHILDREN.discard(self.pid)
        unit = 1 if sys.platform == "darwin" else 1024
        return Ending(describe_exit(code), usage.ru_maxrss * unit, code)


def collect_orphans() -> None:
    """Take note of the ends of children that this process has not started, so that nothing is left of them.

    The first process of a container gets all those whose parents have ended.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return
    with _starting, contextlib.suppress(ChildProcessError):  # there are no children
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in _CHILDREN:  # who waits for it takes it away, and then come the others
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


class AdoptedProcess:
    """A process some earlier hub started: its end can be seen, its exit status cannot."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> Ending:
        """Wait for its end."""
        with contextlib.suppress(AttributeError, OSError):
            fd = os.pidfd_open(self.pid)
            try:
                ending = select.poll()
                ending.register(fd, select.POLLIN)
                ending.poll()
            finally:
                os.close(fd)
        pause = threading.Event()
        while is_alive(self.pid):
            pause.wait(0.1)
        return Ending("ended (how is unknown: it was started by an earlier hub)")


def describe_exit(code: int) -> str:
    """Say in words what an exit code (negative: a signal) means."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"


def spawn_module(
    module: str,
    arguments: list[str],
    *,
    cwd: str,
    python: str = "",
    bundle: str = "",
    environment: dict[str, str] | None = None,
    stdin: int = NOBODY,
    stdout: int = NOBODY,
    stderr: int = NOBODY,
    pass_descriptors: tuple[int, ...] = (),
    umask: int = -1,
) -> Child:
    """Start ``python -m module`` in a session of its own, so that no terminal's Ctrl-C reaches it.

    With a ``bundle`` (see `bundle_start`) the packages that the interpreter's environment lacks are found there.
    ``cwd`` should be a folder without modules: ``-m`` puts it first in the path, before the standard library.

    Raises:
        OSError: the interpreter or the folder is not there.
    """
    import subprocess  # here: who only looks at processes needs nothing of it

    with _starting:
        process = subprocess.Popen(
            bundle_start.command(python or sys.executable, bundle, module, *arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env={**environment_without_secrets(), **_path_to_this_package(), **(environment or {})},
            pass_fds=pass_descriptors,
            start_new_session=True,
            umask=umask,
        )
        return Child(process)


def become_module(
    module: str, arguments: list[str], *, cwd: str, environment: dict[str, str], bundle: str = ""
) -> NoReturn:
    """Go on as ``python -m module``, the same process to whoever started it; as `spawn_module` otherwise.

    Raises:
        OSError: the folder is not there.
    """
    environment = {**environment_without_secrets(), **_path_to_this_package(), **environment}
    os.chdir(cwd)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(sys.executable, bundle_start.command(sys.executable, bundle, module, *arguments), environment)


def environment_without_secrets() -> dict[str, str]:
    """This process's environment, without what it proves its rights on other kernels by: user code could read that."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}


def working_folder() -> str:
    """Where this process works; the root where that folder was removed."""
    try:
        return os.getcwd()
    except OSError:
        return os.sep


def _path_to_this_package() -> dict[str, str]:
    """What a child needs to find this package if this process found it only because it runs in its folder."""
    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root != working_folder() or root in known:
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (root, *known)))}
