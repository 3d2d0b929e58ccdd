"""Where a hub can be reached by TCP, and what protects what is said there.

What leaves the machine is protected by TLS, or somebody has said that it need not be. Everywhere it is told which:
whether a listener is `plain` (nobody but this machine can reach it), `tls`, or `insecure`. A listener that is lost
with its hub is there again, under the same port, with the next one: clients come back to where they were.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rpyc_kernel.core.contract import Security
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen, changed
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.system.addresses import is_loopback
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.handshake import NEEDS_TLS

if TYPE_CHECKING:  # with OpenSSL, which hubs do without that listen on this machine alone
    import ssl

    from rpyc_kernel.wire.tls import ClientCertificate, Relay

_log = logging.getLogger(__name__)
_BACKLOG: Final = 128


class Listening(Frozen, eq=False):
    """One listener.

    Attributes:
        host: what was asked for.
        port: what it is.
        security: one of `Security`.
        sock: listens.
        fingerprint: of the certificate, b"" without TLS.
    """

    host: str
    port: int
    security: str
    sock: socket.socket
    fingerprint: bytes = b""

    def tell(self) -> dict[str, Any]:
        """What is told of it; where it has TLS also the `fingerprint` of the certificate, in hexadecimal digits."""
        known = {"fingerprint": self.fingerprint.hex()} if self.fingerprint else {}
        return {"host": self.host, "port": self.port, "security": self.security, **known}


class Listeners:
    """All of them.

    Args:
        home: where the kernel's certificate is.
        settings: of the hub, which say where to listen first.
        earlier: what the hub before said, if it did not end by itself.

    Raises:
        RequestError: one cannot be, or what is to protect it is missing.
    """

    def __init__(self, home: Home, settings: HubSettings, earlier: ConnectionFile | None) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self.fingerprint = b""
        self._own = _certificate_of(settings) or (earlier and _certificate_of(earlier)) or None
        self.all: list[Listening] = []
        self._opened: list[Callable[[Listening], None]] = []
        for host, port, security in (earlier and earlier.listening) or ():
            try:
                self._begin(str(host), int(port), str(security))
            except RequestError as error:
                _log.error("what listened before does no longer: %s", error)
        try:
            if settings.host:
                self._begin_with(settings)
        except BaseException:
            self.close()
            raise

    def _begin_with(self, settings: HubSettings) -> None:
        security = decide_security(settings.host, wants_tls=settings.tls, is_insecure=settings.insecure)
        found = self._find(settings.host, settings.port, security) or self._begin(
            settings.host, settings.port, security
        )
        self.all.remove(found)
        self.all.insert(0, found)

    def accept(self, sock: socket.socket, timeout_s: float) -> tuple[Relay, ClientCertificate | None]:
        """Take a connection of a listener with TLS, as `wire.tls.accept` does."""
        assert self._context is not None
        relay, certificate = self._accept(sock, self._context, timeout_s, to_plain=NEEDS_TLS)
        if certificate is not None and self._own is not None and self._own[2]:
            certificate = changed(certificate, invitation="")  # somebody else has signed it, who invites nobody
        return relay, certificate

    def tell(self) -> list[dict[str, Any]]:
        """What is told of each."""
        return [each.tell() for each in self.all]

    def describe(self, file: ConnectionFile) -> ConnectionFile:
        """A connection file that says all this."""
        first = self.all[0] if self.all else None
        own = self._own or ("", "", "")
        return changed(
            file,
            host=first.host if first else "",
            port=first.port if first else 0,
            fingerprint=first.fingerprint.hex() if first else "",
            listening=[[each.host, each.port, each.security] for each in self.all],
            certificate=own[0],
            private_key=own[1],
            client_ca=own[2],
        )

    def listen(self, host: str, port: int, security: str) -> Listening:
        """Begin to listen on one more; where that is the case already, return what there is.

        Raises:
            RequestError: that cannot be, or what is to protect it is missing.
        """
        security = decide_security(host, wants_tls=security == Security.TLS, is_insecure=security == Security.INSECURE)
        with self._lock:
            found = self._find(host, port, security)
            if found is None:
                found = self._begin(host, port, security)
                for opened in self._opened:
                    opened(found)
            return found

    def certify(self, invitation: str, name: str) -> dict[str, str]:
        """Make the certificate of an invitation, for clients that can show nothing else.

        Returns:
            As PEM the `certificate`, its `private_key`, and the `server_certificate` that such clients get to see.

        Raises:
            NotAvailable: what makes it is not installed.
            RequestError: it would not be taken here, or cannot be made.
        """
        from rpyc_kernel.system.certificates import issue_certificate

        server, _, client_ca = self._own or ("", "", "")
        if client_ca:
            raise RequestError(
                f"this kernel takes no certificates but those that {client_ca} has signed; sign one by it"
            )
        with self._lock:
            certificate, private_key = issue_certificate(self._home, invitation, name)
            if self._context is not None:
                self._trust(self._context, self._home.certificate)  # which may have been made just now
        shown = (Path(server) if server else self._home.certificate).read_text()
        return {"certificate": certificate.decode(), "private_key": private_key.decode(), "server_certificate": shown}

    def on_opened(self, opened: Callable[[Listening], None]) -> None:
        """Have this called with each listener that is added from now on."""
        self._opened.append(opened)

    def close(self) -> None:
        """Close all of them."""
        for each in self.all:
            each.sock.close()

    def _find(self, host: str, port: int, security: str) -> Listening | None:
        for each in self.all:
            if (each.host, each.security) == (host, security) and port in (0, each.port):
                return each
        return None

    def _begin(self, host: str, port: int, security: str) -> Listening:
        if security == Security.TLS and self._context is None:
            self._load()
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except (OSError, OverflowError, TypeError, ValueError) as error:
            raise RequestError(f"cannot listen on {host}:{port}: {error}") from None
        fingerprint = self.fingerprint if security == Security.TLS else b""
        found = Listening(host, int(sock.getsockname()[1]), security, sock, fingerprint)
        self.all.append(found)
        if security == Security.INSECURE:
            _log.warning("%s:%s is INSECURE: others can read and change what is said there", host, found.port)
        return found

    def _load(self) -> None:
        from rpyc_kernel.system.certificates import ensure_certificate, expired_since
        from rpyc_kernel.wire import tls

        self._accept, self._trust = tls.accept, tls.trust
        certificate, private_key, client_ca = self._own or ("", "", "")
        if not certificate:
            ensure_certificate(self._home)
        chain = Path(certificate) if certificate else self._home.certificate
        self._context = tls.server_context(
            chain,
            Path(private_key) if private_key else (chain if certificate else self._home.private_key),
            Path(client_ca) if client_ca else self._home.certificate if self._home.certificate.exists() else None,
            needs_client_certificate=bool(client_ca),
        )
        self.fingerprint = tls.fingerprint_of(chain)
        expired = expired_since(chain)
        if expired:
            _log.warning("the certificate %s does not hold since %s; who knows its fingerprint comes", chain, expired)


def decide_security(host: str, *, wants_tls: bool, is_insecure: bool) -> str:
    """How a listener on this host is protected; RequestError where what is asked for contradicts itself."""
    if wants_tls and is_insecure:
        raise RequestError("a listener cannot have TLS and be insecure; leave one of them out")
    if wants_tls:
        return Security.TLS
    if is_loopback(host):
        return Security.PLAIN
    return Security.INSECURE if is_insecure else Security.TLS


def _certificate_of(said: HubSettings | ConnectionFile) -> tuple[str, str, str] | None:
    files = (said.certificate, said.private_key, said.client_ca)
    return files if any(files) else None
