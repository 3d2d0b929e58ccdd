"""Where a kernel is: by its name, its connection file, or an address with a key."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rpyc_kernel.client import connect_string
from rpyc_kernel.client.connect_string import ConnectString
from rpyc_kernel.client.doors import DOOR_S, LOOK_AGAIN_S, Door, TcpDoor, TlsDoor, UnixDoor, why_lost
from rpyc_kernel.client.whereabouts import Whereabouts, find
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, ConnectionFailed, ConnectionLost, KernelError, NoSuchKernel, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import check_name
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.keys import Key

if TYPE_CHECKING:
    from rpyc_kernel.client.ssh import Target


_SSH = "ssh://"
_WHERE_NOBODY_LISTENS = "; nothing listens there: see whether host and port are right, and whether the kernel runs"
_FORWARD = (
    "or the SSH server there forwards no unix sockets, which AllowStreamLocalForwarding in its sshd_config lets it do"
)
_TAKE_UP = "if it stays away, take it up again with 'rpyc-kernel start {}'"


class Address(Frozen):
    """One way to reach a hub.

    Attributes:
        shown: how to name it to people.
        key: what this client proves that it knows.
        door: the way to the hub.
        name: what the kernel has to be called there, "" where the address does not say so.
        key_source: where the key came from, in words, "" for what the address leads to.
    """

    shown: str
    key: Key
    door: Door
    name: str = ""
    key_source: str = ""

    def enter(
        self, channel: int, identity: Identity, timeout_s: float, *, was_there: bool = False
    ) -> tuple[socket.socket, Identity]:
        """Connect a socket, and go through the handshake; returns it, and who the hub says the client is.

        Args:
            channel: what the connection is for.
            identity: who the client says it is.
            timeout_s: for both.
            was_there: whether the hub has answered by this way before.

        Raises:
            ConnectionFailed: or one of its kinds.
        """
        deadline = time.monotonic() + timeout_s
        sock, binding = self.open(timeout_s)
        try:
            left_s = deadline - time.monotonic()
            return sock, handshake.greet_hub(sock, self.key, channel, identity, left_s, binding, self.key_source)
        except CallTimeout:
            sock.close()
            raise CallTimeout(
                f"{self.shown} took the connection but said nothing for {show_seconds(timeout_s)} s: its hub is "
                f"stopped or very busy, or the way to it is blocked; {_how_to_list(self.shown)} shows what runs on its "
                "machine"
            ) from None
        except ConnectionLost:
            reason = why_lost(sock)
            sock.close()
            if reason:
                raise ConnectionLost(f"{self.shown}: {reason}") from None
            if is_on_other_machine(self.shown):  # where the way is there, whoever is at its end
                raise ConnectionFailed(
                    f"nobody answers at {self.shown}: its hub has ended, or is starting; "
                    + (_TAKE_UP.format(self.shown) if was_there else _FORWARD)
                ) from None
            raise
        except BaseException:
            sock.close()
            raise

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """Open the door; raises `ConnectionFailed` where nobody listens there."""
        try:
            return self.door.open(timeout_s)
        except OSError as error:
            if isinstance(error, ConnectionFailed) and type(error) is not ConnectionFailed:
                raise  # of a kind that says more
            advice = _WHERE_NOBODY_LISTENS if isinstance(error, ConnectionRefusedError) else ""
            raise ConnectionFailed(f"cannot connect to {self.shown}: {error}{advice}") from None


def resolve(target: str | os.PathLike[str], key: str | None = None) -> Address:
    """Find the address of a kernel.

    Args:
        target: a kernel's name, the path of a connection file, a connect string (``rpyc+tls://…``),
            ``ssh://host/name``, ``tcp://host:port`` or ``unix:///path``.
        key: the kernel's key in hexadecimal digits for ``tcp://``, ``unix://`` and ``rpyc+tls://``; else the
            environment's ``RPYC_KERNEL_KEY`` says. A connect string has its own.

    Raises:
        NoSuchKernel: there is no such kernel, or only what is left of it.
        RequestError: the target cannot be understood.
    """
    text = os.fspath(target)
    if text.startswith(f"{connect_string.SCHEME}:"):
        return _resolve_tls(text, key)
    if is_on_other_machine(text):
        return _resolve_ssh(text)
    if "#" in text:
        shown = connect_string.shown_of(text)
        raise RequestError(f"{shown!r} with what stands behind it is no connect string, which begins as rpyc+tls://")
    if "://" in text:
        return _resolve_url(text, key)
    if is_place(text):
        return from_file(ConnectionFile.read(Path(text)))
    return from_file(read_running(check_name(text)))


def is_on_other_machine(target: str) -> bool:
    """Whether a target is the address of a host that SSH leads to, or of a kernel there."""
    return target.startswith(_SSH)


def _how_to_list(shown: str) -> str:
    """The command that lists what runs where this address leads to; for others than by SSH it has to be given there."""
    if not is_on_other_machine(shown):
        return "'rpyc-kernel list'"
    from rpyc_kernel.client.ssh import parse

    return f"'rpyc-kernel list {parse(shown).host_url}'"


def name_secret(target: str) -> str:
    """The environment variable that has to have the secret for a target whenever it is resolved; "" if none has to."""
    if target.startswith(f"{connect_string.SCHEME}:"):
        return connect_string.VARIABLE
    return "RPYC_KERNEL_KEY" if target.startswith("tcp://") else ""


def is_place(target: str) -> bool:
    """Whether a target is the path of a connection file, or an address, and no kernel's name."""
    return os.sep in target or target.endswith(".json")


