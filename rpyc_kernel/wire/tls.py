"""TLS in front of plain sockets: who speaks it passes bytes between the TLS connection and one end of a pair.

All that is said above, by any channel, goes on with the pair's other end, a plain socket that can be polled, peeked at,
shut down and handed to another process. One thread passes both directions on. It holds at most so many bytes for a
side that is slow, and does not take more from the other one until they are gone. What ends on one side ends on the
other: a direction that is shut down, a connection that is closed, cut, or broken.

TLS 1.3 only. A server is not known by a name that somebody has signed for: the client has its certificate's
fingerprint, or else the handshake above proves to both sides that they see the same certificate (see `handshake`).
So nothing here depends on clocks, names or authorities.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import weakref
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any, Final

from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, CertificateChanged, ConnectionFailed, ConnectionLost, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.certificates import INVITATION
from rpyc_kernel.system.originals import logging, select, socket, time
from rpyc_kernel.system.sending import QUIETLY, silence
from rpyc_kernel.system.shared_memory import allocate
from rpyc_kernel.system.threads import make_thread, start_threads
from rpyc_kernel.wire.sockets import prepare_socket

_log = logging.getLogger(__name__)
_HELD_BYTES: Final = 256 * 1024
"""Of each direction: what comes in at a time, and is passed on before more is taken."""
_RECORD_BYTES: Final = 16 * 1024
_HANDSHAKE_BYTES: Final = 16 * 1024
_LOOK_AGAIN_MS: Final = 250
_FRAME_HEADER: Final = Struct("!LB")
"""Of RPyC: how many bytes follow, without the one that ends each frame."""
_UNACKNOWLEDGED_MS: Final = 120_000
"""Beyond it a connection counts as lost; else a relay whose peer is gone, or takes nothing, would stay for an hour."""
_WANTED: Final = "certificate required"
_HANDSHAKE_RECORD, _ALERT_RECORD = 22, 21


class ClientCertificate(Frozen):
    """What is known of a client by its certificate, which one of the server's authorities has signed.

    Attributes:
        fingerprint: SHA-256 of the certificate.
        name: its common name.
        invitation: the id of the invitation that it belongs to, "" where it belongs to none.
    """

    fingerprint: bytes
    name: str
    invitation: str


# ---------------------------------------------------------------------- contexts


def server_context(
    certificate: Path, private_key: Path, client_authority: Path | None, *, needs_client_certificate: bool = False
) -> ssl.SSLContext:
    """What a hub needs to accept connections.

    Args:
        certificate: PEM, with those that lead to an authority behind it, if any.
        private_key: PEM, without a passphrase.
        client_authority: who has signed the certificates that clients may show, PEM; None: they are asked for none.
        needs_client_certificate: whether a client has to show one.

    Raises:
        RequestError: a file cannot be used.
    """
    context = _make_context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a client that leaves without having read them would cut off what it sent last
    _load_chain(context, certificate, private_key)
    if client_authority is not None:
        trust(context, client_authority)
    if needs_client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def trust(context: ssl.SSLContext, client_authority: Path) -> None:
    """Have clients show certificates that this authority has signed, if they have one; RequestError where it is none.

    That holds for connections that are accepted from now on.
    """
    try:
        context.load_verify_locations(client_authority)
    except (OSError, ValueError) as error:
        raise RequestError(f"{client_authority} holds no certificate to check those of clients by: {error}") from None
    context.verify_mode = ssl.CERT_OPTIONAL


def client_context(certificate: Path | None = None) -> ssl.SSLContext:
    """What a client needs; its own certificate is one PEM file with the private key; RequestError where it is not."""
    context = _make_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # see above
    if certificate is not None:
        _load_chain(context, certificate, None)
    return context


def _make_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    return context


def _load_chain(context: ssl.SSLContext, certificate: Path, private_key: Path | None) -> None:
    def refuse_passphrase() -> str:
        raise RequestError(f"the private key {private_key or certificate} has a passphrase, which nobody could type")

    try:
        context.load_cert_chain(certificate, private_key, refuse_passphrase)
    except (OSError, ValueError) as error:
        files = f"{certificate}" if private_key is None else f"{certificate} with the private key {private_key}"
        raise RequestError(f"{files} cannot be used as a certificate: {_say(error)}") from None


def fingerprint_of(certificate: Path) -> bytes:
    """SHA-256 of the first certificate in a PEM file; RequestError where there is none."""
    try:
        found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", certificate.read_text(), re.DOTALL)
        if found is None:
            raise ValueError("there is none in it")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).digest()
    except (OSError, ValueError) as error:
        raise RequestError(f"{certificate} cannot be read as a certificate: {error}") from None


# ---------------------------------------------------------------------- beginning


def accept(
    sock: socket.socket, context: ssl.SSLContext, timeout_s: float, *, to_plain: bytes = b""
) -> tuple[Relay, ClientCertificate | None]:
    """Take a client's connection; returns what has to `run`, and what is known by the client's certificate.

    The relay uses the socket, which stays the caller's; on an error nothing is left of it but the socket. A client that
    begins with anything but TLS is answered ``to_plain``.

    Raises:
        ConnectionFailed: or one of its kinds: the client does not speak TLS, or not this one; is gone, or too slow.
    """
    stream = _TlsStream(sock, context, server_side=True)
    try:
        _shake_hands(stream, time.monotonic() + timeout_s)
    except ssl.SSLError as error:
        raise ConnectionFailed(f"no TLS with this client: {_say(error)}") from None
    except _SpeaksPlainError:
        with contextlib.suppress(OSError):
            sock.send(to_plain, QUIETLY)
        raise ConnectionFailed("no TLS with this client: it speaks another protocol") from None
    return Relay(stream), _read_client(stream.tls)


def connect(
    sock: socket.socket, context: ssl.SSLContext, timeout_s: float, *, shown: str = "it", fingerprint: bytes = b""
) -> tuple[socket.socket, bytes]:
    """Speak TLS on a connected socket; returns a plain one, and the SHA-256 of the server's certificate.

    The socket becomes the relay's, which has a thread and ends with the plain one; on an error it is closed.

    Args:
        sock: connected.
        context: see `client_context`.
        timeout_s: for the handshake.
        shown: what to call the other side.
        fingerprint: what the certificate's SHA-256 has to be, b"" for any.

    Raises:
        CertificateChanged: it is another one.
        ConnectionFailed: or one of its kinds: the other side does not speak TLS 1.3, is gone, or too slow.
    """
    try:
        stream = _TlsStream(sock, context, server_side=False)
        _shake_hands_with_server(stream, timeout_s, shown)
        found = hashlib.sha256(stream.tls.getpeercert(binary_form=True) or b"").digest()
        if fingerprint and found != fingerprint:
            raise CertificateChanged(_warn_of_change(shown, fingerprint, found))
        relay = Relay(stream)
    except BaseException:
        sock.close()
        raise
    plain = relay.plain
    del relay.plain  # held by its thread, one that everybody else has forgotten would never be closed
    _run_beside(relay, plain)
    _problems[plain] = relay.problems
    return plain, found


def _run_beside(relay: Relay, plain: socket.socket) -> None:
    """Have a thread run it, and close what it has in the end; without a thread it is closed now."""
    thread = make_thread(relay.run_and_close, "tls-relay")
    try:
        start_threads(thread)
    except BaseException as error:
        plain.close()  # which ends one that runs, whatever came in between
        if thread.ident is None:
            relay.close()
        if isinstance(error, RuntimeError):
            raise ConnectionFailed(f"no thread can be started for another connection: {error}") from None
        raise


def _shake_hands_with_server(stream: _TlsStream, timeout_s: float, shown: str) -> None:
    try:
        _shake_hands(stream, time.monotonic() + timeout_s)
    except ssl.SSLError as error:
        raise ConnectionFailed(_explain_failure(stream, shown, error)) from None
    except ConnectionLost as error:
        raise ConnectionFailed(
            f"{shown} ended the connection instead of speaking TLS: {error}; "
            "where the kernel listens without TLS, use tcp:// and its key"
        ) from None
    except CallTimeout:
        raise CallTimeout(
            f"{shown} took the connection but did not finish the TLS handshake within {show_seconds(timeout_s)} s: "
            "it is stopped or very busy, the way to it is blocked, or something else listens there"
        ) from None


def _explain_failure(stream: _TlsStream, shown: str, error: ssl.SSLError) -> str:
    if stream.first_byte not in (_HANDSHAKE_RECORD, _ALERT_RECORD, -1):
        return f"{shown} does not speak TLS; where the kernel listens without it, use tcp:// and the kernel's key"
    said = _say(error)
    if "VERSION" in str(error.reason) or "PROTOCOL" in str(error.reason):
        return f"{shown} does not speak TLS 1.3 ({said}), and nothing older is safe enough; update what listens there"
    return f"no TLS connection to {shown}: {said}"


def _warn_of_change(shown: str, expected: bytes, found: bytes) -> str:
    return (
        f"WARNING: THE CERTIFICATE OF {shown} HAS CHANGED! Somebody may be eavesdropping on you right now (a man in "
        f"the middle), or the kernel has a new certificate, or the connect string is damaged or old. "
        f"Expected SHA-256 {expected.hex()}, got {found.hex()}. "
        "Nothing was sent. Ask the kernel's owner whether it has changed, and for a new connect string "
        "('rpyc-kernel invite')"
    )


def _say(error: OSError | ValueError) -> str:
    """The reason of an error of OpenSSL, in its words."""
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else str(error)


def _read_client(tls: ssl.SSLObject) -> ClientCertificate | None:
    certificate = tls.getpeercert(binary_form=True)
    if not certificate:
        return None
    known: dict[str, Any] = tls.getpeercert() or {}
    subject = {key: value for part in known.get("subject", ()) for key, value in part}
    names = [value for kind, value in known.get("subjectAltName", ()) if kind == "URI"]
    invitation = next((name[len(INVITATION) :] for name in names if name.startswith(INVITATION)), "")
    return ClientCertificate(hashlib.sha256(certificate).digest(), str(subject.get("commonName", "")), invitation)


class _SpeaksPlainError(Exception):
    """The other side has begun with what is no TLS."""


class _TlsStream:
    """A TCP connection, and the state of TLS on it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        prepare_socket(sock)
        if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        silence(sock)
        sock.setblocking(False)
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side)
        self.first_byte = -1

    def receive(self) -> None:
        """Take what has come during the handshake."""
        try:
            data = self.sock.recv(_HANDSHAKE_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("closed by the other side")
        if self.first_byte < 0:
            self.first_byte = data[0]
            if self.tls.server_side and self.first_byte != _HANDSHAKE_RECORD:
                raise _SpeaksPlainError
        self.incoming.write(data)


def _shake_hands(stream: _TlsStream, deadline: float) -> None:
    """Raises `SSLError` where the two cannot agree, ConnectionLost, CallTimeout."""
    try:
        while True:
            try:
                stream.tls.do_handshake()
            except ssl.SSLWantReadError:
                _send_all(stream, deadline)
                _wait(stream.sock, select.POLLIN, deadline)
                stream.receive()
            else:
                _send_all(stream, deadline)
                return
    except ssl.SSLError:
        with contextlib.suppress(OSError):
            _send_all(stream, deadline)  # the alert: why not
        raise
    except TimeoutError:
        raise CallTimeout("the other side did not finish the TLS handshake in time") from None
    except OSError as error:
        raise ConnectionLost(f"the connection broke during the TLS handshake: {error}") from None


def _send_all(stream: _TlsStream, deadline: float) -> None:
    data = memoryview(stream.outgoing.read())
    while data:
        try:
            data = data[stream.sock.send(data, QUIETLY) :]
        except BlockingIOError:
            _wait(stream.sock, select.POLLOUT, deadline)


def _wait(sock: socket.socket, event: int, deadline: float) -> None:
    waiting = select.poll()
    waiting.register(sock, event)
    if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


# ---------------------------------------------------------------------- passing on

_relays: weakref.WeakSet[Relay] = weakref.WeakSet()
_problems: weakref.WeakKeyDictionary[socket.socket, list[str]] = weakref.WeakKeyDictionary()


def why_lost(plain: socket.socket) -> str:
    """What has ended the connection in front of a plain socket of `connect` before its time, "" where nothing is known.

    Such as that the other side refuses this side's certificate: it says so when this side is through the handshake.
    """
    problem = next(iter(_problems.get(plain, ())), "")
    if not problem:
        return ""
    advice = "; set RPYC_KERNEL_CLIENT_CERTIFICATE to the file with yours" if _WANTED in problem else ""
    return f"the other side ended the TLS connection: {problem}{advice}"


class Relay:
    """Passes on what comes, until both directions have ended.

    Attributes:
        plain: the socket that takes the place of the one that speaks TLS; whose it is.
        problems: what has ended it before its time, in words.
    """

    def __init__(self, stream: _TlsStream) -> None:
        self._stream = stream
        self._outer = stream.sock
        self._outer_descriptor = stream.sock.fileno()
        self._inner, self.plain = socket.socketpair()
        self.problems: list[str] = []
        self._inner.setblocking(False)
        silence(self._inner)
        silence(self.plain)
        self._waiting = select.poll()
        self._watched = 0, 0
        # What is allocated here takes memory where it was used: few connections ever hold more than a page at a time.
        # From either side, for the moment until it is decrypted or encrypted.
        self._received = memoryview(allocate(_HELD_BYTES))
        # Inward, from TLS to plain: decrypted, and not yet taken.
        self._decrypted = memoryview(allocate(_HELD_BYTES + 2 * _RECORD_BYTES))
        self._start = self._end = 0
        self._is_inward_over = False
        # Outward: encrypted, and not yet sent.
        self._encrypted = memoryview(b"")
        self._is_outward_over = False
        self._frames: _Frames | None = None
        _relays.add(self)

    def keep_frames_apart(self) -> None:
        """Begin a record of TLS with each of RPyC's frames; to be said before any of them is on its way.

        A stock client looks for the next frame by waiting for its socket, where nothing shows that the record before
        held two.
        """
        self._frames = _Frames()

    def run(self) -> None:
        """Pass everything on to the end; what was in the way by then is in the log."""
        try:
            self._decrypt()  # what has come with the end of the handshake
            while not self._is_over:
                self._pass_on()
        except (OSError, ValueError) as error:  # ssl's errors are, and so are those of a socket that was closed
            self.problems.append(_say(error))
            _log.debug("a TLS connection broke: %s", error)
            with contextlib.suppress(OSError, ValueError):
                self._outer.send(self._stream.outgoing.read(), QUIETLY)  # the alert
        except Exception:  # noqa: BLE001 - the top of a thread
            _log.exception("a TLS connection failed")
        finally:
            with contextlib.suppress(OSError):
                self._outer.shutdown(socket.SHUT_RDWR)  # whoever else has a copy of it
            with contextlib.suppress(OSError):
                self._inner.shutdown(socket.SHUT_RDWR)
            self._inner.close()

    def run_and_close(self) -> None:
        """The same, where the outer socket is the relay's own."""
        try:
            self.run()
        finally:
            self.close()

    def close(self) -> None:
        """Free both sockets; nothing may run."""
        self._inner.close()
        self._outer.close()

    @property
    def _is_over(self) -> bool:
        return self._is_outward_over and not self._encrypted and (self._is_inward_over or self._is_plain_closed)

    @property
    def _is_plain_closed(self) -> bool:
        """Whether nobody can read the plain socket any more; nothing but a try tells on every system."""
        try:
            self._inner.send(b"", QUIETLY)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    def _pass_on(self) -> None:
        """Wait until something can be done, and do it."""
        outer = inner = 0
        if self._end > self._start:
            inner = select.POLLOUT
        elif not self._is_inward_over and len(self._encrypted) < _HELD_BYTES:
            outer = select.POLLIN
        if self._encrypted:
            outer |= select.POLLOUT
        elif not self._is_outward_over:
            inner |= select.POLLIN
        if (outer, inner) != self._watched:
            self._watch(outer, inner)
        # Once the plain side says nothing more, nothing wakes this one when it goes.
        for descriptor, events in self._waiting.poll(_LOOK_AGAIN_MS if self._is_outward_over else None):
            if descriptor == self._outer_descriptor:
                if outer & select.POLLIN and events & ~select.POLLOUT:
                    self._receive()
                if outer & select.POLLOUT and events & ~select.POLLIN:
                    self._send()
            else:
                if inner & select.POLLIN and events & ~select.POLLOUT:
                    self._take()
                if inner & select.POLLOUT and events & ~select.POLLIN:
                    self._give()

    def _watch(self, outer: int, inner: int) -> None:
        """Wait for these; a side of which nothing is awaited would wake this one again and again when it ends."""
        for sock, before, now in zip((self._outer, self._inner), self._watched, (outer, inner), strict=True):
            if now:
                self._waiting.register(sock, now)
            elif before:
                self._waiting.unregister(sock)
        self._watched = outer, inner

    # -------------------------------------------------- inward

    def _receive(self) -> None:
        try:
            count = self._outer.recv_into(self._received)
        except BlockingIOError:
            return
        if count:
            self._stream.incoming.write(self._received[:count])
            self._decrypt()
        else:
            self._is_inward_over = True
            self._give()

    def _decrypt(self) -> None:
        """Decrypt all that has come, for which there is room, and pass on as much as is taken at once."""
        tls, incoming = self._stream.tls, self._stream.incoming
        try:
            while incoming.pending or tls.pending():
                count: Any = tls.read(len(self._decrypted) - self._end, self._decrypted[self._end :])
                if not count:  # the other side has said that nothing more follows
                    self._is_inward_over = True
                    break
                self._end += count
        except ssl.SSLWantReadError:
            pass  # a part of a record
        except ssl.SSLZeroReturnError:
            self._is_inward_over = True
        self._give()
        if self._stream.outgoing.pending:  # such as new keys
            self._send()

    def _give(self) -> None:
        try:
            while self._start < self._end:
                self._start += self._inner.send(self._decrypted[self._start : self._end], QUIETLY)
        except BlockingIOError:
            return
        except ConnectionError:
            pass  # nobody reads there any more: what comes is dropped
        self._start = self._end = 0
        if self._is_inward_over:
            with contextlib.suppress(OSError):
                self._inner.shutdown(socket.SHUT_WR)

    # -------------------------------------------------- outward

    def _take(self) -> None:
        try:
            count = self._inner.recv_into(self._received)
        except BlockingIOError:
            return
        except ConnectionError:  # closed with something unread
            count = 0
        data, tls = self._received[:count], self._stream.tls
        for part in (data,) if self._frames is None else self._frames.divide(data):
            while part:
                part = part[tls.write(part) :]
        if not count:
            self._is_outward_over = True
            # All that has come is decrypted: this looks for the other side's word, and would trip over anything else.
            with contextlib.suppress(ssl.SSLError):
                tls.unwrap()
        self._send()

    def _send(self) -> None:
        if self._stream.outgoing.pending:
            fresh = self._stream.outgoing.read()
            self._encrypted = memoryview(self._encrypted.tobytes() + fresh if self._encrypted else fresh)
        try:
            while self._encrypted:
                self._encrypted = self._encrypted[self._outer.send(self._encrypted, QUIETLY) :]
        except BlockingIOError:
            return
        if self._is_outward_over:
            with contextlib.suppress(OSError):
                self._outer.shutdown(socket.SHUT_WR)


class _Frames:
    """Where RPyC's frames end in what comes in pieces."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def divide(self, data: memoryview) -> Iterator[memoryview]:
        """Parts of which none has bytes of two frames."""
        start = end = 0
        while end < len(data):
            if not self._left:
                piece = bytes(data[end : end + _FRAME_HEADER.size - len(self._header)])
                self._header += piece
                end += len(piece)
                if len(self._header) < _FRAME_HEADER.size:
                    break
                self._left = _FRAME_HEADER.unpack(self._header)[0] + 1
                self._header = b""
            step = min(self._left, len(data) - end)
            end += step
            self._left -= step
            if not self._left:
                yield data[start:end]
                start = end
        yield data[start:]


def _leave_to_parent() -> None:
    """Close the copies of a forked child, which has no threads to serve them."""
    for relay in list(_relays):
        with contextlib.suppress(OSError):
            relay.close()


os.register_at_fork(after_in_child=_leave_to_parent)
