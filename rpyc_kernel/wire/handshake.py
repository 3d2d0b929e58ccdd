"""The first bytes of every connection: protocol, channel, and a proof in both directions that the key is shared.

    client                                    hub
      │ magic, version, channel, nonce (40),   │
      │    id of the key (8) ─────────────────►│
      │◄── magic, version, status, nonce,      │
      │    proof of the key (72)               │     the hub proves itself first: the client tells a stranger nothing
      │ proof of the key, length, session,     │
      │    name, role and host as JSON ───────►│
      │◄── status, length, the same as JSON ───│
      ╪═══════════ the channel's own protocol ═╪

A proof is HMAC-SHA256 over whose it is, everything said in clear, both nonces, and what names the secure channel below
if there is one (of TLS the server's certificate). So no answer fits another conversation, and who stands between the
two with a certificate of his own cannot pass their proofs on. Reads are of exact length: not one byte of the channel's
protocol is swallowed. The whole conversation has one deadline.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from rpyc_kernel.core.contract import PROTOCOL_VERSION, ROLES, Role
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
from rpyc_kernel.wire.keys import ID_BYTES, FindKey, Grant, Key

COMMANDS, EVENTS, OBJECTS, BULK, DEBUGGER = range(1, 6)
CHANNEL_NAMES: Final = {
    COMMANDS: "commands",
    EVENTS: "events",
    OBJECTS: "objects",
    BULK: "bulk",
    DEBUGGER: "debugger",
}
CHANNEL_ROLES: Final = {
    COMMANDS: Role.VIEWER,
    EVENTS: Role.VIEWER,
    OBJECTS: Role.EDITOR,
    BULK: Role.EDITOR,
    DEBUGGER: Role.EDITOR,
}
"""The least that whoever opens a channel must be. Those that lead to the worker run code."""

_MAGIC = b"RPYK"
_LEAST_S = 0.01
_HELLO = Struct("!4sBBH32s")  # as in all versions, so that each can tell the other what it is
_OWN_KEY = bytes(ID_BYTES)
_REPLY = Struct("!4sBBH32s32s")
_PROOF = Struct("!32sI")
_VERDICT = Struct("!BI")
_MAX_BLOB_BYTES = 4096
_MAX_NAME = 200
_MAX_SESSION = 64

_OK, _WRONG_VERSION, _WRONG_KEY, _, _REFUSED, _NEEDS_TLS = range(6)
NEEDS_TLS: Final = _REPLY.pack(_MAGIC, PROTOCOL_VERSION, _NEEDS_TLS, 0, bytes(32), bytes(32))
"""What a port that speaks TLS answers to a client that begins without."""
_REASONS: Final = {kind.__name__: kind for kind in (AuthenticationFailed, NotPermitted)}
_UNKNOWN_INVITATION = (
    "the kernel does not know this invitation, or somebody stands between: ask its owner for another one, by a way you "
    "trust"
)

_CUT_AT_ONCE = "after failed attempts from one address a hub lets nobody in from there for up to a minute"


class Identity(Frozen):
    """Who a client says it is. An empty session id asks for a new one, an empty role for the most its key gives.

    The host is what it says its machine is called; nobody has checked that.
    """

    session: str = ""
    name: str = ""
    role: str = ""
    host: str = ""


class Welcome(Frozen):
    """What the hub knows of a connection once it is proven.

    Attributes:
        channel: what it is for.
        identity: who the client is here.
        grant: what its key gives.
        asked: the session that it asked for, "" where it left that to the hub; `Grant.own_session` makes it its key's.
    """

    channel: int
    identity: Identity
    grant: Grant = Grant()
    asked: str = ""


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


def _proof(key: Key, whose: bytes, *clear: bytes) -> bytes:
    return hmac.digest(key.secret, b"".join(b"%d:%b" % (len(part), part) for part in (_MAGIC, whose, *clear)), "sha256")


def _loads(blob: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(blob)
    except (ValueError, RecursionError):
        raise ConnectionFailed("the other side sent a handshake that cannot be read") from None
    if not isinstance(loaded, dict) or not all(isinstance(value, str) for value in loaded.values()):
        raise ConnectionFailed("the other side sent a handshake that cannot be read")
    return loaded


def _describe_unknown(key_source: str) -> str:
    where, why = (
        key_source or "the key of this connection file",
        "it is mistyped" if key_source else "the file is stale",
    )
    return f"the hub does not know {where}; {why} or belongs to another kernel"


def greet_hub(
    sock: socket.socket,
    key: Key,
    channel: int,
    identity: Identity,
    timeout_s: float,
    binding: bytes = b"",
    key_source: str = "",
) -> Identity:
    """Do the client's half; returns the identity the hub settled on.

    The ``binding`` names the secure channel below, and ``key_source`` what the key came from, if no connection file.

    Raises:
        AuthenticationFailed: the keys differ, the key does not hold any more, or somebody stands between the two.
        VersionMismatch: the hub speaks another version.
        NotPermitted: the key does not give the role, or the role may not use this channel.
        ConnectionFailed: it is no hub, has clients enough, is gone, or too slow.
    """
    hub = _Conversation(sock, timeout_s)
    hello = _HELLO.pack(_MAGIC, PROTOCOL_VERSION, channel, 0, os.urandom(32)) + (bytes.fromhex(key.id) or _OWN_KEY)
    try:
        hub.send(hello)
        reply = hub.receive(_REPLY.size)
    except ConnectionLost as error:
        raise ConnectionLost(f"{error}; {_CUT_AT_ONCE}") from None
    magic, version, status, _, _nonce, proof = _REPLY.unpack(reply)
    if magic != _MAGIC:
        raise ConnectionFailed("whatever answers at this address is not a kernel's hub")
    if status == _WRONG_VERSION:
        raise VersionMismatch(
            f"this client speaks version {PROTOCOL_VERSION} of the protocol and the hub version {version}; "
            "install the same release of rpyc-kernel on both sides"
        )
    if status == _NEEDS_TLS:
        raise ConnectionFailed("this port speaks TLS; use rpyc+tls://HOST:PORT, with the same key or a connect string")
    clear = reply[: -len(proof)]
    if not hmac.compare_digest(proof, _proof(key, b"hub", hello, clear, binding)):
        raise AuthenticationFailed(_UNKNOWN_INVITATION if key.id else _describe_unknown(key_source))
    who = {"session": identity.session, "name": identity.name, "role": identity.role, "host": identity.host}
    blob = json.dumps({**who, "name": identity.name[:_MAX_NAME], "host": identity.host[:_MAX_NAME]}).encode()
    answer = _proof(key, b"client", hello, clear, binding, blob)
    hub.send(_PROOF.pack(answer, len(blob)) + blob)
    verdict, length = _VERDICT.unpack(hub.receive(_VERDICT.size))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the hub's answer is too long")
    body = _loads(hub.receive(length))
    if verdict == _WRONG_KEY:
        raise AuthenticationFailed("the hub refused the key")
    if verdict != _OK:
        kind = _REASONS.get(body.get("class", ""), ConnectionFailed)
        raise kind(body.get("message", "the hub refused the connection"))
    if not {"session", "name", "role"} <= body.keys():
        raise ConnectionFailed("the hub does not say who this client is")
    sock.settimeout(None)
    return Identity(body["session"], body["name"], body["role"], identity.host)


def is_begun(sock: socket.socket, timeout_s: float) -> bool:
    """Whether it is begun on a connection, where stock clients of RPyC come, too, who may say nothing for a while.

    Raises:
        ConnectionLost: whoever came is gone.
    """
    try:
        sock.settimeout(max(timeout_s, _LEAST_S))
        said = sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    except OSError as error:
        raise ConnectionLost(f"the connection broke before anything was said: {error}") from None
    if not said:
        raise ConnectionLost("the other side closed the connection before it had said anything")
    return said == _MAGIC[:1]  # else the first byte of the length of RPyC's first message, which is not so large


def greet_client(
    sock: socket.socket,
    find_key: FindKey,
    new_session: str,
    timeout_s: float,
    refusal: Callable[[Welcome], KernelError | None] = lambda _: None,
    binding: bytes = b"",
) -> Welcome:
    """Do the hub's half, within the time; ``new_session`` is the id for a client that has none.

    The ``refusal`` says why not even one who has a key is let in, None if there is no reason. The ``binding`` names the
    secure channel below.

    Raises:
        ConnectionFailed: or one of its kinds; the socket is of no more use.
        NotPermitted: what was asked for is beyond what the key gives; the same holds.
    """
    client = _Conversation(sock, timeout_s)
    hello = client.receive(_HELLO.size)
    magic, version, channel, _, _nonce = _HELLO.unpack(hello)
    if magic != _MAGIC:
        raise ConnectionFailed("not a client of a kernel")
    if version != PROTOCOL_VERSION:
        client.send(_REPLY.pack(_MAGIC, PROTOCOL_VERSION, _WRONG_VERSION, 0, bytes(32), bytes(32)))
        raise VersionMismatch(f"the client speaks version {version}")
    named = client.receive(ID_BYTES)
    hello += named
    # Who names a key that is not there gets a proof of one that nobody knows, as from a hub with another key.
    key, grant = find_key("" if named == _OWN_KEY else named.hex()) or (Key(os.urandom(32)), Grant())
    clear = _REPLY.pack(_MAGIC, PROTOCOL_VERSION, _OK, 0, os.urandom(32), bytes(32))[:-32]
    client.send(clear + _proof(key, b"hub", hello, clear, binding))
    answer, length = _PROOF.unpack(client.receive(_PROOF.size))
    if length > _MAX_BLOB_BYTES:
        raise ConnectionFailed("the client's identity is too long")
    blob = client.receive(length)
    if not hmac.compare_digest(answer, _proof(key, b"client", hello, clear, binding, blob)):
        _send_verdict(client, _WRONG_KEY, {})
        raise AuthenticationFailed("the client does not know the key")
    body = _loads(blob)
    asked = body.get("session", "")
    identity = Identity(
        grant.own_session(asked or new_session),
        grant.name or _printable(body.get("name", "")),
        body.get("role") or grant.role,
        _printable(body.get("host", "")),
    )
    welcome = Welcome(channel, identity, grant, asked)
    problem = _problem_with(channel, identity, grant) or refusal(welcome)
    if problem is not None:
        _send_verdict(client, _REFUSED, {"class": type(problem).__name__, "message": str(problem)})
        raise problem
    _send_verdict(client, _OK, {"session": identity.session, "name": identity.name, "role": identity.role})
    sock.settimeout(None)
    return welcome


def _printable(text: str) -> str:
    """As others' terminals may show it."""
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_NAME])


