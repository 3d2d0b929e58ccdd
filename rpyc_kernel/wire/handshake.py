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


class _Conversation:
    """Sends and receives, within one deadline."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self._sock = sock
        self._end = time.monotonic() + timeout_s

    def receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece: bytes = self._do(self._sock.recv, count - len(data))
            if not piece:
                raise ConnectionLost("the other side closed the connection during the handshake")
            data += piece
        return data

    def send(self, data: bytes) -> None:
        self._do(self._sock.sendall, data)

    def _do(self, step: Callable[[Any], Any], argument: object) -> Any:
        try:
            left_s = self._end - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._sock.settimeout(left_s)
            return step(argument)
        except TimeoutError:
            raise CallTimeout("the other side did not finish the handshake in time") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke during the handshake: {error}") from None


def _proof(key: bytes, role: bytes, *clear: bytes) -> bytes:
    return hmac.digest(key, b"|".join((b"rpyc_kernel", role, *clear)), "sha256")


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
    hub = _Conversation(sock, timeout_s)
    hello = _HELLO.pack(_MAGIC, PROTOCOL_VERSION, channel, 0, os.urandom(32))
    hub.send(hello)
    reply = hub.receive(_REPLY.size)
    magic, version, status, _, _nonce, proof = _REPLY.unpack(reply)
    if magic != _MAGIC:
        raise ConnectionFailed("whatever answers at this address is not a kernel's hub")
    if status == _WRONG_VERSION:
        raise VersionMismatch(
            f"this client speaks version {PROTOCOL_VERSION} of the protocol and the hub version {version}; "
            "install the same release of rpyc-kernel on both sides"
        )
    clear = reply[: -len(proof)]
    if not hmac.compare_digest(proof, _proof(key, b"hub", hello, clear)):
        raise AuthenticationFailed(
            "the hub does not know the key of this connection file; the file is stale or belongs to another kernel"
        )
    blob = json.dumps({"session": identity.session, "name": identity.name[:_MAX_NAME], "role": identity.role}).encode()
    answer = _proof(key, b"client", hello, clear, blob)
    hub.send(_PROOF.pack(answer, len(blob)) + blob)
    verdict, length = _VERDICT.unpack(hub.receive(_VERDICT.size))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the hub's answer is too long")
    body = _loads(hub.receive(length))
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
    """Do the hub's half, within the time; ``new_session`` is the id for a client that has none.

    The ``refusal`` says of a channel why not even one who has the key is let in, "" if all are.

    Raises:
        ConnectionFailed: or one of its kinds; the socket is of no more use.
    """
    client = _Conversation(sock, timeout_s)
    hello = client.receive(_HELLO.size)
    magic, version, channel, _, _nonce = _HELLO.unpack(hello)
    if magic != _MAGIC:
        raise ConnectionFailed("not a client of a kernel")
    if version != PROTOCOL_VERSION:
        client.send(_REPLY.pack(_MAGIC, PROTOCOL_VERSION, _WRONG_VERSION, 0, bytes(32), bytes(32)))
        raise VersionMismatch(f"the client speaks version {version}")
    clear = _REPLY.pack(_MAGIC, PROTOCOL_VERSION, _OK, 0, os.urandom(32), bytes(32))[:-32]
    client.send(clear + _proof(key, b"hub", hello, clear))
    answer, length = _PROOF.unpack(client.receive(_PROOF.size))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the client's identity is too long")
    blob = client.receive(length)
    if not hmac.compare_digest(answer, _proof(key, b"client", hello, clear, blob)):
        _send_verdict(client, _WRONG_KEY, {})
        raise AuthenticationFailed("the client does not know the key")
    body = _loads(blob)
    # Others' terminals show it.
    name = "".join(char if char.isprintable() else "?" for char in body.get("name", "")[:_MAX_NAME])
    identity = Identity(body.get("session") or new_session, name, body.get("role", Role.USER))
    reason = refusal(channel)
    problem = ConnectionFailed(reason) if reason else _problem_with(channel, identity)
    if problem is not None:
        _send_verdict(client, _REFUSED, {"class": type(problem).__name__, "message": str(problem)})
        raise ConnectionFailed(str(problem))
    _send_verdict(client, _OK, {"session": identity.session, "name": identity.name, "role": identity.role})
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


def _send_verdict(client: _Conversation, verdict: int, body: dict[str, str]) -> None:
    blob = json.dumps(body).encode()
    client.send(_VERDICT.pack(verdict, len(blob)) + blob)
