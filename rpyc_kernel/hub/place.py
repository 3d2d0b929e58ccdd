"""Where a hub lives: it takes the lock of its name, and goes where the worker of the hub before it is.

The lock stands in the kernel's home beside the journal, so that a name is one kernel whatever the environment of who
starts it. Runtime folders of the same path are told apart by a lock of their own: kernels with different homes must not
take each other's sockets.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from rpyc_kernel.errors import KernelError, KernelExists, RequestError, WorkerBusy
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import Folders
from rpyc_kernel.system import processes
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile

_REAPPEAR_S = 3.0
"""A worker without a hub looks every second whether its socket is still there."""
_LOOK_AGAIN_S = 0.05


class Place(Frozen):
    """A hub's folders, both locked.

    Attributes:
        name: of the kernel.
        home: what stays; of a private kernel the runtime folder itself.
        folder: what can be made again.
        earlier: what the hub before said, if it did not end by itself.
        has_worker: a worker seems to live here.
    """

    name: str
    home: Home
    folder: RuntimeFolder
    earlier: ConnectionFile | None
    has_worker: bool

    def take_back(self) -> None:
        """Leave it as it was found: this hub comes to nothing. Where a worker lives, new files may be that one's."""
        if self.has_worker:
            return
        if self.folder is not self.home:
            self.folder.take_back()
        self.home.take_back()


def take_place(name: str, folders: Folders, *, is_private: bool) -> Place:
    """Become the hub of a name.

    Raises:
        KernelExists: there is one.
        RequestError: a folder cannot be used.
        WorkerBusy: the worker of the hub before lives and cannot be reached.
    """
    usual = RuntimeFolder(folders.runtime / name)
    home = usual if is_private else Home(folders.state / name)
    try:
        if not is_private and os.path.realpath(folders.runtime) == os.path.realpath(folders.state):
            raise RequestError(
                f"RPYC_KERNEL_RUNTIME_DIR and RPYC_KERNEL_STATE_DIR are the same folder, {folders.state}; choose two: "
                "what is in the first goes when a kernel stops"
            )
        if is_private and Home(folders.state / name).has_hub:
            raise KernelExists(_say_running(name, _read(Home(folders.state / name))))
        home.create()
        try:
            home.lock()
        except KernelExists:
            raise KernelExists(_say_running(name, _read(home))) from None
        return _settle(name, home, usual)
    except KernelError:
        home.take_back()  # whoever starts a hub has made it already
        raise


def _settle(name: str, home: Home, usual: RuntimeFolder) -> Place:
    """Find the worker of the hub before, and lock the folder where it is, or else the usual one."""
    earlier = _read(home)
    if earlier is None and home is not usual:
        earlier = _read(usual)  # whoever started it had another release, or the home was removed
    _check_usual(name, home, usual)
    found = _find_worker(earlier, usual)
    folder = usual if home is usual or found is None else found
    if folder is not home:
        try:
            folder.create()
            folder.lock()
        except KernelExists:
            raise KernelExists(_say_running(name, _read(folder))) from None
        except RequestError:
            folder.take_back()
            raise
    return Place(name, home, folder, earlier, found is not None)


def _check_usual(name: str, home: Home, usual: RuntimeFolder) -> None:
    """Keep out of the folder of a kernel with another home, also while only its worker lives."""
    there = _read(usual)
    if there is None or there.home in ("", str(home.path)) or usual.path == home.path:
        return
    if processes.is_alive(there.worker_pid, there.worker_birth):
        raise RequestError(
            f"{usual.path} belongs to another kernel {name!r}, whose home is {there.home}; choose another name, "
            "or set RPYC_KERNEL_RUNTIME_DIR to another folder"
        )


def _find_worker(earlier: ConnectionFile | None, usual: RuntimeFolder) -> RuntimeFolder | None:
    """The folder where the worker of the hub before listens, None if there is none.

    Raises:
        WorkerBusy: it lives, and listens nowhere.
    """
    if earlier is None or not processes.is_alive(earlier.worker_pid, earlier.worker_birth):
        return usual if _is_answered(usual.worker_socket) else None
    known = RuntimeFolder(Path(earlier.unix).parent) if earlier.unix else usual
    places = (known, RuntimeFolder(known.refuge))
    deadline = time.monotonic() + _REAPPEAR_S
    pause = threading.Event()
    while processes.is_alive(earlier.worker_pid, earlier.worker_birth):
        for place in places:
            if _is_answered(place.worker_socket):
                return place
        if time.monotonic() > deadline:
            raise WorkerBusy(
                f"the worker of kernel {earlier.name!r} (process {earlier.worker_pid}) lives, but cannot be reached; "
                f"'rpyc-kernel stop {earlier.name}' ends it with all that it holds"
            )
        pause.wait(_LOOK_AGAIN_S)
    return None


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_REAPPEAR_S)
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _say_running(name: str, file: ConnectionFile | None) -> str:
    where = ""
    if file is not None:
        home = f", home {file.home}" if file.home else ""
        where = f" (hub process {file.hub_pid}{home})"
    return (
        f"kernel {name!r} is running already{where}; connect to it, as with 'rpyc-kernel console {name}', or stop it "
        f"first with 'rpyc-kernel stop {name}'"
    )


def _read(folder: Home) -> ConnectionFile | None:
    try:
        return ConnectionFile.read(folder.connection_file)
    except KernelError:
        return None
