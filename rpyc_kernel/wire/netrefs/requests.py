"""How a connection serves its peer's requests: each is answered, whatever happens.

What needs no user code is answered at once by the thread that reads. Everything else waits for its turn on the requests
thread, which most often is the same.
"""

from __future__ import annotations

from functools import partial
from os import getpid  # not what user code may put in its place
from typing import Any

from rpyc.core import consts, protocol

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.originals import futures, logging
from rpyc_kernel.wire import messages, remote_errors
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.messages import IdPack, Package
from rpyc_kernel.wire.netrefs.job_queue import JobQueue
from rpyc_kernel.wire.netrefs.references import References, is_netref
from rpyc_kernel.wire.outbox import Outbox

_log = logging.getLogger(__name__)


class Later(futures.Future[Any]):
    """What a handler returns that cannot answer yet: what it is completed with answers the request, from any thread.

    The requests behind it are served meanwhile.
    """


class RequestServer:
    """The serving half of a connection.

    Args:
        connection: Whose handlers and configuration apply.
        references: What the requests' arguments and results are made of.
        jobs: Where requests wait.
        outbox: Where answers go.
        channel: Says how large an answer may be.
    """

    def __init__(
        self,
        connection: protocol.Connection,
        references: References,
        jobs: JobQueue,
        outbox: Outbox,
        channel: Channel,
    ) -> None:
        self._connection = connection
        self._references = references
        self._jobs = jobs
        self._outbox = outbox
        self._channel = channel
        self._keeps_traceback = bool(connection._config.get("keeps_traceback"))
        self._pid = getpid()
        self._is_stopped = False

    def stop(self) -> None:
        """Drop the requests that have not begun."""
        self._is_stopped = True

    def receive(self, seq: int, payload: Any, size_bytes: int) -> None:
        """Take a request that came in, on the thread that reads."""
        try:
            handler, package = payload
            if handler == consts.HANDLE_DEL:
                (_, id_pack), (_, count) = package[1]
                self._jobs.put(partial(self._serve_deletion, seq, id_pack, count), size_bytes)
                return
            resolved = self._references.resolve(package)
        except Exception as error:  # noqa: BLE001 - the peer's data
            self._references.discard(payload[1] if isinstance(payload, tuple) and len(payload) == 2 else None)
            self.answer_error(seq, error)
            return
        if self._needs_no_user_code(handler, resolved):
            self._serve(seq, handler, resolved)
        else:
            lost = partial(self.answer_error, seq)
            self._jobs.put(partial(self._serve_in_turn, seq, handler, resolved), size_bytes, lost=lost)

    def answer_error(self, seq: int, error: BaseException) -> None:
        """Answer a request with an exception."""
        include_traceback = bool(self._connection._config["include_local_traceback"])
        limit = self._channel.max_frame_bytes
        self._send(remote_errors.encode(seq, error, limit, include_traceback=include_traceback))

    def _needs_no_user_code(self, handler: Any, package: Package) -> bool:
        label, args = package
        if label != consts.LABEL_VALUE:
            return False
        if handler == consts.HANDLE_INSPECT:
            try:
                return not is_netref(self._references.exports[args[0]])
            except (LookupError, TypeError):  # serving it will report that
                return True
        return handler in (consts.HANDLE_PING, consts.HANDLE_GETROOT)

    def _serve_in_turn(self, seq: int, handler: int, package: Package) -> None:
        if not self._is_stopped:
            self._serve(seq, handler, package)

    def _serve(self, seq: int, handler: int, package: Package) -> None:
        try:
            args = self._references.build(package, self._find_sources(package))
            result = self._connection._HANDLERS[handler](self._connection, *args)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is the peer's to handle
            if self._keeps_traceback:
                self._connection._last_traceback = error.__traceback__
            if not self._ends_here:
                self.answer_error(seq, error)
        else:
            if type(result) is Later:
                result.add_done_callback(partial(self._answer_later, seq))
            elif not self._ends_here:
                self._answer(seq, result)

    def _answer_later(self, seq: int, done: futures.Future[Any]) -> None:
        error = done.exception()
        if error is not None:
            self.answer_error(seq, error)
        else:
            self._answer(seq, done.result())

    @property
    def _ends_here(self) -> bool:
        """Whether this thread is to end, as user code has forked in it and this is the child.

        The other threads of the connection are not there: nobody would send an answer, nor read the next request.
        """
        if getpid() == self._pid:
            return False
        self._jobs.finish()
        return True

    def _serve_deletion(self, seq: int, id_pack: IdPack, count: int) -> None:
        try:
            self._references.exports.decref(id_pack, count)
        except Exception as error:  # noqa: BLE001 - the peer's data
            self.answer_error(seq, error)
        else:
            if seq != messages.UNANSWERED:
                self._answer(seq, None)

    def _find_sources(self, package: Package) -> dict[IdPack, Any]:
        try:
            return self._references.find_sources(package)
        except BaseException:
            self._references.discard(package)
            raise

    def _answer(self, seq: int, result: Any) -> None:
        given: list[IdPack] = []
        try:
            frame = messages.encode_reply(seq, self._references.box(result, given))
            self._channel.check_size(frame)
        except BaseException as error:  # noqa: BLE001 - encoding fails in many ways, and runs code of foreign objects
            self._references.take_back(given)
            self.answer_error(seq, error)
        else:
            self._send(frame)

    def _send(self, frame: bytes) -> None:
        try:
            if self._jobs.is_in_job:  # who reads never waits: what it answers with is small
                self._outbox.wait_for_room()
            self._outbox.send(frame)
        except ConnectionLost:
            _log.debug("%s: an answer came too late", self._connection)
