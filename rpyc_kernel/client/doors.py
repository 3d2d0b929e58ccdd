"""Ways to a hub: each opens a plain socket on which the handshake can begin."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from rpyc_kernel.client.whereabouts import look_in
from rpyc_kernel.errors import ConnectionFailed, NoSuchKernel
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.addresses import bracket
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire.connection_file import ConnectionFile

DOOR_S = 3.0
LOOK_AGAIN_S = 0.02


class Door(Protocol):
    """One way to a hub, which can be gone again and again."""

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """Connect a plain socket; returns it, and what names the secure channel below it, b"" where there is none.

        Raises:
            OSError: nobody listens there.
            ConnectionFailed: it leads nowhere, or not to whom it should.
            NoSuchKernel: the kernel has ended.
        """


class UnixDoor(Frozen):
    """A hub's unix socket on this machine.

    Attributes:
        path: of the socket.
        home: the kernel's home, which tells where the socket is when it has moved; or "".
    """

    path: str
    home: str = ""

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """See `Door`."""
        try:
            return open_unix(self.path, timeout_s), b""
        except OSError:
            if not self.home:
                raise
            sock = self._open_moved(timeout_s)
            if sock is not None:
                return sock, b""
            place = look_in(self.home)
            if place.has_hub:
                raise
            # A kernel that has ended takes away what leads to it; a hub that died does not.
            has_ended = place.file is None and place.folder.path.is_dir()
            raise (NoSuchKernel if has_ended else ConnectionFailed)(place.describe_absence()) from None

    def _open_moved(self, timeout_s: float) -> socket.socket | None:
        """The socket where it is now: a folder that vanished is made again, here or somewhere else; None without."""
        home = Home(Path(self.home))
        deadline = time.monotonic() + min(timeout_s, DOOR_S)
        pause = threading.Event()
        while home.has_hub and time.monotonic() < deadline:
            with contextlib.suppress(NoSuchKernel, OSError):
                return open_unix(ConnectionFile.read(home.connection_file).unix, timeout_s)
            pause.wait(LOOK_AGAIN_S)
        return None


class TcpDoor(Frozen):
    """A hub's TCP port, which nothing protects from who can read the network between: for this machine, and tunnels.

    Attributes:
        host: a name or an address.
        port: the port, 0 where the kernel has none.
    """

    host: str
    port: int

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """See `Door`."""
        if not self.port:
            raise ConnectionFailed("the kernel has no TCP port, and its unix socket is not on this machine")
        return socket.create_connection((self.host, self.port), timeout=timeout_s), b""


def why_lost(sock: socket.socket) -> str:
    """What is known of the end of a socket that a door has opened, in words; "" where nothing is."""
    tls = sys.modules.get("rpyc_kernel.wire.tls")  # else no socket has to do with it
    return tls.why_lost(sock) if tls is not None else ""


class TlsDoor(Frozen):
    """A hub's TCP port behind TLS.

    Attributes:
        host: a name or an address.
        port: the port.
        fingerprint: SHA-256 of the certificate that it has to show, b"" for any; see `Door`.
        certificate: the path of the client's own certificate with its private key, "" without.
    """

    host: str
    port: int
    fingerprint: bytes = b""
    certificate: str = ""

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """See `Door`; raises `CertificateChanged` where it leads to somebody else."""
        from rpyc_kernel.wire import tls  # and OpenSSL with it, which clients on the same machine do not need

        deadline = time.monotonic() + timeout_s
        context = tls.client_context(Path(self.certificate) if self.certificate else None)
        sock = socket.create_connection((self.host, self.port), timeout=timeout_s)
        shown = f"{bracket(self.host)}:{self.port}"
        return tls.connect(sock, context, deadline - time.monotonic(), shown=shown, fingerprint=self.fingerprint)


def open_unix(path: str, timeout_s: float) -> socket.socket:
    """Connect to a unix socket on this machine; raises `OSError` where nobody listens."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock
