"""One call by value: a method of the peer's root, plain arguments, one message there and one back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rpyc.core import brine, consts

from rpyc_kernel.system.futures import CallFuture, begin_completing
from rpyc_kernel.system.originals import logging
from rpyc_kernel.wire import remote_errors
from rpyc_kernel.wire.messages import IdPack

_log = logging.getLogger(__name__)

_CONFIG: Final = {"import_custom_exceptions": False, "instantiate_custom_exceptions": False}
_MAX_REMEMBERED_METHODS: Final = 1000


class CallEncoder:
    """Writes such calls on one root. What is the same in every call of a method is encoded once."""

    def __init__(self, root_id: IdPack) -> None:
        # The encoding of a tuple is a tag and the encodings of its members, so parts can be prepared:
        # (seq, (HANDLE_CALLATTR, (LABEL_TUPLE, (root, (LABEL_VALUE, method), (LABEL_VALUE, args), (LABEL_VALUE, ())))))
        self._start = bytes((consts.MSG_REQUEST,)) + brine.TAG_TUP2
        self._to_root = b"".join(
            (
                brine.TAG_TUP2 + brine.dump(consts.HANDLE_CALLATTR),
                brine.TAG_TUP2 + brine.dump(consts.LABEL_TUPLE),
                brine.TAG_TUP4 + brine.dump((consts.LABEL_LOCAL_REF, root_id)),
            )
        )
        self._to_arguments = brine.TAG_TUP2 + brine.dump(consts.LABEL_VALUE)
        self._end = brine.dump((consts.LABEL_VALUE, ()))
        self._methods: dict[str, bytes] = {}

    def encode(self, seq: int, method: str, args: tuple[Any, ...]) -> bytes:
        """The data of the frame. Raises what brine raises for what it cannot carry."""
        to_method = self._methods.get(method)
        if to_method is None:
            to_method = self._to_root + brine.dump((consts.LABEL_VALUE, method)) + self._to_arguments
            if len(self._methods) < _MAX_REMEMBERED_METHODS:
                self._methods[method] = to_method
        return b"".join((self._start, brine.dump(seq), to_method, brine.dump(args), self._end))


class ValueCall:
    """A call whose reply is awaited.

    Args:
        discard: Gives back the references in a reply that holds any.
    """

    __slots__ = ("_discard", "future")

    def __init__(self, discard: Callable[[Any], None]) -> None:
        self._discard = discard
        self.future = CallFuture()

    @property
    def is_awaited(self) -> bool:
        """Whether it is still of use that the reply comes."""
        return not self.future.done()

    def deliver(self, kind: int, payload: Any) -> None:
        """Complete the future with what arrived."""
        if kind == consts.MSG_EXCEPTION:
            self.fail(remote_errors.load_mere(payload, _CONFIG))
        elif payload[0] == consts.LABEL_VALUE:
            if begin_completing(self.future):
                self.future.set_result(payload[1])
        else:
            self._discard(payload)
            self.fail(TypeError("the peer answered with an object where only a value can cross"))

    def fail(self, error: BaseException) -> None:
        """Complete the future with an exception."""
        if begin_completing(self.future):
            self.future.set_exception(error)

    def run_callbacks(self) -> None:
        """Nothing: a future runs its callbacks itself."""
