"""A private folder of one kernel: what may stand in it, who holds it, how it is made and taken away.

Nothing is touched that no kernel made: a folder goes by a list of the names that are put into it. One that holds
anything else, is a link, or belongs to another user is refused before anything in it is changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import stat
from pathlib import Path

from rpyc_kernel.errors import KernelExists, RequestError
from rpyc_kernel.system.originals import threading, time

LOCK_PATIENCE_S = 0.1
"""For those who only look whether a lock is held, and for a hub that is removing its folder."""
_MOST_NAMED = 3
# What file managers and file systems put everywhere: a Finder, an NFS or FUSE whose file was removed while open.
_PASSED_OVER = (".DS_Store", "._*", ".nfs*", ".fuse_hidden*")


def make_folders(path: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone, whatever the umask allows."""
    if not path.is_dir():
        make_folders(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)  # the umask may have taken even this


class KernelFolder:
    """A folder with a lock, a connection file and a log. Nobody but their owner can enter it.

    Attributes:
        MADE: the names of what kernels put there, as patterns.
        VARIABLE: the environment variable that chooses another place.
    """

    WRITTEN: tuple[str, ...] = (
        "hub.lock",
        "hub.log",
        "kernel.json",
        "kernel.new",
        "key",
        "key.new",
        "certificate.pem",
        "certificate.new",
        "private-key.pem",
        "private-key.new",
    )
    """What is opened by its name: through a link, somebody's file would be written, and a pipe is waited for."""
    MADE = WRITTEN
    VARIABLE = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._before: frozenset[str] = frozenset()

    @property
    def connection_file(self) -> Path:
        """Says how to reach the hub."""
        return self.path / "kernel.json"

    @property
    def log_file(self) -> Path:
        """What the hub says of itself."""
        return self.path / "hub.log"

    @property
    def _lock_file(self) -> Path:
        return self.path / "hub.lock"

    # ------------------------------------------------------------------ making it

    def create(self) -> None:
        """Make the folder for this user alone; one that is there is checked, and closed to others with what is in it.

        Raises:
            RequestError: it cannot be made, or is not this kernel's to use.
        """
        try:
            make_folders(self.path.parent)
            try:
                self.path.mkdir(mode=0o700)
            except FileExistsError:
                pass
            else:
                self.path.chmod(0o700)  # whatever the umask has left of it
            self._close_to_others()
        except OSError as error:
            raise RequestError(
                f"the folder {self.path} cannot be used: {error.strerror or error}; {self._remedy}"
            ) from None

    def _close_to_others(self) -> None:
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                raise
            raise RequestError(f"{self.path} is a link or a file, no folder of a kernel; {self._remedy}") from None
        try:
            found = os.fstat(folder)
            if found.st_uid != os.getuid():
                raise RequestError(f"{self.path} belongs to another user; {self._remedy}")
            names = os.listdir(folder)
            strange = sorted(name for name in names if not self.made(name) and not _matches(name, _PASSED_OVER))
            if strange:
                more = f" and {len(strange) - _MOST_NAMED} more" if len(strange) > _MOST_NAMED else ""
                raise RequestError(
                    f"{self.path} holds what no kernel made: {', '.join(strange[:_MOST_NAMED])}{more}; "
                    f"choose another name for the kernel, or {self._remedy}"
                )
            odd = sorted(name for name in names if name in self.WRITTEN and _is_no_file(name, folder))
            if odd:
                raise RequestError(
                    f"{self.path} holds a link, a folder or a pipe where a kernel would write a file: "
                    f"{', '.join(odd)}; remove it, or {self._remedy}"
                )
            if stat.S_IMODE(found.st_mode) & 0o077:
                os.fchmod(folder, 0o700)
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # a journal's companions come and go
                    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                    if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode):
                        os.chmod(name, 0o700 if stat.S_ISDIR(mode) else 0o600, dir_fd=folder)
        finally:
            os.close(folder)

    @property
    def _remedy(self) -> str:
        return f"set {self.VARIABLE} to a folder of yours"

    def made(self, name: str) -> bool:
        """Whether this is the name of something a kernel puts here."""
        return _matches(name, self.MADE)

    def files(self) -> list[Path]:
        """What kernels have put here, but for folders."""
        try:
            return [path for path in self.path.iterdir() if self.made(path.name) and not path.is_dir()]
        except OSError:
            return []

    # ------------------------------------------------------------------ holding it

    def lock(self, patience_s: float = LOCK_PATIENCE_S) -> None:
        """Become the one hub of this folder, until `unlock` or the process's end; KernelExists where another is."""
        deadline = time.monotonic() + patience_s
        pause = threading.Event()
        while not self._try_lock():
            if time.monotonic() >= deadline:
                raise KernelExists(
                    f"kernel {self.path.name!r} is running already; connect to it, as with 'rpyc-kernel console "
                    f"{self.path.name}', or stop it first with 'rpyc-kernel stop {self.path.name}'"
                )
            pause.wait(0.01)

    def _try_lock(self) -> bool:
        try:
            fd = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            self.create()  # the hub before removed its folder just now
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = self._stands_here(fd)
        except OSError:
            is_ours = False
        if not is_ours:
            os.close(fd)
            return False
        self.unlock()
        self._lock = fd
        self._before = frozenset(os.listdir(self.path)) - {self._lock_file.name}
        return True

    def _stands_here(self, fd: int) -> bool:
        """Whether this is still the lock that others meet; one on a file that was removed keeps nobody out."""
        try:
            return os.path.samestat(os.fstat(fd), self._lock_file.stat())
        except OSError:
            return False

    @property
    def is_held(self) -> bool:
        """Whether this very object holds the lock that others meet."""
        return self._lock is not None and self._stands_here(self._lock)

    def unlock(self) -> None:
        """Leave the kernel to others again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def has_hub(self) -> bool:
        """Whether a living hub holds the lock."""
        try:
            fd = os.open(self._lock_file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # nobody can tell
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    # ------------------------------------------------------------------ taking it away

    def clear(self, keep: tuple[Path, ...] = ()) -> None:
        """Remove what an earlier life of this kernel left, but for ``keep``, the lock and the log."""
        for path in self.files():
            if path not in keep and path != self._lock_file and not path.name.startswith(self.log_file.name):
                with contextlib.suppress(OSError):
                    path.unlink()

    def take_back(self) -> None:
        """Remove what has come since this was locked, and leave it: who locked it comes to nothing.

        What has come beside a journal that was there belongs to it, or is what was set aside of it as damaged.
        """
        if not self.is_held:
            with contextlib.suppress(OSError):  # there is something in it, of somebody else
                self.path.rmdir()
            return
        if not self._before:
            self.remove()
        else:
            self.clear(keep=tuple(p for p in self.files() if p.name in self._before or p.name.startswith("journal")))
        self.unlock()

    def remove(self) -> None:
        """Remove what kernels made, the lock last, and the folder if nothing else is in it."""
        self.clear()
        with contextlib.suppress(OSError):
            for path in self.files():
                if path != self._lock_file:
                    path.unlink(missing_ok=True)
            self._lock_file.unlink(missing_ok=True)
            self.path.rmdir()


def _is_no_file(name: str, folder: int) -> bool:
    try:
        return not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:  # such as a connection file that takes the place of the one before just now
        return False


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(_expression_of(pattern).fullmatch(name) for pattern in patterns)


@functools.cache
def _expression_of(pattern: str) -> re.Pattern[str]:
    """As the shell reads it, but ``[0-9]*`` stands for numbers: ``ring-1.txt`` is somebody's file, no ring."""
    numbers = re.escape("[0-9]*")
    return re.compile(re.escape(pattern).replace(numbers, "[0-9][0-9-]*").replace(re.escape("*"), ".*"), re.DOTALL)
