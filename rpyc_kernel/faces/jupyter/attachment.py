"""The bridge's place in a kernel: one that was running and goes on, or one of the bridge's own that ends with it."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rpyc_kernel.client import launch
from rpyc_kernel.client.address import host_of
from rpyc_kernel.core.contract import State
from rpyc_kernel.errors import ConnectionFailed, KernelError, KernelExists, NoSuchKernel
from rpyc_kernel.settings import CONNECTION_FILE_VARIABLE, DEFAULT_SWITCH_INTERVAL_S, Face

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient

_log = logging.getLogger(__name__)
_RETRY_S = 0.3
_DYING_S = 0.5
_CLEARING_S = 60.0
_TIMEOUT_S = 30.0
_OWN = "own-"
"""What the sessions begin with of a bridge that owns its kernel: also those of an earlier one are no others."""


class Attachment:
    """A kernel that the bridge serves.

    Args:
        kernel: the bridge's own connection.
        connect: makes it anew, when the kernel has lost its hub.
        target: how others connect.
        is_owner: whether the kernel ends with the bridge.
        reconnect_s: for how long a connection that is lost is made again. There is a network between only where the
            kernel is on another machine; on this one its hub is gone, and those who wait are told so at once.
    """

    def __init__(
        self,
        kernel: KernelClient,
        connect: Callable[[], KernelClient],
        target: str,
        *,
        is_owner: bool,
        reconnect_s: float = 0.0,
    ) -> None:
        self.kernel = kernel
        self._connect = connect
        self._target = target
        self.is_owner = is_owner
        self._reconnect_s = reconnect_s
        self._has_left = False
        self._lock = threading.Lock()

    @classmethod
    def attach(cls, target: str, patience_s: float = 0.0) -> Attachment:
        """Attach to a running kernel.

        Args:
            target: its name or address.
            patience_s: for how many seconds to try to reach one on another machine, where the connection is lost.

        Raises:
            NoSuchKernel: there is none.
        """
        reconnect_s = patience_s if host_of(target) else 0.0

        def connect() -> KernelClient:
            return launch.connect(target, joins=False, timeout=_TIMEOUT_S, reconnect=reconnect_s)

        return cls(connect(), connect, target, is_owner=False, reconnect_s=reconnect_s)

    @classmethod
    def start(cls, file: Path, meanwhile: Callable[[], object]) -> Attachment:
        """Start a kernel that ends with its last client; it may be there still, if it had other clients.

        Args:
            file: Jupyter's connection file, which names it.
            meanwhile: called while its hub starts; if it fails, the kernel ends, too.

        Raises:
            KernelError: it cannot be started.
        """
        name = name_after(file)
        return cls(_start_anew(name, file, meanwhile), lambda: _take_up(name, file), name, is_owner=True)

    def come_back(self, patience_s: float, leaving: threading.Event) -> bool:
        """Look for the next hub of a kernel that has lost its own; a bridge that owns the kernel starts one.

        Args:
            patience_s: for how many seconds to look.
            leaving: ends it early.
        """
        deadline = time.monotonic() + patience_s
        while not leaving.wait(_RETRY_S) and not self._has_left:
            try:
                # Not under the lock: it may take long, and who leaves meanwhile must not wait for it.
                kernel = self._connect()
            except KernelError as error:
                _log.info("there is no hub so far: %s", error)
            else:
                return self._sit_down(kernel)
            if time.monotonic() >= deadline:
                break
        return False

    def _sit_down(self, kernel: KernelClient) -> bool:
        """Go on with another connection, unless the bridge has left; a kernel of its own then ends."""
        with self._lock:
            if not self._has_left:
                kernel, self.kernel = self.kernel, kernel
            has_left = self._has_left
        if has_left and self.is_owner:
            with suppress(KernelError):
                kernel.shutdown()
        kernel.close()
        return not has_left

    def join(self, name: str) -> KernelClient:
        """Connect once more, as a session of its own."""
        session = _new_session() if self.is_owner else None
        return launch.connect(self._target, name=name, session=session, reconnect=self._reconnect_s)

    def leave(self, restart: Callable[[], object] | None = None) -> None:
        """End the kernel if it is the bridge's, or give it a new namespace if others are to find it again.

        Args:
            restart: gives it one; None if it is not to be found again.
        """
        with self._lock:
            self._has_left = True
        try:
            if restart is not None and (not self.is_owner or _has_others(self.kernel)):
                restart()
            elif self.is_owner:
                self.kernel.shutdown()
        except KernelError:  # it is gone already, or has lost its hub
            # Its next hub may be on the way, which who shuts a notebook down does not wait for: it must find no worker.
            if self.is_owner and not launch.stop_orphan(self._target, patience_s=_DYING_S):
                launch.kill_worker(self._target)

    def close(self) -> None:
        """Leave; a kernel of the bridge's own ends."""
        if not self._has_left:
            self.leave()
        self.kernel.close()


def _start_anew(name: str, file: Path, meanwhile: Callable[[], object]) -> KernelClient:
    """Start a kernel, or join the one that has other clients."""
    deadline = time.monotonic() + _CLEARING_S
    pause = threading.Event()
    while True:
        try:
            if _end_remains(name):
                return _start(name, file, meanwhile)
            return _join(name)
        except (KernelExists, NoSuchKernel, ConnectionFailed):  # the hub of an earlier bridge is just coming or going
            if time.monotonic() >= deadline:
                raise
        pause.wait(_RETRY_S)


def _end_remains(name: str) -> bool:
    """End what is left of an earlier bridge of the same name that was killed; False if that has clients by now."""
    launch.stop_orphan(name)
    try:
        left = launch.connect(name, joins=False, timeout=_TIMEOUT_S, reconnect=0)
    except NoSuchKernel:
        return True
    with left:
        if left.status()["state"] != State.STOPPING and _has_others(left):
            return False
        left.shutdown()
    return True


def _take_up(name: str, file: Path) -> KernelClient:
    """Start the next hub of a kernel, unless somebody else has done so."""
    try:
        return _start(name, file)
    except KernelExists:
        return _join(name)


def _start(name: str, file: Path, meanwhile: Callable[[], object] = lambda: None) -> KernelClient:
    launch.launch(
        name,
        engine="auto",
        python=None,
        cwd=None,
        listen=None,
        switch_interval=DEFAULT_SWITCH_INTERVAL_S,
        profile=True,
        env={CONNECTION_FILE_VARIABLE: os.path.abspath(file)},
        face=Face.NOTEBOOK,
        is_private=True,
        meanwhile=meanwhile,
    )
    return _join(name)


def _join(name: str) -> KernelClient:
    return launch.connect(name, name="jupyter", session=_new_session(), timeout=_TIMEOUT_S, reconnect=0)


def _new_session() -> str:
    return f"{_OWN}{os.urandom(6).hex()}"


def _has_others(kernel: KernelClient) -> bool:
    """Whether clients take part that came by no bridge that owns the kernel."""
    return any(session["connections"] and not str(session["id"]).startswith(_OWN) for session in kernel.sessions())


def name_after(path: Path) -> str:
    """A kernel's name made from that of a connection file, the same whenever the file is."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem.removeprefix("kernel-"))
    return f"jupyter-{stem}"[:64]
