"""One call by value as RPyC writes it: a method of the peer's root, plain arguments, one message there and one back."""

from __future__ import annotations

from typing import Any, Final

from rpyc_kernel.wire.values import plain_codec

# RPyC's own names and numbers; its package takes too long to load for a client that needs no more of it.
MSG_REQUEST, MSG_REPLY, MSG_EXCEPTION = 1, 2, 3
LABEL_VALUE, LABEL_TUPLE, LABEL_LOCAL_REF, LABEL_REMOTE_REF = 1, 2, 3, 4
HANDLE_PING, HANDLE_CLOSE, HANDLE_GETROOT, HANDLE_CALLATTR = 1, 2, 3, 8

IdPack = tuple[str, int, int]
"""What names an object: its type, and two numbers."""

_MAX_REMEMBERED_METHODS: Final = 1000
_REQUEST: Final = bytes((MSG_REQUEST,)) + plain_codec.TUPLE_OF_2


def encode_request(number: int, handler: int, *arguments: Any) -> bytes:
    """The data of the frame that asks for anything else."""
    return bytes((MSG_REQUEST,)) + plain_codec.dump((number, (handler, (LABEL_VALUE, arguments))))


class CallEncoder:
    """Writes calls on one root. What is the same in every call of a method is encoded once.

    Attributes:
        before_method: what stands between the number of a call and the name of its method.
        before_arguments: what stands between that and its arguments.
        end: what stands behind those.
    """

    def __init__(self, root_id: IdPack) -> None:
        # The encoding of a tuple is a tag and the encodings of its members, so parts can be prepared:
        # (seq, (HANDLE_CALLATTR, (LABEL_TUPLE, (root, (LABEL_VALUE, method), (LABEL_VALUE, args), (LABEL_VALUE, ())))))
        dump = plain_codec.dump
        self.before_method = b"".join(
            (
                plain_codec.TUPLE_OF_2 + dump(HANDLE_CALLATTR),
                plain_codec.TUPLE_OF_2 + dump(LABEL_TUPLE),
                plain_codec.TUPLE_OF_4 + dump((LABEL_LOCAL_REF, root_id)),
                plain_codec.TUPLE_OF_2 + dump(LABEL_VALUE),
            )
        )
        self.before_arguments = plain_codec.TUPLE_OF_2 + dump(LABEL_VALUE)
        self.end = dump((LABEL_VALUE, ()))
        self._methods: dict[str, bytes] = {}

    def encode(self, number: int, method: str, arguments: tuple[Any, ...]) -> bytes:
        """The data of the frame. Raises what `plain_codec` raises for what it cannot carry."""
        to_method = self._methods.get(method)
        if to_method is None:
            to_method = self.before_method + plain_codec.dump(method) + self.before_arguments
            if len(self._methods) < _MAX_REMEMBERED_METHODS:
                self._methods[method] = to_method
        dump = plain_codec.dump
        return b"".join((_REQUEST, dump(number), to_method, dump(arguments), self.end))
