"""One client's side of JSON-RPC 2.0: its requests are answered each by itself, and it is told and asked things."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
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

Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Does what a method, with its parameters, asks for, and returns the result."""


class Peer:
    """A client.

    Args:
        reading: the descriptor to read from.
        writing: the descriptor to write to.
        handle: does what is asked for.
    """

    def __init__(self, reading: int, writing: int, handle: Handler) -> None:
        self._handle = handle
        self._reader = MessageReader()
        self._unanswered: dict[int | str, asyncio.Task[None]] = {}
        self._untold: set[asyncio.Task[None]] = set()  # what notifications have begun
        self._asked: dict[int | str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._has_left = asyncio.Event()
        self._transport = Transport(reading, writing, self._take)

    # ------------------------------------------------------------------ to the client

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    async def tell_patiently(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, and wait until the client has read enough for more."""
        self.tell(method, params)
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
            self._has_left.set()
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
            self._unanswered[number] = asyncio.ensure_future(self._answer(number, method, params))

    def _take_notification(self, method: str, params: Any) -> None:
        if method == "$/cancelRequest":
            task = self._unanswered.get(_id_of(params)) if isinstance(params, dict) else None  # type: ignore[arg-type]
            if task is not None:
                task.cancel()
        elif method == "exit":
            self._has_left.set()
        elif not method.startswith("$/"):  # those are the protocol's own, and may be left alone
            task = asyncio.ensure_future(self._do_quietly(method, params))
            self._untold.add(task)
            task.add_done_callback(self._untold.discard)

    async def _do_quietly(self, method: str, params: Any) -> None:
        try:
            await self._handle(method, _check_params(params))
        except (RpcError, KernelError) as error:
            _log.warning("the notification %s was of no use: %s", method[:100], error)
        except Exception:  # noqa: BLE001 - nobody waits for it
            _log.exception("the notification %s failed", method[:100])

    async def _answer(self, number: int | str, method: str, params: Any) -> None:
        try:
            response: dict[str, Any] = {"result": await self._handle(method, _check_params(params))}
        except asyncio.CancelledError:
            response = {"error": {"code": error_codes.CANCELLED, "message": "cancelled"}}
        except (RpcError, KernelError) as error:
            response = {"error": describe_error(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are served
            _log.exception("%s failed", method[:100])
            what = f"the server failed at it: {type(error).__name__}: {error}"
            response = {"error": {"code": error_codes.INTERNAL, "message": what}}
        del self._unanswered[number]
        self._send({"id": number, **response})

    def _refuse(self, number: int | str | None, error: RpcError) -> None:
        self._send({"id": number, "error": describe_error(error)})

    # ------------------------------------------------------------------ the end

    async def wait_until_gone(self) -> None:
        """Wait until the client has left, or is gone."""
        await self._has_left.wait()

    async def close(self) -> None:
        """Drop what was asked, and have the client read what was said."""
        tasks = [*self._unanswered.values(), *self._untold]
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
