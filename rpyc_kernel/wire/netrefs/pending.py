"""The requests of this side that have no reply yet."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from operator import methodcaller
from typing import Any

from rpyc.core import consts

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.originals import logging
from rpyc_kernel.wire import messages
from rpyc_kernel.wire.channel import Channel, whole_frames
from rpyc_kernel.wire.netrefs.reading import Lease
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

    def receive_one(self, seq: int, reply: Reply, channel: Channel, lease: Lease) -> None:
        """Receive one reply on the thread that awaits it, as far as nothing else comes before it.

        An interrupt may surface anywhere in here. What is looked at is still in the channel for others to read, and
        what has been taken out of it is this reply, which nobody awaits any more.
        """
        with contextlib.suppress(ConnectionLost):  # whoever reads next finds out, and tells everybody
            while lease and not (reply.has_arrived or reply.expired):
                seen = channel.peek(reply.time_left_s)
                if seen and not self._pass_by(seen, seq, reply, channel, lease):
                    return

    def _pass_by(self, seen: bytes, seq: int, reply: Reply, channel: Channel, lease: Lease) -> bool:
        """Deliver the reply if it is seen; return whether there was nothing yet but what concerns nobody."""
        passed_bytes = 0
        taken: list[bytes] = []
        for frame, end in whole_frames(seen):
            try:
                kind, number, payload = messages.decode(frame)
                is_answer = kind != consts.MSG_REQUEST
                if is_answer and number == seq:
                    package = self._references.resolve(payload) if kind == consts.MSG_REPLY else payload
                    try:
                        channel.take(end, lease, taken)
                    finally:
                        if taken:
                            self._requests.pop(seq, None)
                    if taken:
                        reply.deliver(kind, package)
                    return False
                if number in self._requests or kind != consts.MSG_REPLY or payload[0] != consts.LABEL_VALUE:
                    return False
            except ConnectionLost:
                raise
            except Exception:  # noqa: BLE001 - the peer's data; own threads read it again, and see to it
                return False
            passed_bytes = end
        if passed_bytes:
            channel.take(passed_bytes, lease, taken)
        return bool(taken)

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
        self._deliver(seq, methodcaller("fail", error))

    def fail_all(self, make_error: Callable[[], BaseException]) -> None:
        """Deliver an error of this side to every request, and run their callbacks here and now."""
        while self._requests:
            _, request = self._requests.popitem()
            self._hand_over(request, methodcaller("fail", make_error()))
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
