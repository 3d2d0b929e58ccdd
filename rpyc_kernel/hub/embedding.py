"""A worker that is somebody's program: it has asked for a hub, is told its generation, and is never ended by it.

It stands where a process stands that the hub has started: see `worker_process`. What ends is the program's connection,
with the program or without.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from rpyc_kernel.core.contract import WORKER_VERSION
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import WorkerSettings
from rpyc_kernel.system import frames, processes
from rpyc_kernel.system.originals import threading
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen

_BACKLOG = 8
_ENDING_S = 1.0
_LOOK_S = 0.01


class EmbeddingProgram:
    """The process of a program that has embedded its kernel.

    Args:
        told: a socket to it, on which it says that it goes on without the kernel.

    Attributes:
        pid: its number.
        shown: how it was started.
        has_left: set when its connection is over.
    """

    def __init__(self, told: socket.socket, pid: int, shown: str) -> None:
        self._told = told
        self.pid = pid
        self.shown = shown
        self._birth = processes.birth_of(pid)
        self.has_left = threading.Event()

    def __str__(self) -> str:
        return f"{self.shown} (process {self.pid})"

    def wait(self) -> processes.Ending:
        """Wait for the end of its kernel."""
        self.has_left.wait()
        deadline = time.monotonic() + _ENDING_S
        pause = threading.Event()
        while processes.is_alive(self.pid, self._birth) and time.monotonic() < deadline and not self._goes_on():
            pause.wait(_LOOK_S)
        if processes.is_alive(self.pid, self._birth):
            return processes.Ending(f"the program that it was embedded in goes on without it: {self}")
        return processes.Ending(f"the program that it was embedded in has ended: {self}")

    def _goes_on(self) -> bool:
        """Whether it has said so: while it waits for the end of this hub, its own would be waited for in vain."""
        self._told.setblocking(False)
        with contextlib.suppress(OSError):
            return bool(self._told.recv(1))
        return False


class EmbeddedProcess:
    """As a `WorkerProcess`, for a program that is there already.

    Args:
        folder: the kernel's runtime folder.
        settings: of the worker.
        embedding: the program's number, and how it was started.
        told: a socket to it, which stays open for as long as this hub lives.
    """

    def __init__(self, folder: RuntimeFolder, settings: WorkerSettings, embedding: dict[str, Any], told: int) -> None:
        self._folder = folder
        self._settings = settings
        self._told = socket.socket(fileno=told)
        self._told.set_inheritable(False)
        self.child = EmbeddingProgram(self._told, **embedding)
        self._listener = listen(folder.worker_socket, _BACKLOG)

    def tell(self, generation: int) -> None:
        """Tell the program which generation it is, and hand over what it listens on."""
        message = {
            "version": WORKER_VERSION,
            "generation": generation,
            "settings": fields_of(self._settings),
            "folder": str(self._folder.path),
        }
        with contextlib.suppress(OSError), self._listener:  # one that is gone is found out later
            frames.send(self._told, message, (self._listener.fileno(),))

    def give_up(self) -> str:
        """Say what is known of a program that did not come up."""
        return f"({self.child}) did not come up"

    def close(self) -> None:
        """Nothing is left to close: the socket to the program says by its end that this hub is gone."""
