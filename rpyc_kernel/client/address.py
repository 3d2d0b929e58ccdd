"""Where a kernel is: by its name, its connection file, or an address with a key."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from rpyc_kernel.client.whereabouts import Whereabouts, find
from rpyc_kernel.errors import CallTimeout, ConnectionFailed, NoSuchKernel, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import check_name
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.handshake import Identity

_DOOR_S = 3.0
_LOOK_AGAIN_S = 0.02


class Address(Frozen):
    """One way to reach a hub.

    Attributes:
        shown: how to name it to people.
        key: the shared secret.
        unix: the path of a unix socket, or "".
        host: the host, where there is no unix socket.
        port: the TCP port.
        home: the kernel's home on this machine, which tells where the socket is when it has moved; or "".
    """

    shown: str
    key: bytes
    unix: str = ""
    host: str = ""
    port: int = 0
    home: str = ""

    def enter(self, channel: int, identity: Identity, timeout_s: float) -> tuple[socket.socket, Identity]:
        """Connect a socket, and go through the handshake; returns it, and who the hub says the client is.

        Raises:
            ConnectionFailed: or one of its kinds.
        """
        deadline = time.monotonic() + timeout_s
        sock = self.open(timeout_s)
        try:
            return sock, handshake.greet_hub(sock, self.key, channel, identity, deadline - time.monotonic())
        except CallTimeout:
            sock.close()
            raise CallTimeout(
                f"{self.shown} took the connection but said nothing for {timeout_s:g} s: its hub is stopped or very "
                "busy, or the way to it is blocked; 'rpyc-kernel list' shows what runs on its machine"
            ) from None
        except BaseException:
            sock.close()
            raise

    def open(self, timeout_s: float) -> socket.socket:
        """Connect a socket; raises `ConnectionFailed` where nobody listens there."""
        try:
            if not self.unix:
                if not self.port:
                    raise ConnectionFailed(f"{self.shown} has no TCP port, and its unix socket is not on this machine")
                return socket.create_connection((self.host, self.port), timeout=timeout_s)
            return _open_unix(self.unix, timeout_s)
        except OSError as error:
            sock = self._open_moved(timeout_s) if self.home else None
            if sock is None:
                raise ConnectionFailed(f"cannot connect to {self.shown}: {error}") from None
            return sock

    def _open_moved(self, timeout_s: float) -> socket.socket | None:
        """The socket where it is now: a folder that vanished is made again, here or somewhere else; None without."""
        home = Home(Path(self.home))
        deadline = time.monotonic() + min(timeout_s, _DOOR_S)
        pause = threading.Event()
        while home.has_hub and time.monotonic() < deadline:
            with contextlib.suppress(NoSuchKernel, OSError):
                file = ConnectionFile.read(home.connection_file)
                if bytes.fromhex(file.key) != self.key:
                    return None  # another life of this name
                return _open_unix(file.unix, timeout_s)
            pause.wait(_LOOK_AGAIN_S)
        return None


def _open_unix(path: str, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def resolve(target: str | os.PathLike[str], key: str | None = None) -> Address:
    """Find the address of a kernel.

    Args:
        target: a kernel's name, the path of a connection file, ``tcp://host:port`` or ``unix:///path``.
        key: the secret in hexadecimal digits for the last two; else the environment's ``RPYC_KERNEL_KEY`` says.

    Raises:
        NoSuchKernel: there is no such kernel, or only what is left of it.
        RequestError: the target cannot be understood.
    """
    text = os.fspath(target)
    if "://" in text:
        return _resolve_url(text, key)
    if is_place(text):
        return from_file(ConnectionFile.read(Path(text)))
    return from_file(read_running(check_name(text)))


def is_place(target: str) -> bool:
    """Whether a target is the path of a connection file, or an address, and no kernel's name."""
    return os.sep in target or target.endswith(".json")


def from_file(file: ConnectionFile) -> Address:
    """The address in a connection file: the unix socket if it is on this machine, else TCP."""
    unix = file.unix if os.path.exists(file.unix) else ""
    return Address(f"kernel {file.name!r}", bytes.fromhex(file.key), unix, file.host, file.port, file.home)


def read_running(name: str) -> ConnectionFile:
    """Read the connection file of a kernel whose hub runs on this machine.

    Raises:
        NoSuchKernel: it never ran, has ended, or has lost its hub.
    """
    place = find(name)
    file = place.file
    if file is not None and place.has_hub:
        return _wait_for_door(place, file)
    if file is not None and place.has_worker:
        raise NoSuchKernel(
            f"the hub of kernel {name!r} is gone, but its worker (process {file.worker_pid}) still holds the "
            f"namespace; take it up again with 'rpyc-kernel start {name}'"
        )
    seen = place.folder.last_seen
    when = f" (last seen {time.strftime('%Y-%m-%d %H:%M', time.localtime(seen))})" if seen else ""
    raise NoSuchKernel(f"kernel {name!r} is not running{when}; start it with 'rpyc-kernel start {name}'")


def _wait_for_door(place: Whereabouts, file: ConnectionFile) -> ConnectionFile:
    """A hub makes a socket that has vanished again; only one with a port can be reached meanwhile."""
    deadline = time.monotonic() + _DOOR_S
    pause = threading.Event()
    while not file.port and not os.path.exists(file.unix) and time.monotonic() < deadline:
        pause.wait(_LOOK_AGAIN_S)
        file = place.read_again().file or file
    return file


def _resolve_url(text: str, key: str | None) -> Address:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise RequestError(f"{text} cannot be understood: {error}") from None
    if parts.scheme == "ssh":
        raise RequestError(
            f"{text}: kernels are not reached by SSH yet; forward a port with 'ssh -L' and use tcp://127.0.0.1:PORT"
        )
    secret = key or os.environ.get("RPYC_KERNEL_KEY", "")
    if parts.scheme == "unix" and not secret:
        beside = Path(parts.path).parent / "kernel.json"
        if beside.exists():
            secret = ConnectionFile.read(beside).key
    if not secret:
        raise RequestError(f"{text} needs the kernel's key; set RPYC_KERNEL_KEY to the 'key' of its connection file")
    try:
        raw, port = bytes.fromhex(secret), parts.port
    except ValueError as error:
        raise RequestError(f"{text} or its key cannot be understood: {error}") from None
    if parts.scheme == "unix" and parts.path:
        return Address(text, raw, unix=parts.path)
    if parts.scheme == "tcp" and parts.hostname and port:
        return Address(text, raw, host=parts.hostname, port=port)
    raise RequestError(
        f"{text!r} is no kernel's address; use a name, a connection file, tcp://host:port or unix:///path"
    )
