"""Calls by value to the hub: each waits no longer than it was told, and fails with our own errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rpyc_kernel.client.address import Address
from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.errors import CallTimeout, ConnectionLost, KernelError, from_name
from rpyc_kernel.settings import ClientSettings
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.values.client import StartedCall, ValueClient

_T = TypeVar("_T")
_OUR_ERRORS = "rpyc_kernel.errors."

SILENCE_ADVICE = (
    "the hub is stopped, its machine is gone, or the way to it is blocked. What runs there may go on: see to that, "
    "and connect again"
)
"""What to say of a kernel that was silent for too long."""


class HubConnection:
    """One proven connection to a hub, for calls by value, from any number of threads; it has none of its own.

    Args:
        address: the hub.
        channel: which of the handshake's channels.
        identity: who asks.
        settings: how patient to be.
    """

    def __init__(self, address: Address, channel: int, identity: Identity, settings: ClientSettings) -> None:
        self._timeout_s = settings.timeout_s
        self._shown = address.shown
        sock, self.identity = address.enter(channel, identity, settings.timeout_s)
        self._client = ValueClient(sock, silence_s=settings.silence_s, advice=SILENCE_ADVICE)

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone."""
        return self._client.is_closed

    def hello(self) -> dict[str, Any]:
        """Ask the hub who this client is and where it left off."""
        return self.call(commands.HELLO)

    def call(
        self,
        command: Command[_T],
        *arguments: Any,
        read: Callable[[Any], _T] | None = None,
        timeout_s: float | None = None,
    ) -> _T:
        """Give the hub a command, wait for its answer, and return what the table says, or ``read``, makes of it.

        Raises:
            RequestError: an argument is nothing that crosses by value.
            CallTimeout: no answer came in time; the connection is still good.
            ConnectionLost: the connection is gone.
            KernelError: whatever the hub says is wrong.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            return (read or reader_of(command))(self._client.call(command.name, arguments, limit_s))
        except CallTimeout:
            raise CallTimeout(f"{self._shown} did not answer {command.name!r} within {limit_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - everything the wire can bring becomes ours
            raise self.as_ours(error) from None

    def start(self, command: Command[Any], *arguments: Any, timeout_s: float | None = None) -> StartedCall:
        """Give the hub a command without waiting for its answer; the errors of the future need `as_ours`.

        The answer comes when somebody reads: whoever waits for it, or for another one. Callbacks run on that thread,
        and must not wait for this connection.

        Raises:
            RequestError: an argument is nothing that crosses by value.
            ConnectionFailed: the call could not be sent.
        """
        try:
            return self._client.start(command.name, arguments, self._timeout_s if timeout_s is None else timeout_s)
        except Exception as error:  # noqa: BLE001 - everything the wire can bring becomes ours
            raise self.as_ours(error) from None

    def as_ours(self, error: BaseException | None) -> Exception:
        """Turn an error of the wire, or of reading an answer, into one of our tree."""
        if isinstance(error, EOFError):
            return ConnectionLost(f"the connection to {self._shown} is gone: {error}")
        if isinstance(error, KernelError):
            return error
        if not isinstance(error, Exception):
            return ConnectionLost(f"the call was dropped: {error!r}")
        ours = own_error(error)
        if isinstance(ours, KernelError):
            return ours
        message = error.args[0] if error.args else ""
        if hasattr(error, "remote_type"):
            what = f"{error.remote_type.rpartition('.')[2]}: {message}"
            return KernelError(f"the hub of {self._shown} failed at what was asked: {what}; its hub.log may say more")
        what = f"{type(error).__name__}: {message}"
        return KernelError(f"{self._shown} answered with what cannot be read ({what}); is it of the same release?")

    def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait until the other side has ended the connection; whether it has."""
        return self._client.wait_until_closed(timeout_s)

    def read_until(self, is_over: Callable[[], bool]) -> None:
        """Complete the calls that were started, until something is so, or the connection is gone."""
        self._client.read_until(is_over)

    # ---- for a loop that waits for several things ----

    @property
    def beat_s(self) -> float:
        """How long such a loop may wait before it tells `read_ready` of it."""
        return self._client.beat_s

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to `read_ready`."""
        return self._client.fileno()

    def read_ready(self, waited_s: float = 0.0) -> None:
        """Complete the calls whose answers have come; never waits.

        Args:
            waited_s: for how long the loop has waited for them in vain.
        """
        self._client.read_ready(waited_s)

    def close(self) -> None:
        """Close the connection; whoever waits on it gets `ConnectionLost`."""
        self._client.close()


def own_error(error: Any) -> Any:
    """Our own class for an error of ours that was raised on the other side; any other as it is."""
    remote_type = getattr(error, "remote_type", "")
    if not remote_type.startswith(_OUR_ERRORS):
        return error
    name = remote_type[len(_OUR_ERRORS) :]
    message = str(error.args[0]) if error.args else ""
    return from_name(name, message)
