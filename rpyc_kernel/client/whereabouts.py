"""Which kernels of this user there are on this machine, and where: by their homes, whatever the environment says.

A kernel's home says where its hub is. A private kernel has nothing but a runtime folder.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import Folders
from rpyc_kernel.system import processes
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile


class Whereabouts(Frozen):
    """One place where a kernel is or was: its home, or the runtime folder where that is all, and what its hub says."""

    folder: Home
    file: ConnectionFile | None

    @property
    def has_hub(self) -> bool:
        """Whether its hub runs."""
        return self.folder.has_hub

    @property
    def has_worker(self) -> bool:
        """Whether its worker lives."""
        return self.file is not None and processes.is_alive(self.file.worker_pid, self.file.worker_birth)

    @property
    def runtime(self) -> RuntimeFolder | None:
        """Where its sockets are, None if that is not known."""
        if isinstance(self.folder, RuntimeFolder):
            return self.folder
        return RuntimeFolder(Path(self.file.unix).parent) if self.file is not None and self.file.unix else None

    def read_again(self) -> Whereabouts:
        """What is there now."""
        return _look(self.folder)

    def describe_absence(self) -> str:
        """Why there is no hub here, and what to do."""
        name = self.folder.path.name
        if self.file is not None and self.has_worker:
            return (
                f"the hub of kernel {name!r} is gone, but its worker (process {self.file.worker_pid}) still holds the "
                f"namespace; take it up again with 'rpyc-kernel start {name}'"
            )
        seen = self.folder.last_seen
        when = f" (last seen {time.strftime('%Y-%m-%d %H:%M', time.localtime(seen))})" if seen else ""
        return f"kernel {name!r} is not running{when}; start it with 'rpyc-kernel start {name}'"


def look_in(home: str) -> Whereabouts:
    """What is in a kernel's home."""
    return _look(Home(Path(home)))


def find(name: str) -> Whereabouts:
    """Where the kernel of this name is; if there is none, where it would be or was."""
    folders = Folders.from_environment()
    home, usual = _look(Home(folders.state / name)), _look(RuntimeFolder(folders.runtime / name))
    for place in (home, usual):
        if place.has_hub:
            return place
    for place in (home, usual):
        if place.has_worker:
            return place
    return home if home.folder.path.exists() else usual


def find_all() -> Iterator[Whereabouts]:
    """All places of kernels, by name; a kernel that has a home and a runtime folder comes once."""
    folders = Folders.from_environment()
    homes = [_look(Home(path)) for path in _list(folders.state)]
    known = {place.runtime.path for place in homes if place.runtime is not None}
    others = [_look(RuntimeFolder(path)) for path in _list(folders.runtime) if path not in known]
    yield from sorted([*homes, *others], key=lambda place: place.folder.path.name)


def _list(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _look(folder: Home) -> Whereabouts:
    try:
        return Whereabouts(folder, ConnectionFile.read(folder.connection_file))
    except NoSuchKernel:
        return Whereabouts(folder, None)
