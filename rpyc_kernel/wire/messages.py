"""What a frame says: RPyC's messages and the packages inside them, without deciding anything.

A message is a kind (request, reply or exception), a sequence number and a payload. A request's payload is a handler and
a package of arguments, a reply's is one package. A package is a label and a value: plain, a tuple of packages, or a
reference. Seen from the receiver, a *local* reference names an object of its own and a *remote* one an object of the
sender, of which the sender keeps count.
"""

from __future__ import annotations

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

_REPLY: Final[bytes] = bytes((consts.MSG_REPLY,)) + brine.TAG_TUP2
_LABELS: Final[dict[int, bytes]] = {
    label: brine.TAG_TUP2 + brine.dump(label) for label in (consts.LABEL_VALUE, consts.LABEL_REMOTE_REF)
}


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


def encode_reply(seq: int, label: int, value: Any) -> bytes:
    """What `encode` makes of a reply, of which only the number and the value have to be looked at."""
    parts = [_REPLY]
    brine._dump(seq, parts)
    parts.append(_LABELS[label])
    brine._dump(value, parts)
    return b"".join(parts)


def decode(data: bytes | bytearray) -> tuple[int, int, Any]:
    """The kind, number and payload of a frame.

    Raises:
        UnreadableMessage: Only the payload is unreadable, so this one message can be answered with an error.
        ConnectionLost: Nothing in it makes sense, so nothing after it can be trusted.
    """
    kind = data[0] if data else 0
    if kind not in _KINDS:
        raise ConnectionLost(f"the peer sent a message of unknown kind {kind}; it may speak another version of RPyC")
    try:
        seq, payload = brine.load(memoryview(data)[1:])
    except Exception as error:  # noqa: BLE001 - the peer's bytes can fail in any way
        raise UnreadableMessage(kind, _decode_seq(data), repr(error)) from None
    return kind, seq, payload


def _decode_seq(data: bytes | bytearray) -> int:
    head = BytesIO(data[1:64])
    try:
        if head.read(1) == brine.TAG_TUP2:
            seq = brine._load(head)
            if isinstance(seq, int):
                return seq
    except Exception:  # noqa: BLE001, S110 - reported below
        pass
    raise ConnectionLost("the peer sent a message without a number")


def deletion(id_pack: IdPack, count: int) -> bytes:
    """The request that gives ``count`` references back to the peer. Its number says that nobody waits for an answer."""
    package = ((consts.LABEL_LOCAL_REF, id_pack), (consts.LABEL_VALUE, count))
    return encode(consts.MSG_REQUEST, UNANSWERED, (consts.HANDLE_DEL, (consts.LABEL_TUPLE, package)))


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
