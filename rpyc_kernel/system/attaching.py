"""How a running process is brought to run a program of ours: a private file is handed to it by `sys.remote_exec`.

Python looks at such files between two steps of the main thread only. So there is a wait, during which the file has to
be there, and after which it must not be: a process that has not read it is told to read nothing in its place.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rpyc_kernel.errors import CallTimeout, KernelError, RequestError
from rpyc_kernel.system import attach_script, other_pythons, private_files, processes
from rpyc_kernel.system.originals import select, socket, time

_FOLDERS = "/tmp"
_LOOK_S = 0.5
_SAID_AFTER_S = 1.0
_SUDO_S = 60.0
_SEND = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"
_REFUSED_THERE = "Remote debugging is not enabled in the remote process"
_REFUSED_HERE = "Remote debugging is not enabled"
_SWITCHES = "PYTHON_DISABLE_REMOTE_DEBUG or -X disable-remote-debug"


class Handover:
    """A process is given a request by way of `attach_script`, and answers on a socket; a context manager.

    Args:
        pid: the process.
        request: what `attach_script.begin` is given, beside where it answers.
        by_sudo: let sudo hand it over, for a user who may not.
    """

    def __init__(self, pid: int, request: dict[str, Any], *, by_sudo: bool = False) -> None:
        self._pid = pid
        self._birth = processes.birth_of(pid)
        self._request = request
        self._by_sudo = by_sudo
        self._folder = Path()
        self._is_pending = False

    def __enter__(self) -> Handover:
        self._folder = Path(tempfile.mkdtemp(prefix="rpyc-kernel-attach-", dir=_FOLDERS))
        try:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._folder / "socket"))
            self._listener.listen(1)
            private_files.write_private(self._script, self._write().encode())
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        try:
            if self._is_pending:
                self._withdraw()
        finally:
            self._clear()

    @property
    def _script(self) -> Path:
        return self._folder / "script.py"

    def _write(self) -> str:
        request = {**self._request, "script": str(self._script), "socket": str(self._folder / "socket")}
        return f"{inspect.getsource(attach_script)}\n\nbegin({request!a})\n"

    def _clear(self) -> None:
        self._listener.close()
        for name in ("script.py", "script.new", "socket"):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    # ------------------------------------------------------------------ handing over

    def send(self) -> None:
        """Hand it over; what comes of it, `wait` tells.

        Raises:
            RequestError: the process cannot be reached; the message says why, and what to do.
        """
        if not self._is_seen():
            raise RequestError(
                f"process {self._pid} does not see the {_FOLDERS} of this one, as in a container or a service of "
                "systemd with PrivateTmp; attach from within, as by 'docker exec' or 'nsenter -m'"
            )
        self._exec(str(self._script))
        self._is_pending = True

    def _is_seen(self) -> bool:
        """Whether the process finds the script under its path; True also where that cannot be known."""
        try:
            return os.path.samestat(os.stat(f"/proc/{self._pid}/root{self._script}"), self._script.stat())
        except FileNotFoundError:
            return not os.path.isdir(f"/proc/{self._pid}/root")
        except OSError:
            return True

    def _exec(self, path: str, *, asks: bool = True) -> None:
        if self._by_sudo:
            _exec_by_sudo(self._pid, path, asks=asks)
            return
        try:
            sys.remote_exec(self._pid, path)  # type: ignore[attr-defined, unused-ignore]
        except (OSError, RuntimeError) as error:
            raise RequestError(_explain(self._pid, error)) from None

    def _withdraw(self) -> None:
        """Have it read nothing: a file that is gone would be an error in its terminal."""
        with contextlib.suppress(RequestError):
            self._exec(os.devnull, asks=False)

    def wait(self, timeout_s: float, tell: Callable[[str], None]) -> socket.socket:
        """Wait until the process has read it; returns the socket on which it answers.

        Args:
            timeout_s: for how long.
            tell: called with what it waits for, each time that this is something new.

        Raises:
            CallTimeout: it has not.
            KernelError: it has ended.
        """
        began = time.monotonic()
        said = ""
        while not select.select([self._listener], [], [], _LOOK_S)[0]:
            now = time.monotonic()
            if not processes.is_alive(self._pid, self._birth):
                self._is_pending = False
                raise KernelError(f"process {self._pid} has ended before a kernel was opened in it")
            why = other_pythons.describe_wait(self._pid)
            if now >= began + timeout_s:
                raise CallTimeout(
                    f"process {self._pid} has come to no line of Python within {timeout_s:g} s: {why}. Nothing was "
                    "changed in it; have it do something, or try again with a longer --timeout"
                )
            if why != said and now >= began + _SAID_AFTER_S:
                said = why
                tell(f"process {self._pid} has come to no line of Python yet: {why}")
        self._is_pending = False
        return self._listener.accept()[0]


def _exec_by_sudo(pid: int, path: str, *, asks: bool) -> None:
    command = ["sudo", *([] if asks else ["-n"]), "--", sys.executable, "-I", "-c", _SEND, str(pid), path]
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=_SUDO_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RequestError(f"sudo did not help: {error}") from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or f"it exited with status {done.returncode}"
        raise RequestError(f"sudo did not help: {last}")


def _explain(pid: int, error: OSError | RuntimeError) -> str:
    """Why a process could not be reached, and what to do."""
    if any(isinstance(each, PermissionError) for each in _chain(error)):
        return f"this user may not look into process {pid}{_say_rule()}; 'rpyc-kernel attach {pid} --sudo' asks sudo to"
    if isinstance(error, ProcessLookupError) or not processes.is_alive(pid):
        return f"process {pid} has just ended"
    if str(error) == _REFUSED_THERE:
        return (
            f"process {pid} was started so that nobody can attach to it ({_SWITCHES}); start it again without, or have "
            "it open itself with rpyc_kernel.embed()"
        )
    if str(error) == _REFUSED_HERE:
        return f"this Python was started so that it cannot attach ({_SWITCHES}); start it again without"
    because = f" ({error.__cause__})" if error.__cause__ else ""
    return f"process {pid} cannot be attached to: {error}{because}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _say_rule() -> str:
    if sys.platform == "darwin":
        return " (macOS lets only root, or a Python signed with the entitlement com.apple.security.cs.debugger)"
    try:
        level = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text("ascii"))
    except (OSError, ValueError):
        return ""
    return f" (kernel.yama.ptrace_scope is {level}: 'sysctl kernel.yama.ptrace_scope=0' lets users)" if level else ""
