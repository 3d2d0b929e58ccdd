"""One client's side of JSON-RPC 2.0: its requests are answered each by itself, and it is told and asked things."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.stdio import error_codes
from rpyc_kernel.faces.stdio.error_codes import RpcError, describe_error
from rpyc_kernel.faces.stdio.framing import PENDING, BadMessage, MessageReader, encode_message
from rpyc_kernel.faces.stdio.transport import Transport

_log = logging.getLogger(__name__)

MAX_UNANSWERED: Final = 20_000
"""So many requests of one client may wait for an answer."""
_GOODBYE_S: Final = 5.0

_CANCELLED: Final[dict[str, Any]] = {"error": {"code": error_codes.CANCELLED, "message": "cancelled"}}

Handler = Callable[["Request"], None]
"""Has a request answered, at some time; what it raises answers it, too."""


class Request:
    """What a client asks for or, by a notification, says.

    Args:
        method: what is to be done.
        reply: takes the response, without its id.
        tasks: where those are kept that answer.
        is_awaited: whether anybody waits for the response.

    Attributes:
        params: with what it is to be done, by name.
        on_cancel: what has it answered soon where the client takes it back; without it, that answers it.
        on_answer: called before it is answered with whether it was done.
        is_answered: whether it is.
    """

    __slots__ = ("_is_awaited", "_reply", "_tasks", "is_answered", "method", "on_answer", "on_cancel", "params")

    def __init__(
        self,
        method: str,
        reply: Callable[[dict[str, Any]], None],
        tasks: set[asyncio.Task[Any]],
        *,
        is_awaited: bool,
    ) -> None:
        self.method = method
        self.params: dict[str, Any] = {}
        self.on_cancel: Callable[[], object] | None = None
        self.on_answer: Callable[[bool], None] | None = None
        self.is_answered = False
        self._reply = reply
        self._tasks = tasks
        self._is_awaited = is_awaited

    def answer(self, result: Any) -> None:
        """Give what is asked for; only the first answer is one."""
        self._say({"result": result})

    def refuse(self, error: BaseException) -> None:
        """Tell why it is not done; whatever that is, other requests are served."""
        if self.is_answered:
            return
        if isinstance(error, (RpcError, KernelError)):
            if not self._is_awaited:
                _log.warning("the notification %s was of no use: %s", self.method[:100], error)
            self._say({"error": describe_error(error)})
        else:
            _log.error("%s failed", self.method[:100], exc_info=error)
            what = f"the server failed at it: {type(error).__name__}: {error}"
            self._say({"error": {"code": error_codes.INTERNAL, "message": what}})

    def answer_by(self, doing: Coroutine[Any, Any, Any], cancelled: Callable[[], None] | None = None) -> None:
        """Have a task answer, with what this returns or raises; it is cancelled where the client takes it back.

        Args:
            doing: what the task does.
            cancelled: called when it was cancelled.
        """
        task = asyncio.ensure_future(doing)
        self.on_cancel = task.cancel
        self._tasks.add(task)
        task.add_done_callback(partial(self._take_outcome, cancelled))

    def _take_outcome(self, cancelled: Callable[[], None] | None, task: asyncio.Task[Any]) -> None:
        # In no coroutine around it: one that is cancelled before its first step is never entered.
        self._tasks.discard(task)
        if task.cancelled():
            if cancelled is not None:
                cancelled()
            self._say(_CANCELLED)
        elif (error := task.exception()) is not None:
            self.refuse(error)
        else:
            self.answer(task.result())

    def cancel(self) -> None:
        """The client takes it back."""
        if self.on_cancel is None:
            self._say(_CANCELLED)
        else:
            self.on_cancel()

    def _say(self, response: dict[str, Any]) -> None:
        if self.is_answered:
            return
        self.is_answered = True
        if self.on_answer is not None:
            self.on_answer("result" in response)
        self._reply(response)
        self.on_answer = self.on_cancel = None  # which hold this


class Peer:
    """A client.

    Args:
        reading: the descriptor to read from.
        writing: the descriptor to write to.
        handle: has each request answered.

    Attributes:
        is_ending: whether nothing more is asked; what was asked is answered yet.
    """

    def __init__(self, reading: int, writing: int, handle: Handler) -> None:
        self._handle = handle
        self._reader = MessageReader()
        self._unanswered: dict[object, Request] = {}  # by their ids, but for notifications
        self._tasks: set[asyncio.Task[Any]] = set()
        self._asked: dict[int | str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._has_left = asyncio.Event()
        self.is_ending = False
        self._transport = Transport(reading, writing, self._take, self._has_left.set)

    # ------------------------------------------------------------------ to the client

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    async def tell_patiently(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, and wait until the client has read enough for more."""
        self.tell(method, params)
        await self.wait_for_room()

    @property
    def has_room(self) -> bool:
        """Whether the client has read enough for more."""
        return self._transport.has_room

    async def wait_for_room(self) -> None:
        """Wait until it has."""
        await self._transport.wait_for_room()

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Send a request, and return its result. Whoever waits no more takes the question back.

        Raises:
            RpcError: the client answers with an error.
        """
        number = f"s{next(self._numbers)}"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send({"id": number, "method": method, "params": params})
            return await answer
        except asyncio.CancelledError:
            self.tell("$/cancelRequest", {"id": number})
            raise
        finally:
            del self._asked[number]

    def _send(self, message: dict[str, Any]) -> None:
        self._transport.write(encode_message({"jsonrpc": "2.0", **message}))

    # ------------------------------------------------------------------ from the client

    def _take(self, data: bytes) -> None:
        if not data:
            self.is_ending = True
            self._transport.watch_reader()
            self._end_if_done()
            return
        self._reader.feed(data)
        while not self._has_left.is_set():
            try:
                message = self._reader.next()
            except BadMessage as error:
                self._refuse(None, RpcError(error_codes.NOT_JSON, str(error)))
                continue
            if message is PENDING:
                return
            self._take_message(message)

    def _take_message(self, message: Any) -> None:
        if not isinstance(message, dict):
            what = "a batch: send each message by itself" if isinstance(message, list) else "not an object"
            self._refuse(None, RpcError(error_codes.NO_REQUEST, f"the message is {what}"))
        elif "method" in message:
            self._take_request(message)
        elif message.get("id") in self._asked:
            self._take_answer(self._asked[message["id"]], message)
        elif not ("result" in message or "error" in message):  # else it answers what is not asked any more
            self._refuse(_id_of(message), RpcError(error_codes.NO_REQUEST, "the message has neither method nor result"))

    def _take_answer(self, asked: asyncio.Future[Any], message: dict[str, Any]) -> None:
        if asked.done():
            return
        if "error" in message:
            said = message["error"] if isinstance(message["error"], dict) else {}
            code = said.get("code")
            asked.set_exception(RpcError(code if type(code) is int else error_codes.INTERNAL, str(said.get("message"))))
        else:
            asked.set_result(message.get("result"))

    def _take_request(self, message: dict[str, Any]) -> None:
        method, params, number = message["method"], message.get("params"), _id_of(message)
        if not isinstance(method, str):
            self._refuse(number, RpcError(error_codes.NO_REQUEST, "the method is no text"))
        elif "id" not in message:
            self._take_notification(method, params)
        elif number is None:
            self._refuse(None, RpcError(error_codes.NO_REQUEST, "an id is a text or a whole number"))
        elif number in self._unanswered:
            self._refuse(
                number, RpcError(error_codes.NO_REQUEST, f"a request with the id {number!r} has no answer yet")
            )
        elif len(self._unanswered) >= MAX_UNANSWERED:
            what = f"{MAX_UNANSWERED:,} requests have no answer yet; ask again when some have"
            self._refuse(number, RpcError(error_codes.TOO_MANY, what))
        else:
            self._begin(number, method, params)

    def _take_notification(self, method: str, params: Any) -> None:
        if method == "$/cancelRequest":
            request = self._unanswered.get(_id_of(params)) if isinstance(params, dict) else None
            if request is not None:
                request.cancel()
        elif method == "exit":
            self._has_left.set()
        elif not method.startswith("$/"):  # those are the protocol's own, and may be left alone
            self._begin(None, method, params)

    def _begin(self, number: int | str | None, method: str, params: Any) -> None:
        key = object() if number is None else number
        reply = partial(self._respond, key, number)
        request = self._unanswered[key] = Request(method, reply, self._tasks, is_awaited=number is not None)
        try:
            request.params = _check_params(params)
            self._handle(request)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            request.refuse(error)

    def _respond(self, key: object, number: int | str | None, response: dict[str, Any]) -> None:
        del self._unanswered[key]
        if number is not None:
            self._send({"id": number, **response})
        self._end_if_done()

    def _end_if_done(self) -> None:
        """Where nothing more is asked, what was asked is answered yet, for whoever reads that."""
        if self.is_ending and not self._unanswered:
            self._has_left.set()

    def _refuse(self, number: int | str | None, error: RpcError) -> None:
        self._send({"id": number, "error": describe_error(error)})

    # ------------------------------------------------------------------ the end

    async def wait_until_gone(self) -> None:
        """Wait until the client has left, or is gone."""
        await self._has_left.wait()

    async def close(self) -> None:
        """Drop what was asked, and have the client read what was said."""
        tasks = list(self._tasks)
        for request in list(self._unanswered.values()):
            request.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close(_GOODBYE_S)


def _id_of(message: dict[str, Any]) -> int | str | None:
    number = message.get("id")
    return number if type(number) in (int, str) else None


def _check_params(params: Any) -> dict[str, Any]:
    if params is None or params == []:  # libraries send one or the other for nothing
        return {}
    if isinstance(params, dict):
        return params
    if isinstance(params, list) and len(params) == 1 and isinstance(params[0], dict):
        return params[0]
    raise RpcError(error_codes.WRONG_PARAMETERS, "the parameters are given by name, in an object")