def host_of(target: str) -> str:
    """The machine that an address names, "" for what is on this one by its name or path, or no address at all."""
    with contextlib.suppress(ValueError):
        return (urlsplit(target).hostname or "") if "://" in target else ""
    return ""


def from_file(file: ConnectionFile) -> Address:
    """The address in a connection file: the unix socket if it is on this machine, else TCP."""
    is_here = os.path.exists(file.unix)
    if is_here:
        door: Door = UnixDoor(file.unix, file.home)
    elif file.fingerprint:
        door = TlsDoor(file.host, file.port, bytes.fromhex(file.fingerprint), _own_certificate())
    else:
        door = TcpDoor(file.host, file.port)
    return Address(f"kernel {file.name!r}", Key(bytes.fromhex(file.key)), door)


def read_running(name: str) -> ConnectionFile:
    """Read the connection file of a kernel whose hub runs on this machine.

    Raises:
        NoSuchKernel: it never ran, has ended, or has lost its hub.
    """
    try:
        place = find(name)
        file = place.file
        if file is not None and place.has_hub:
            return _wait_for_door(place, file)
    except OSError as error:
        if isinstance(error, KernelError):
            raise
        raise ConnectionFailed(f"cannot look for kernel {name!r}: {error}") from None
    raise NoSuchKernel(place.describe_absence())


def _wait_for_door(place: Whereabouts, file: ConnectionFile) -> ConnectionFile:
    """A hub makes a socket that has vanished again; only one with a port can be reached meanwhile."""
    deadline = time.monotonic() + DOOR_S
    pause = threading.Event()
    while not file.port and not os.path.exists(file.unix) and time.monotonic() < deadline:
        pause.wait(LOOK_AGAIN_S)
        file = place.read_again().file or file
    return file


def _resolve_ssh(text: str) -> Address:
    from rpyc_kernel.client import ssh  # and processes with it, which clients on the same machine do not need

    target = ssh.parse_kernel(text)
    return from_answer(target, ssh.ask(target, {"do": "find", "name": target.name}))


def from_answer(target: Target, found: dict[str, str]) -> Address:
    """The address of a kernel on another machine, of which a command there has told; see `outpost`."""
    from rpyc_kernel.client import ssh
    from rpyc_kernel.client.ssh_command import understanding

    with understanding(target.host_url):
        key, path = Key(bytes.fromhex(found["key"])), str(found["unix"])
    return Address(target.url, key, ssh.door(target, path))


def _resolve_tls(text: str, key: str | None) -> Address:
    has_own = "#" in text or connect_string.is_remembered(text)
    own = key or ("" if has_own else os.environ.get("RPYC_KERNEL_KEY", ""))
    if own:
        host, port, name = connect_string.parse_place(connect_string.shown_of(text))
        known = ConnectString(host, port, name, _own_key(f"{host}:{port}", own), b"")
    else:
        known = connect_string.parse(text)
    door = TlsDoor(known.host, known.port, known.fingerprint, _own_certificate())
    return Address(known.shown, known.key, door, known.name, _source_of(key) if own else "")


def _source_of(key: str | None) -> str:
    """Where a key came from that is no connection file's, in words."""
    return "the key that was given" if key else "the key in RPYC_KERNEL_KEY"


def _own_certificate() -> str:
    return os.environ.get("RPYC_KERNEL_CLIENT_CERTIFICATE", "")


def _own_key(shown: str, secret: str) -> Key:
    try:
        return Key(bytes.fromhex(secret))
    except ValueError:
        raise RequestError(f"the key for {shown} cannot be understood: it is not in hexadecimal digits") from None


def _resolve_url(text: str, key: str | None) -> Address:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise RequestError(f"{text} cannot be understood: {error}") from None
    if parts.scheme not in ("unix", "tcp"):
        raise _no_address(text)
    secret = key or os.environ.get("RPYC_KERNEL_KEY", "")
    source = _source_of(key) if secret else ""
    if parts.scheme == "unix" and not secret:
        beside = Path(parts.path).parent / "kernel.json"
        if beside.exists():
            secret = ConnectionFile.read(beside).key
    if not secret:
        raise RequestError(f"{text} needs the kernel's key; set RPYC_KERNEL_KEY to the 'key' of its connection file")
    known = _own_key(text, secret)
    try:
        port = parts.port
    except ValueError as error:
        raise RequestError(f"{text} cannot be understood: {error}") from None
    if parts.scheme == "unix" and parts.path:
        return Address(text, known, UnixDoor(parts.path), key_source=source)
    if parts.scheme == "tcp" and parts.hostname and port:
        return Address(text, known, TcpDoor(parts.hostname, port), key_source=source)
    raise _no_address(text)


def _no_address(text: str) -> RequestError:
    return RequestError(
        f"{text!r} is no kernel's address; use a name, a connection file, a connect string, "
        "ssh://host/name, tcp://host:port or unix:///path"
    )
