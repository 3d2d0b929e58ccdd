"""The requests of this side that have no reply yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rpyc.core import consts

from rpyc_kernel.system.originals import logging
from rpyc_kernel.wire.netrefs.references import References
from rpyc_kernel.wire.netrefs.replies import Reply

_log = logging.getLogger(__name__)


class PendingRequests:
    """By sequence number, what each reply is to be delivered to.

    Filled by users' threads, emptied by the thread that reads; every step is a single operation on a dictionary.

    Args:
        references: What replies are made of.
        wake: Called after each delivery.
    """

    def __init__(self, references: References, wake: Callable[[], None]) -> None:
        self._requests: dict[int, Reply] = {}
        self._references = references
        self._wake = wake

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody still waits for one of the replies."""
        return any(request.is_awaited for request in tuple(self._requests.values()))

    def add(self, seq: int, request: Reply) -> None:
        """Expect a reply."""
        self._requests[seq] = request

    def drop(self, seq: int) -> None:
        """Expect it no longer."""
        self._requests.pop(seq, None)

    def receive(self, kind: int, seq: int, payload: Any) -> None:
        """Deliver a reply or an exception that came in."""
        if seq not in self._requests:  # the answer to a request that was given up, or that gave references back
            if kind == consts.MSG_REPLY:
                self._references.discard(payload)
            return
        try:
            package = self._references.resolve(payload) if kind == consts.MSG_REPLY else payload
        except Exception as error:  # noqa: BLE001 - the peer's data
            self._references.discard(payload)
            self.fail(seq, error)
        else:
            self._deliver(seq, lambda request: request.deliver(kind, package))

    def fail(self, seq: int, error: BaseException) -> None:
        """Deliver an error of this side."""
        self._deliver(seq, partial(_fail, error))

    def fail_all(self, make_error: Callable[[], BaseException]) -> None:
        """Deliver an error of this side to every request, and run their callbacks here and now."""
        while self._requests:
            _, request = self._requests.popitem()
            self._hand_over(request, partial(_fail, make_error()))
            request.run_callbacks()

    def _deliver(self, seq: int, deliver: Callable[[Reply], None]) -> None:
        request = self._requests.pop(seq, None)
        if request is not None:
            self._hand_over(request, deliver)

    def _hand_over(self, request: Reply, deliver: Callable[[Reply], None]) -> None:
        try:
            deliver(request)
        except BaseException:  # noqa: BLE001 - a callback of a future; this thread has to go on
            _log.exception("delivering a reply raised")
        self._wake()


def _fail(error: BaseException, request: Reply) -> None:
    request.fail(error)
