"""Sees to it that a kernel can be found: its lock, its sockets and its connection file stand where others look.

The folders may vanish at any time: at a log-out, or under a cleaner of temporary files. What is missing is made again
within a second, at the same place where that is possible.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from rpyc_kernel.errors import KernelError, KernelExists
from rpyc_kernel.frozen import changed
from rpyc_kernel.hub.doors import Doors
from rpyc_kernel.hub.place import Place
from rpyc_kernel.wire.connection_file import ConnectionFile

_log = logging.getLogger(__name__)

LOOK_S = 1.0


class Keeper:
    """Keeps what a kernel is found by.

    Args:
        place: the kernel's folders.
        file: what to say about the kernel; its paths are filled in.
        doors: the hub's unix sockets.
    """

    def __init__(self, place: Place, file: ConnectionFile, doors: Doors) -> None:
        self._place = place
        self._file = file
        self._doors = doors
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def publish(self, worker_pid: int | None, generation: int, worker_birth: str) -> None:
        """Say which worker there is."""
        with self._lock:
            self._file = changed(self._file, worker_pid=worker_pid, generation=generation, worker_birth=worker_birth)
            self._try(self._write)

    def retell(self, tell: Callable[[ConnectionFile], ConnectionFile]) -> None:
        """Say something else of the kernel: what ``tell`` makes of what is said."""
        with self._lock:
            self._file = tell(self._file)
            self._try(self._write)

    def look(self, listen: Callable[[str], None] | None) -> None:
        """Make again what is missing.

        Args:
            listen: asks the worker to listen in a folder, None while there is no worker.
        """
        with self._lock:
            is_home_kept = self._place.home is self._place.folder or self._try(self._keep_home)
            if self._try(lambda: self._keep_folder(listen)) and is_home_kept:
                self._told.clear()

    def _keep_home(self) -> None:
        if not self._place.home.is_held:
            self._place.home.create()
            self._place.home.lock()

    def _keep_folder(self, listen: Callable[[str], None] | None) -> None:
        folder = self._place.folder
        if not folder.is_held:
            _log.warning("the folder %s has vanished; it is made again", folder.path)
            self._move()
        if not self._doors.are_there:
            self._doors.reopen()
        if listen is not None and not folder.worker_socket.is_socket():
            listen(str(folder.path))
        if not all(self._is_said(path) for path in self._connection_files):
            self._write()

    def _move(self) -> None:
        folder = self._place.folder
        folder.settle()
        try:
            folder.lock()
        except KernelExists:  # somebody else's meanwhile
            folder.path = folder.refuge
            folder.create()
            folder.lock()
        _log.info("the kernel's sockets are in %s", folder.path)

    def _write(self) -> None:
        place = self._place
        home = "" if place.home is place.folder else str(place.home.path)
        self._file = changed(self._file, unix=str(place.folder.hub_socket), home=home)
        for path in self._connection_files:
            self._file.write(path)

    def _is_said(self, path: Path) -> bool:
        try:
            return ConnectionFile.read(path) == self._file
        except KernelError:
            return False

    @property
    def _connection_files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._place.folder.connection_file, self._place.home.connection_file)))

    def _try(self, do: Callable[[], None]) -> bool:
        """Do it, and say once what is in the way: it is tried again in a second. Returns whether it is done."""
        try:
            do()
        except (OSError, KernelError) as error:
            if str(error) not in self._told:
                self._told.add(str(error))
                _log.error("the kernel may not be found: %s", error)
            return False
        return True