def _problem_with(channel: int, identity: Identity, grant: Grant) -> KernelError | None:
    """Why one who has proven to know a key gets not what it asks for, None if it does."""
    if grant.problem:
        return AuthenticationFailed(grant.problem)
    if channel not in CHANNEL_ROLES:
        return ConnectionFailed(f"the hub has no channel {channel}")
    if len(identity.session) > _MAX_SESSION or not identity.session.isprintable():
        most = _MAX_SESSION - len(grant.own_session(""))
        return ConnectionFailed(f"a session id has at most {most} printable characters")
    role, shown = identity.role, identity.name or identity.session
    if role not in ROLES:
        return ConnectionFailed(
            f"there is no role {role!r}; choose {', '.join(map(repr, ROLES[:-1]))} or {ROLES[-1]!r}"
        )
    if not Role.allows(grant.role, role):
        return NotPermitted(f"the key of {shown!r} gives the role {grant.role!r}, and not {role!r}")
    if not Role.allows(role, CHANNEL_ROLES[channel]):
        return NotPermitted(f"{shown!r} is here as {role}; it cannot use live objects or a debugger, which run code")
    return None


def _send_verdict(client: _Conversation, verdict: int, body: dict[str, str]) -> None:
    blob = json.dumps(body).encode()
    client.send(_VERDICT.pack(verdict, len(blob)) + blob)
