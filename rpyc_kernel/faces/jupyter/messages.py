"""Jupyter's messages as frames: four signed parts of JSON, and raw buffers behind them.

    identity … | <IDS|MSG> | signature | header | parent header | metadata | content | buffer …

It is what `jupyter_client.session` does, which would bring a quarter of the bridge's memory and of its start.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import itertools
import json
import math
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.core.json_text import make_encoder
from rpyc_kernel.errors import RequestError

PROTOCOL = "5.5"
_DELIMITER = b"<IDS|MSG>"
_SCHEME = "hmac-"
_MAX_REMEMBERED = 65_536
_EMPTY = b"{}"
_encode = make_encoder(json, allow_nan=False, ensure_ascii=False)

Json = dict[str, Any]
Header = Json


@dataclass(eq=False)
class Request:
    """A message of a client.

    Attributes:
        channel: ``shell``, ``control`` or ``stdin``.
        identity: where an answer goes.
        header: its header, which becomes the parent header of everything that follows from it.
        content: what it asks.
        metadata: whatever the client added.
        buffers: raw bytes beside it.
        parent: the header of the message that it answers, where the client says so.
    """

    channel: str
    identity: list[bytes]
    header: Header
    content: Json
    metadata: Json = field(default_factory=dict)
    buffers: list[bytes] = field(default_factory=list)
    parent: Header = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The message type."""
        return str(self.header["msg_type"])

    @property
    def session(self) -> str:
        """The client that sent it."""
        return str(self.header["session"])


class Messages:
    """Reads and writes messages under one key.

    Args:
        key: the shared secret; empty leaves messages unsigned.
        scheme: ``hmac-`` and the name of a hash.

    Attributes:
        session: what all that is written here names as its session.

    Raises:
        RequestError: there is no such hash.
    """

    def __init__(self, key: bytes, scheme: str) -> None:
        hash_name = scheme.removeprefix(_SCHEME)
        if not scheme.startswith(_SCHEME) or hash_name not in hashlib.algorithms_available:
            raise RequestError(f"messages cannot be signed by {scheme!r}; use 'hmac-sha256'")
        self._auth = hmac.new(key, digestmod=hash_name) if key else None
        self.session = os.urandom(16).hex()
        self._prefix = f"{self.session}_{os.getpid()}_"
        # All of a header but its id, type and date, in that order.
        self._header = (
            '{"msg_id": "%s", "msg_type": %s, "date": "%s", "username": "kernel", '
            f'"session": "{self.session}", "version": "{PROTOCOL}"}}'
        )
        self._numbers = itertools.count(1)
        self._parent: Header | None = None
        self._packed_parent = _EMPTY
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def read(self, channel: str, frames: Sequence[bytes]) -> Request:
        """Take a message apart that has come by a channel.

        Raises:
            ValueError: it is none, is not signed with the key, or has been here before.
        """
        start = frames.index(_DELIMITER)
        signature, *parts = frames[start + 1 : start + 6]
        if len(parts) != 4:
            raise ValueError("it has too few parts")
        self._check(signature, parts)
        header, parent, metadata, content = (_unpack(part) for part in parts)
        if not all(isinstance(header.get(name), str) for name in ("msg_id", "session", "msg_type")):
            raise ValueError("its header is none")
        return Request(channel, [*frames[:start]], header, content, metadata, [*frames[start + 6 :]], parent)

    def new_id(self) -> str:
        """An id for a message that is to be known again."""
        return f"{self._prefix}{next(self._numbers)}"

    def write(
        self,
        kind: str,
        content: Json,
        parent: Header | None = None,
        metadata: Json | None = None,
        msg_id: str | None = None,
    ) -> list[bytes]:
        """The frames of a new message, from the delimiter on and without buffers."""
        if parent is not self._parent:  # most of what is written follows from the same message as what was before it
            self._parent, self._packed_parent = parent, _pack(parent)
        date = datetime.datetime.now(datetime.timezone.utc).isoformat()
        header = self._header % (msg_id or self.new_id(), _encode(kind), date)
        parts = [header.encode(), self._packed_parent, _pack(metadata), _pack(content)]
        return [_DELIMITER, self._sign(parts), *parts]

    def _check(self, signature: bytes, parts: list[bytes]) -> None:
        if self._auth is None:
            return
        if not hmac.compare_digest(signature, self._sign(parts)):
            raise ValueError("its signature is wrong")
        if signature in self._seen:
            raise ValueError("it has been here before")
        # Only now: strangers could have those forgotten that count.
        self._seen[signature] = None
        while len(self._seen) > _MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _sign(self, parts: list[bytes]) -> bytes:
        if self._auth is None:
            return b""
        signing = self._auth.copy()
        signing.update(b"".join(parts))
        return signing.hexdigest().encode()


def _unpack(part: bytes) -> Json:
    if part == _EMPTY:
        return {}
    read = json.loads(part.decode())
    if not isinstance(read, dict):
        raise ValueError("one of its parts is no object")
    return read


def _pack(content: Json | None) -> bytes:
    """Write JSON, whatever user code has put into what it shows."""
    if not content:
        return _EMPTY
    try:
        return _encode(content).encode()
    except ValueError:  # a number that is not finite, or text that no encoding can carry
        return json.dumps(_without_nan(content)).encode("ascii")


def _without_nan(value: Any) -> Any:
    """What JSON can carry: its numbers are finite, so others become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    return value
