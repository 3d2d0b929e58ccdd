"""Calls by value to the hub: each waits no longer than it was told, and fails with our own errors."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any

from rpyc_kernel.client.address import Address
from rpyc_kernel.client.answers import read_hello
from rpyc_kernel.errors import CallTimeout, ConnectionLost, KernelError, RequestError, from_name
from rpyc_kernel.settings import ClientSettings
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, Connection, Patience, connect_peer
from rpyc_kernel.wire.netrefs.service import VoidService

_OUR_ERRORS = "rpyc_kernel.errors."

SILENCE_ADVICE = (
    "the hub is stopped, its machine is gone, or the way to it is blocked. What runs there may go on: see to that, "
    "and connect again"
)
"""What to say of a kernel that was silent for too long."""


class HubConnection:
    """One proven connection to a hub, for calls by value.

    Args:
        address: the hub.
        channel: which of the handshake's channels.
        identity: who asks.
        settings: how patient to be.
        thread_name: what the connection's threads are called.
    """

    def __init__(
        self, address: Address, channel: int, identity: Identity, settings: ClientSettings, thread_name: str
    ) -> None:
        self._timeout_s = settings.timeout_s
        self._shown = address.shown
        sock, self.identity = address.enter(channel, identity, settings.timeout_s)
        self._connection: Connection = connect_peer(
            sock,
            VoidService,
            name=thread_name,
            config=CLIENT_CONFIG,
            request_timeout_s=settings.timeout_s,
            patience=Patience(settings.silence_s, SILENCE_ADVICE),
        )

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return bool(self._connection.closed)

    def hello(self) -> dict[str, Any]:
        """Ask the hub who this client is and where it left off; see `HubService.exposed_hello`."""
        hello: dict[str, Any] = self.call("hello", read=read_hello)
        return hello

    def call(
        self,
        method: str,
        *arguments: Any,
        read: Callable[[Any], Any] = lambda answer: answer,
        timeout_s: float | None = None,
    ) -> Any:
        """Call a method of the hub, wait for its answer, and return what ``read`` makes of it.

        Raises:
            CallTimeout: no answer came in time; the connection is still good.
            ConnectionLost: the connection is gone.
            KernelError: whatever the hub says is wrong.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        future = self.start(method, *arguments)
        try:
            failure = future.exception(limit_s)  # so that no answer that is a TimeoutError is taken for none
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise CallTimeout(f"{self._shown} did not answer {method!r} within {limit_s:g} s") from None
        if failure is not None:
            raise self.as_ours(failure) from None
        try:
            return read(future.result())
        except Exception as error:  # noqa: BLE001 - everything the wire can bring becomes ours
            raise self.as_ours(error) from None

    def start(self, method: str, *arguments: Any) -> concurrent.futures.Future[Any]:
        """Call a method without waiting; the errors of the future need `as_ours`.

        Its callbacks run on the thread that reads the connection, and must not wait for it.

        Raises:
            RequestError: an argument is nothing that crosses by value.
        """
        try:
            return self._connection.call(method, *arguments)
        except (TypeError, UnicodeEncodeError) as error:
            raise RequestError(f"an argument of {method!r} cannot be passed by value: {error}") from None

    def as_ours(self, error: BaseException | None) -> Exception:
        """Turn an error of the wire, or of reading an answer, into one of our tree."""
        if isinstance(error, KernelError):
            return error
        if isinstance(error, EOFError):
            return ConnectionLost(f"the connection to {self._shown} is gone: {error}")
        if not isinstance(error, Exception):
            return ConnectionLost(f"the call was dropped: {error!r}")
        ours = own_error(error)
        if isinstance(ours, KernelError):
            return ours
        what = f"{type(error).__name__}: {error.args[0] if error.args else ''}"
        if hasattr(error, "remote_type"):
            return KernelError(f"the hub of {self._shown} failed at what was asked: {what}; its hub.log may say more")
        return KernelError(f"{self._shown} answered with what cannot be read ({what}); is it of the same release?")

    def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait until the other side has ended the connection; whether it has."""
        with contextlib.suppress(ConnectionLost):
            self._connection.serve(timeout_s)
        return bool(self._connection.closed)

    def close(self) -> None:
        """Close the connection and join its threads."""
        self._connection.close()


def own_error(error: Any) -> Any:
    """Our own class for an error of ours that was raised on the other side; any other as it is."""
    remote_type = getattr(error, "remote_type", "")
    if not remote_type.startswith(_OUR_ERRORS):
        return error
    name = remote_type[len(_OUR_ERRORS) :]
    message = str(error.args[0]) if error.args else ""
    return from_name(name, message)
