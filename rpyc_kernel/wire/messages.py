"""What a frame says: RPyC's messages and the packages inside them, without deciding anything.

A message is a kind (request, reply or exception), a sequence number and a payload. A request's payload is a handler and
a package of arguments, a reply's is one package. A package is a label and a value: plain, a tuple of packages, or a
reference. Seen from the receiver, a *local* reference names an object of its own and a *remote* one an object of the
sender, of which the sender keeps count.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Final

from rpyc.core import brine, consts

from rpyc_kernel.errors import ConnectionLost

Package = tuple[int, Any]
IdPack = tuple[str, int, int]

LABEL_HELD: Final = -1  # a local reference already resolved: the value is the object. Never on the wire

UNANSWERED: Final = -1
"""The number of requests whose answers nobody waits for. Stock peers answer them all the same."""

_KINDS: Final = frozenset({consts.MSG_REQUEST, consts.MSG_REPLY, consts.MSG_EXCEPTION})

_REQUEST: Final[bytes] = bytes((consts.MSG_REQUEST,)) + brine.TAG_TUP2
_REPLY: Final[bytes] = bytes((consts.MSG_REPLY,)) + brine.TAG_TUP2
_REFERENCES: Final = (consts.LABEL_LOCAL_REF, consts.LABEL_REMOTE_REF)
_LABELS: Final[dict[int, bytes]] = {
    label: brine.TAG_TUP2 + brine.dump(label) for label in (consts.LABEL_VALUE, consts.LABEL_TUPLE, *_REFERENCES)
}
_TUPLES: Final = (brine.TAG_TUP1, brine.TAG_TUP2, brine.TAG_TUP3, brine.TAG_TUP4)
_HEAD_BYTES: Final = 300
# Most of what is sent is much like what was sent just before. An identity, or a text, is equal only to its like; and
# what is made of the same bytes is the same, and cannot change.
_REPEATED: Final = 200
_dump_again: Final = functools.lru_cache(maxsize=_REPEATED)(brine.dump)
_load_again: Final = functools.lru_cache(maxsize=_REPEATED)(brine.load)


class UnreadableMessage(ValueError):
    """A message whose payload does not decode, though its kind and number do."""

    def __init__(self, kind: int, seq: int, reason: str) -> None:
        super().__init__(f"the message could not be decoded: {reason}")
        self.kind = kind
        self.seq = seq


def encode(kind: int, seq: int, payload: Any) -> bytes:
    """The data of a frame. Raises whatever brine raises for what it cannot carry."""
    data: bytes = brine.dump((seq, payload))
    return bytes((kind,)) + data


def encode_request(seq: int, handler: int, package: Package) -> bytes:
    """What `encode` makes of a request, in much less time."""
    parts = [_REQUEST]
    brine._dump(seq, parts)
    parts.append(brine.TAG_TUP2)
    brine._dump(handler, parts)
    _dump_package(package, parts)
    return b"".join(parts)


def encode_reply(seq: int, package: Package) -> bytes:
    """What `encode` makes of a reply, in much less time."""
    parts = [_REPLY]
    brine._dump(seq, parts)
    _dump_package(package, parts)
    return b"".join(parts)


def _dump_package(package: Package, parts: list[bytes]) -> None:
    label, value = package
    parts.append(_LABELS[label])
    if label in _REFERENCES or (type(value) is str and len(value) < _REPEATED):
        parts.append(_dump_again(value))
    elif label == consts.LABEL_TUPLE and 0 < len(value) <= len(_TUPLES):
        parts.append(_TUPLES[len(value) - 1])
        for item in value:
            _dump_package(item, parts)
    else:
        brine._dump(value, parts)


def decode(data: bytes | bytearray) -> tuple[int, int, Any]:
    """The kind, number and payload of a frame.

    Raises:
        UnreadableMessage: Only the payload is unreadable, so this one message can be answered with an error.
        ConnectionLost: Nothing in it makes sense, so nothing after it can be trusted.
    """
    kind = data[0] if data else 0
    if kind not in _KINDS:
        raise ConnectionLost(f"the peer sent a message of unknown kind {kind}; it may speak another version of RPyC")
    seq, start = _decode_seq(data)
    try:
        if len(data) < _REPEATED:
            return kind, seq, _load_again(bytes(data[start:]))
        return kind, seq, brine.load(memoryview(data)[start:])
    except Exception as error:  # noqa: BLE001 - the peer's bytes can fail in any way
        raise UnreadableMessage(kind, seq, repr(error)) from None


def _decode_seq(data: bytes | bytearray) -> tuple[int, int]:
    """The number of a message, and where its payload begins."""
    head = BytesIO(data[1:_HEAD_BYTES])
    try:
        if head.read(1) == brine.TAG_TUP2:
            seq = brine._load(head)
            if isinstance(seq, int):
                return seq, 1 + head.tell()
    except Exception:  # noqa: BLE001, S110 - reported below
        pass
    raise ConnectionLost("the peer sent a message without a number")


def deletion(id_pack: IdPack, count: int) -> bytes:
    """The request that gives ``count`` references back to the peer. Its number says that nobody waits for an answer."""
    package = ((consts.LABEL_LOCAL_REF, id_pack), (consts.LABEL_VALUE, count))
    return encode_request(UNANSWERED, consts.HANDLE_DEL, (consts.LABEL_TUPLE, package))


def resolve(package: Any, find: Callable[[Any], Any]) -> Package:
    """The package with every local reference replaced by its object, and everything else checked.

    Raises ``ValueError`` for what is no package, and what ``find`` raises for an unknown object.
    """
    label, value = package
    if label == consts.LABEL_VALUE:
        return label, value
    if label == consts.LABEL_TUPLE:
        return label, tuple([resolve(item, find) for item in value])
    if label == consts.LABEL_LOCAL_REF:
        return LABEL_HELD, find(value)
    if label == consts.LABEL_REMOTE_REF:
        name, class_id, instance_id = value
        if not (isinstance(class_id, int) and isinstance(instance_id, int)):
            raise ValueError(f"a reference has an invalid identity: {value!r}")
        return label, (str(name), class_id, instance_id)
    raise ValueError(f"a package has the unknown label {label!r}")


def build(package: Package, claim: Callable[[IdPack], Any]) -> Any:
    """The value of a resolved package, its remote references turned into what ``claim`` returns for them."""
    label, value = package
    if label == consts.LABEL_TUPLE:
        return tuple([build(item, claim) for item in value])
    if label == consts.LABEL_REMOTE_REF:
        return claim(value)
    return value


def remote_refs(package: Any) -> Iterator[IdPack]:
    """The remote references in a package, resolved or not, each as often as it occurs; tolerates nonsense."""
    if not (isinstance(package, tuple) and len(package) == 2):
        return
    label, value = package
    if label == consts.LABEL_REMOTE_REF:
        if isinstance(value, tuple) and len(value) == 3:
            yield value
    elif label == consts.LABEL_TUPLE and isinstance(value, tuple):
        for item in value:
            yield from remote_refs(item)
