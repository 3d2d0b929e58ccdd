"""The bridge's place in a kernel: one that was running and goes on, or one of the bridge's own that ends with it."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rpyc_kernel.client import launch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError, KernelExists

_log = logging.getLogger(__name__)
_RETRY_S = 0.3


class Seat:
    """A kernel that the bridge serves.

    Args:
        connect: makes the bridge's own connection.
        target: how others connect.
        is_owner: whether the kernel ends with the bridge.

    Attributes:
        kernel: the bridge's own connection.

    Raises:
        KernelError: there is no such kernel.
    """

    def __init__(self, connect: Callable[[], KernelClient], target: str, *, is_owner: bool) -> None:
        self._connect = connect
        self.kernel = connect()
        self._target = target
        self.is_owner = is_owner
        self._has_left = False
        self._lock = threading.Lock()
        self._sessions = {self.kernel.session}

    @classmethod
    def attach(cls, target: str) -> Seat:
        """Take a seat in a running kernel.

        Raises:
            NoSuchKernel: there is none.
        """
        return cls(lambda: launch.connect(target, joins=False), target, is_owner=False)

    @classmethod
    def start(cls, name: str) -> Seat:
        """Start a kernel that ends with its last client; it may be there still, if it had other clients."""

        def connect() -> KernelClient:
            try:
                return launch.start(name, client_name="jupyter", is_private=True)
            except KernelExists:
                return launch.connect(name, name="jupyter")

        return cls(connect, name, is_owner=True)

    def come_back(self, patience_s: float, leaving: threading.Event) -> bool:
        """Look for the next hub of a kernel that has lost its own; a bridge that owns the kernel starts one.

        Args:
            patience_s: for how many seconds to look.
            leaving: ends it early.
        """
        deadline = time.monotonic() + patience_s
        while not leaving.wait(_RETRY_S) and not self._has_left:
            try:
                with self._lock:  # who leaves meanwhile has to find what was started here
                    kernel = self._connect()
                    self.kernel.close()
                    self.kernel = kernel
                    self._sessions.add(kernel.session)
                return True
            except KernelError as error:
                _log.info("there is no hub so far: %s", error)
            if time.monotonic() >= deadline:
                break
        return False

    def join(self, name: str) -> KernelClient:
        """Connect once more, as a session of its own."""
        kernel = launch.connect(self._target, name=name)
        self._sessions.add(kernel.session)
        return kernel

    def leave(self, *, restart: bool) -> None:
        """End the kernel if it is the bridge's, or give it a new namespace if others are to find it again."""
        with self._lock:
            self._has_left = True
        try:
            if restart and (not self.is_owner or self._has_others()):
                self.kernel.restart()
            elif self.is_owner:
                self.kernel.shutdown()
        except KernelError:  # it is gone already, or has lost its hub
            if self.is_owner:
                launch.stop_orphan(self._target)

    def _has_others(self) -> bool:
        """Whether clients take part that did not come by this process."""
        present = {session["id"] for session in self.kernel.sessions() if session["connections"]}
        return not present <= self._sessions

    def close(self) -> None:
        """Leave; a kernel of the bridge's own ends."""
        if not self._has_left:
            self.leave(restart=False)
        self.kernel.close()


def name_after(path: Path) -> str:
    """A kernel's name made from that of a connection file, the same whenever the file is."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem.removeprefix("kernel-"))
    return f"jupyter-{stem}"[:64]
