"""What a running kernel needs and can make again: its sockets, its ring, and what is too large for the ring.

The folder may vanish at any time, as all of them do when a user logs out. So nothing is kept here that cannot be made
again, and the folder can stand somewhere else from then on.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from zlib import crc32

from rpyc_kernel.errors import RequestError
from rpyc_kernel.settings import last_resort
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.originals import socket

_MAX_SOCKET_PATH = 103
"""macOS allows 104 bytes with the final NUL, Linux 108."""


class RuntimeFolder(Home):
    """The paths of one running kernel, wherever the folder stands at the moment.

    A private kernel has no other home than this.
    """

    MADE = (
        *Home.MADE,
        "hub.sock",
        "objects.sock",
        "rpyc.sock",
        "worker.sock",
        "ring-[0-9]*",
        "stacks-[0-9]*",
        "spill-[0-9]*",
        "ipykernel_cell-[0-9]*.py",
    )
    VARIABLE = "RPYC_KERNEL_RUNTIME_DIR"

    @property
    def hub_socket(self) -> Path:
        """Where the hub listens."""
        return self.path / "hub.sock"

    @property
    def rpyc_socket(self) -> Path:
        """Where the hub listens for stock RPyC clients."""
        return self.path / "rpyc.sock"

    @property
    def objects_socket(self) -> Path:
        """Where the hub listens for stock RPyC clients that want live objects; the worker serves them."""
        return self.path / "objects.sock"

    @property
    def worker_socket(self) -> Path:
        """Where the worker listens for hubs."""
        return self.path / "worker.sock"

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
        return [path for path in self.files() if path.name.startswith(("ring-", "stacks-", "spill-", "ipykernel_"))]

    def write_spill(self, generation: int, number: int, data: bytes) -> None:
        """Keep one event that is too large for the ring; raises `OSError` where there is no room for it."""
        try:
            fd = os.open(self.spill(generation, number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except FileNotFoundError:  # the folder has vanished, and the hub has not noticed yet
            with contextlib.suppress(RequestError):
                self.create()
            fd = os.open(self.spill(generation, number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
        except OSError:
            with contextlib.suppress(OSError):
                self.spill(generation, number).unlink()
            raise

    def create(self) -> None:
        """Make the folder; RequestError also where its path is too long for a socket."""
        longest = str(self.objects_socket)
        if len(os.fsencode(longest)) > _MAX_SOCKET_PATH:
            raise RequestError(
                f"{longest} is longer than the {_MAX_SOCKET_PATH} bytes a socket may have; "
                "use a shorter kernel name or set RPYC_KERNEL_RUNTIME_DIR to a shorter folder"
            )
        if self.path.parent == last_resort():
            _claim(self.path.parent)
        super().create()

    def settle(self) -> None:
        """Make the folder, or another one where this one can no longer stand; `path` says where it is then."""
        try:
            self.create()
        except RequestError as error:
            refuge = self.refuge
            if refuge == self.path:
                raise
            there = RuntimeFolder(refuge)
            try:
                there.create()
            except RequestError:
                raise error from None
            self.unlock()
            self.path = refuge

    @property
    def refuge(self) -> Path:
        """Where the folder goes when nothing can be made in its place any more; hub and worker both know it."""
        top = last_resort()
        if self.path.parent == top:
            return self.path
        return top / f"{self.path.name}-{crc32(os.fsencode(self.path)):08x}"


def listen(path: Path, backlog: int) -> socket.socket:
    """Listen on a unix socket of this user alone, in place of whatever listened there."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        listener.bind(str(path))
        os.chmod(path, 0o600)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _claim(folder: Path) -> None:
    """Make a folder where everybody can make folders, so that nobody else's is taken for it."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise RequestError(f"the folder {folder} cannot be made: {error}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise RequestError(f"{folder} belongs to another user; set RPYC_KERNEL_RUNTIME_DIR to a folder of yours")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
