"""Where a running kernel is found: one private folder per name, with its sockets, ring and connection file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from rpyc_kernel.errors import KernelExists, RequestError
from rpyc_kernel.system.originals import threading, time

_MAX_SOCKET_PATH = 103
"""macOS allows 104 bytes with the final NUL, Linux 108."""
LOCK_PATIENCE_S = 0.1
"""For those who only look whether a lock is held, and for a hub that is removing its folder."""


class RuntimeFolder:
    """The paths of one kernel. Nobody but their owner can enter the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection_file = path / "kernel.json"
        self.hub_socket = path / "hub.sock"
        self.rpyc_socket = path / "rpyc.sock"
        self.worker_socket = path / "worker.sock"
        self.log_file = path / "hub.log"
        self._lock_file = path / "hub.lock"
        self._lock: int | None = None

    def ring(self, generation: int) -> Path:
        """The output ring of a generation."""
        return self.path / f"ring-{generation}"

    def stacks(self, generation: int) -> Path:
        """Where the worker's C-level fault handler writes stacks."""
        return self.path / f"stacks-{generation}"

    def spill(self, generation: int, number: int) -> Path:
        """One event too large for the ring."""
        return self.path / f"spill-{generation}-{number}"

    @property
    def cells(self) -> str:
        """What the paths begin with of sources that a debugger reads.

        JupyterLab knows by it that a path is that of a cell, and shows the cell's name instead.
        """
        return str(self.path / "ipykernel_cell-")

    def worker_files(self) -> list[Path]:
        """What workers of all generations have left: rings, stacks, spilled events, sources for debuggers."""
        return [
            path for path in self.path.iterdir() if path.name.startswith(("ring-", "stacks-", "spill-", "ipykernel_"))
        ]

    def create(self) -> None:
        """Make the folder for this user alone.

        Raises:
            RequestError: somebody else owns it, or its path is too long for a socket.
        """
        longest = str(self.worker_socket)
        if len(os.fsencode(longest)) > _MAX_SOCKET_PATH:
            raise RequestError(
                f"{longest} is longer than the {_MAX_SOCKET_PATH} bytes a socket may have; "
                "use a shorter kernel name or set RPYC_KERNEL_RUNTIME_DIR to a shorter folder"
            )
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        found = self.path.stat()
        if found.st_uid != os.getuid():
            raise RequestError(f"{self.path} belongs to another user; set RPYC_KERNEL_RUNTIME_DIR to a folder of yours")
        if stat.S_IMODE(found.st_mode) & 0o077:
            self.path.chmod(0o700)

    def lock(self, patience_s: float = LOCK_PATIENCE_S) -> None:
        """Become the one hub of this kernel, until `unlock` or the process's end.

        Args:
            patience_s: for how many seconds to wait for another's end.

        Raises:
            KernelExists: another hub is.
        """
        deadline = time.monotonic() + patience_s
        pause = threading.Event()
        while not self._try_lock():
            if time.monotonic() >= deadline:
                raise KernelExists(
                    f"kernel {self.path.name!r} is running already; connect to it, or stop it first "
                    f"with 'rpyc-kernel stop {self.path.name}'"
                )
            pause.wait(0.01)

    def _try_lock(self) -> bool:
        try:
            fd = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            self.create()  # the hub before removed its folder just now
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that was removed meanwhile keeps nobody out.
            is_ours = os.path.samestat(os.fstat(fd), self._lock_file.stat())
        except OSError:
            is_ours = False
        if not is_ours:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def unlock(self) -> None:
        """Leave the kernel to others again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def has_hub(self) -> bool:
        """Whether a living hub holds the lock."""
        try:
            fd = os.open(self._lock_file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def clear(self, keep: tuple[Path, ...] = ()) -> None:
        """Remove what an earlier life of this kernel left, but for ``keep``, the lock and the log."""
        kept = {self._lock_file, self.log_file, *keep}
        for path in self.path.iterdir():
            if path not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()

    def remove(self) -> None:
        """Remove the folder with everything in it; the lock goes last."""
        with contextlib.suppress(OSError):
            self.clear()
            self.log_file.unlink(missing_ok=True)
            self._lock_file.unlink(missing_ok=True)
            self.path.rmdir()
