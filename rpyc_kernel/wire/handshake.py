"""The first bytes of every connection: protocol, channel, and a proof in both directions that the key is shared.

    client                                    hub
      │ magic, version, channel, nonce (40) ──►│
      │◄── magic, version, status, nonce,      │
      │    proof of the key (72)               │     the hub proves itself first: the client tells a stranger nothing
      │ proof of the key, length, session,     │
      │    name and role as JSON ─────────────►│
      │◄── status, length, the same as JSON ───│
      ╪═══════════ the channel's own protocol ═╪

A proof is HMAC-SHA256 over the role, everything said in clear and both nonces, so that no answer fits another
conversation. Reads are of exact length: not one byte of the channel's protocol is swallowed. The whole conversation
has one deadline.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from struct import Struct
from typing import Any

from rpyc_kernel.core.contract import PROTOCOL_VERSION, Role
from rpyc_kernel.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    KernelError,
    NotPermitted,
    VersionMismatch,
)
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.originals import json, socket, time

COMMANDS, EVENTS, OBJECTS, BULK, DEBUGGER = range(1, 6)

_MAGIC = b"RPYK"
_HELLO = Struct("!4sBBH32s")
_REPLY = Struct("!4sBBH32s32s")
_PROOF = Struct("!32sI")
_VERDICT = Struct("!BI")
_MAX_BLOB_BYTES = 4096
_MAX_NAME = 200

_OK, _WRONG_VERSION, _WRONG_KEY, _, _REFUSED = range(5)


class Identity(Frozen):
    """Who a client says it is. An empty session id asks for a new one."""

    session: str = ""
    name: str = ""
    role: str = Role.USER


class Welcome(Frozen):
    """What the hub knows of a connection once it is proven."""

    channel: int
    identity: Identity


class _Deadline:
    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self._sock = sock
        self._end = time.monotonic() + timeout_s

    def arm(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise CallTimeout("the other side did not finish the handshake in time")
        self._sock.settimeout(left)


def _receive(sock: socket.socket, count: int, deadline: _Deadline) -> bytes:
    data = b""
    while len(data) < count:
        deadline.arm()
        try:
            piece = sock.recv(count - len(data))
        except TimeoutError:
            raise CallTimeout("the other side did not finish the handshake in time") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke during the handshake: {error}") from None
        if not piece:
            raise ConnectionLost("the other side closed the connection during the handshake")
        data += piece
    return data


def _send(sock: socket.socket, data: bytes, deadline: _Deadline) -> None:
    deadline.arm()
    try:
        sock.sendall(data)
    except TimeoutError:
        raise CallTimeout("the other side did not finish the handshake in time") from None
    except OSError as error:
        raise ConnectionLost(f"the connection broke during the handshake: {error}") from None


def _proof(key: bytes, role: bytes, *said: bytes) -> bytes:
    return hmac.digest(key, b"|".join((b"rpyc_kernel", role, *said)), "sha256")


def _loads(blob: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(blob)
    except (ValueError, RecursionError):
        raise ConnectionFailed("the other side sent a handshake that cannot be read") from None
    if not isinstance(loaded, dict) or not all(isinstance(value, str) for value in loaded.values()):
        raise ConnectionFailed("the other side sent a handshake that cannot be read")
    return loaded


def greet_hub(sock: socket.socket, key: bytes, channel: int, identity: Identity, timeout_s: float) -> Identity:
    """Do the client's half; returns the identity the hub settled on.

    Raises:
        AuthenticationFailed: the keys differ.
        VersionMismatch: the hub speaks another version.
        NotPermitted: the role may not use this channel.
        ConnectionFailed: it is no hub, has clients enough, is gone, or too slow.
    """
    deadline = _Deadline(sock, timeout_s)
    hello = _HELLO.pack(_MAGIC, PROTOCOL_VERSION, channel, 0, os.urandom(32))
    _send(sock, hello, deadline)
    reply = _receive(sock, _REPLY.size, deadline)
    magic, version, status, _, _nonce, proof = _REPLY.unpack(reply)
    if magic != _MAGIC:
        raise ConnectionFailed("whatever answers at this address is not a kernel's hub")
    if status == _WRONG_VERSION:
        raise VersionMismatch(
            f"this client speaks version {PROTOCOL_VERSION} of the protocol and the hub version {version}; "
            "install the same release of rpyc-kernel on both sides"
        )
    said = reply[: -len(proof)]
    if not hmac.compare_digest(proof, _proof(key, b"hub", hello, said)):
        raise AuthenticationFailed(
            "the hub does not know the key of this connection file; the file is stale or belongs to another kernel"
        )
    blob = json.dumps({"session": identity.session, "name": identity.name[:_MAX_NAME], "role": identity.role}).encode()
    answer = _proof(key, b"client", hello, said, blob)
    _send(sock, _PROOF.pack(answer, len(blob)) + blob, deadline)
    verdict, length = _VERDICT.unpack(_receive(sock, _VERDICT.size, deadline))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the hub's answer is too long")
    body = _loads(_receive(sock, length, deadline))
    if verdict == _WRONG_KEY:
        raise AuthenticationFailed("the hub refused the key")
    if verdict != _OK:
        kind = NotPermitted if body.get("class") == NotPermitted.__name__ else ConnectionFailed
        raise kind(body.get("message", "the hub refused the connection"))
    if not {"session", "name", "role"} <= body.keys():
        raise ConnectionFailed("the hub does not say who this client is")
    sock.settimeout(None)
    return Identity(body["session"], body["name"], body["role"])


def greet_client(
    sock: socket.socket, key: bytes, new_session: str, timeout_s: float, refusal: Callable[[int], str] = lambda _: ""
) -> Welcome:
    """Do the hub's half.

    Args:
        sock: the accepted socket.
        key: the shared secret.
        new_session: the id for a client that has none.
        timeout_s: the deadline for the whole conversation.
        refusal: says of a channel why not even one who has the key is let in, "" if all are.

    Raises:
        ConnectionFailed: or one of its kinds; the socket is of no more use.
    """
    deadline = _Deadline(sock, timeout_s)
    hello = _receive(sock, _HELLO.size, deadline)
    magic, version, channel, _, _nonce = _HELLO.unpack(hello)
    if magic != _MAGIC:
        raise ConnectionFailed("not a client of a kernel")
    if version != PROTOCOL_VERSION:
        _send(sock, _REPLY.pack(_MAGIC, PROTOCOL_VERSION, _WRONG_VERSION, 0, bytes(32), bytes(32)), deadline)
        raise VersionMismatch(f"the client speaks version {version}")
    said = _REPLY.pack(_MAGIC, PROTOCOL_VERSION, _OK, 0, os.urandom(32), bytes(32))[:-32]
    _send(sock, said + _proof(key, b"hub", hello, said), deadline)
    answer, length = _PROOF.unpack(_receive(sock, _PROOF.size, deadline))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the client's identity is too long")
    blob = _receive(sock, length, deadline)
    if not hmac.compare_digest(answer, _proof(key, b"client", hello, said, blob)):
        _send_verdict(sock, _WRONG_KEY, {}, deadline)
        raise AuthenticationFailed("the client does not know the key")
    told = _loads(blob)
    said_name = told.get("name", "")[:_MAX_NAME]
    name = "".join(char if char.isprintable() else "?" for char in said_name)  # others' terminals show it
    identity = Identity(told.get("session") or new_session, name, told.get("role", Role.USER))
    reason = refusal(channel)
    problem = ConnectionFailed(reason) if reason else _problem_with(channel, identity)
    if problem is not None:
        _send_verdict(sock, _REFUSED, {"class": type(problem).__name__, "message": str(problem)}, deadline)
        raise ConnectionFailed(str(problem))
    settled = {"session": identity.session, "name": identity.name, "role": identity.role}
    _send_verdict(sock, _OK, settled, deadline)
    sock.settimeout(None)
    return Welcome(channel, identity)


def _problem_with(channel: int, identity: Identity) -> KernelError | None:
    if not COMMANDS <= channel <= DEBUGGER:
        return ConnectionFailed(f"the hub has no channel {channel}")
    if len(identity.session) > 64 or not identity.session.isprintable():
        return ConnectionFailed("a session id has at most 64 printable characters")
    if identity.role not in (Role.USER, Role.OBSERVER):
        return ConnectionFailed(f"there is no role {identity.role!r}; choose 'user' or 'observer'")
    if channel in (OBJECTS, BULK, DEBUGGER) and identity.role == Role.OBSERVER:
        shown = identity.name or identity.session
        return NotPermitted(
            f"session {shown!r} only observes; it cannot use live objects or a debugger, which run code"
        )
    return None


def _send_verdict(sock: socket.socket, verdict: int, body: dict[str, str], deadline: _Deadline) -> None:
    blob = json.dumps(body).encode()
    _send(sock, _VERDICT.pack(verdict, len(blob)) + blob, deadline)
