"""Calls by value to the hub: each waits no longer than it was told, and fails with our own errors.

This is the one place where a lost connection is made again, as the same session, beneath everything that asks. Who
waits for an answer when the connection is lost goes on waiting, within the call's own limit, and the question is asked
again where that is harmless: `Command.is_repeatable`. Whoever reads by a cursor so just reads on.

A thread makes the connection again, only for as long as that takes: so Ctrl-C breaks off who waits and not the way
back, and a loop that waits for several things has a descriptor that tells when it is over.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rpyc_kernel.client.address import Address
from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.returning import CLOSED, Attempts, come_back
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.seconds import LONGEST_S, show_seconds
from rpyc_kernel.errors import CallTimeout, ConnectionLost, KernelError, own_error
from rpyc_kernel.settings import ClientSettings
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.system.threads import make_thread, start_threads
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.values.client import StartedCall, ValueClient

_T = TypeVar("_T")
_JOIN_S = 2.0

SILENCE_ADVICE = (
    "the hub is stopped, its machine is gone, or the way to it is blocked. What runs there may go on: see to that, "
    "and connect again"
)
"""What to say of a kernel that was silent for too long."""


class HubConnection:
    """One proven connection to a hub, for calls by value, from any number of threads.

    A fork of its process can neither use it nor make it again.

    Args:
        address: the hub.
        channel: which of the handshake's channels.
        identity: who asks.
        settings: how patient to be.
        on_loss: called with what is to be said when the connection is lost, with what is in the way, and with "" when
            it is there again; on the thread that makes it again.
        timeout_s: for this time of connecting, None for the usual one.

    Attributes:
        identity: who the hub says that this client is.
        hub_pid: the hub's process, when last greeted.
        returns: how often the connection has been made again.
        last: the number of the newest event then; a kernel that does not know of it is another.
    """

    def __init__(
        self,
        address: Address,
        channel: int,
        identity: Identity,
        settings: ClientSettings,
        on_loss: Callable[[str], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> None:
        self.identity = identity
        self.hub_pid = 0
        self.returns = 0
        self._address = address
        self._channel = channel
        self._settings = settings
        self._on_loss = on_loss
        self._said = ""
        self._timeout_s = settings.timeout_s
        self._shown = address.shown
        self._pid = os.getpid()
        self.last = 0
        self._end: KernelError | None = None
        self._closing = Latch()
        self._attempts = Attempts(settings.reconnect_s)
        # Else, connections that are lost at each question would be made for ever.
        self._has_answered = True
        self._kept: dict[KeptCall, None] = {}  # in order
        self._lock = threading.Lock()
        self._ways: list[_WayBack] = []  # the last is the one that is gone, if any is
        self._client = self._enter(settings.timeout_s if timeout_s is None else timeout_s)

    # ------------------------------------------------------------------ asking

    def hello(self) -> dict[str, Any]:
        """Ask the hub who this client is and where it left off."""
        return self._note(self.call(commands.HELLO))

    def call(
        self,
        command: Command[_T],
        *arguments: Any,
        read: Callable[[Any], _T] | None = None,
        timeout_s: float | None = None,
        within_s: float | None = None,
    ) -> _T:
        """Give the hub a command, wait for its answer, and return what the table says, or ``read``, makes of it.

        Args:
            command: the command.
            *arguments: what it takes.
            read: makes something of the answer.
            timeout_s: for the answer, None for the client's own limit.
            within_s: for all of it, if the connection has to be made again; None for no longer than the answer.

        Raises:
            RequestError: an argument is nothing that crosses by value.
            CallTimeout: no answer came in time; the connection is still good, or is being made again.
            ConnectionLost: the connection is gone for good, or was lost while something was asked that must not be
                asked twice.
            KernelError: whatever the hub says is wrong.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + (limit_s if within_s is None else within_s)
        read = read or reader_of(command)
        try:
            client = self._client if command.is_repeatable else self._find_connected(deadline)
            try:
                answer = client.call(command.name, arguments, limit_s)
            except ConnectionLost as error:
                if not command.is_repeatable:
                    raise self.doubt(command, error) from None
                answer = self._call_again(client, command.name, arguments, limit_s, deadline)
            self._has_answered = True
            return read(answer)
        except CallTimeout:
            raise self.too_late(command, limit_s) from None
        except Exception as error:  # noqa: BLE001 - everything the wire can bring becomes ours
            raise self.as_ours(error) from None

    def _call_again(
        self, client: ValueClient, name: str, arguments: tuple[Any, ...], limit_s: float, deadline: float
    ) -> Any:
        while True:
            client = self._follow_back(client, deadline)
            try:
                return client.call(name, arguments, max(0.0, min(limit_s, deadline - time.monotonic())))
            except ConnectionLost:
                pass

    def _find_connected(self, deadline: float) -> ValueClient:
        """A connection of which nobody knows that it is lost, to ask what is asked once."""
        client = self._client
        while client.is_closed:
            client = self._follow_back(client, deadline)
        return client

    def doubt(self, command: Command[Any], error: ConnectionLost) -> Exception:
        """The error for who has asked what must not be asked twice, and has lost the answer."""
        if self._end is not None or os.getpid() != self._pid:
            return self.as_ours(error)
        return ConnectionLost(
            f"the connection to {self._shown} was lost before {command.name!r} was answered ({error}); it may have "
            "been done: see whether it was before you ask again"
        )

    def too_late(self, command: Command[Any], limit_s: float) -> CallTimeout:
        """The error for who was not answered in time."""
        state = f"; the connection is lost: {self._client.loss}" if self._client.loss else ""
        return CallTimeout(f"{self._shown} did not answer {command.name!r} within {show_seconds(limit_s)} s{state}")

    def start(self, command: Command[Any], *arguments: Any, timeout_s: float | None = None) -> KeptCall:
        """Give the hub a command without waiting for its answer; what the future raises is ours, as from `call`.

        The answer comes when somebody reads: whoever waits for it, or for another one. Callbacks run on that thread,
        and must not wait for this connection. While there is no connection, what is repeatable waits for it.

        Raises:
            RequestError: an argument is nothing that crosses by value.
            ConnectionFailed: the call could not be sent.
        """
        call = KeptCall(self, command, arguments)
        self._kept[call] = None
        try:
            self._require_hope()
            try:
                call.ask(self._client, self._timeout_s if timeout_s is None else timeout_s)
            except ConnectionLost:
                if not self.keeps(call):
                    raise
        except BaseException as error:
            self._kept.pop(call, None)
            if not isinstance(error, Exception):
                raise
            raise self.as_ours(error) from None
        return call

    def keeps(self, call: KeptCall) -> bool:
        """Whether a call whose connection was lost is to be asked again."""
        return call.is_kept and self._may_return(self._client)

    def drop(self, call: KeptCall, *, is_answered: bool) -> None:
        """It is answered, or never will be."""
        self._kept.pop(call, None)
        self._has_answered |= is_answered

    def as_ours(self, error: BaseException | None) -> Exception:
        """Turn an error of the wire, or of reading an answer, into one of our tree."""
        if isinstance(error, EOFError):
            return self.end or self._describe_loss(str(error))
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

    # ------------------------------------------------------------------ reading for what was started

    def wait_for(self, future: StartedCall, timeout_s: float | None) -> None:
        """Read until a call that was started is answered, or the time is over."""
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while not future.is_settled and (left_s := deadline - time.monotonic()) > 0:
            client = self._client
            client.wait_for(future, None if timeout_s is None else left_s)
            if client.loss and not self._is_back(client, deadline):
                return

    def read_until(self, is_over: Callable[[], bool]) -> None:
        """Complete the calls that were started, until something is so, or the connection is gone for good."""
        while not is_over():
            client = self._client
            client.read_until(is_over)
            if client.loss and not is_over() and not self._is_back(client, math.inf):
                return

    def _is_back(self, lost: ValueClient, deadline: float) -> bool:
        try:
            self._follow_back(lost, deadline)
        except KernelError:
            return False
        return True

    # ---- for a loop that waits for several things ----

    @property
    def beat_s(self) -> float:
        """How long such a loop may wait before it tells `read_ready` of it."""
        return self._client.beat_s

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to `read_ready`, which may change it."""
        client = self._client
        if client.loss:
            with contextlib.suppress(KernelError):
                return self._begin_way_back(client).fileno()
        return client.fileno()

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """Complete the calls whose answers have come; never waits.

        Args:
            waited_s: for how long the loop has waited for them in vain.

        Returns:
            Whether there is a connection.
        """
        self._forget_ways(lambda way: way.is_over.is_set)
        client = self._client
        if os.getpid() != self._pid:  # nobody asks for the answers of what a loop waits for
            for call in tuple(self._kept):
                call.settle(None, ConnectionLost(self._whose))
            return False
        client.read_ready(waited_s)
        if client.loss and self._kept:
            with contextlib.suppress(KernelError):  # whoever asks for an answer hears of it
                self._begin_way_back(client)
        return not client.loss

    # ------------------------------------------------------------------ coming back

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, or gone for good; looks."""
        self._forget_ways(lambda way: way.is_over.is_set)
        return self._end is not None or (self._client.is_closed and not self._may_return(self._client))

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; looks."""
        return not self._client.is_closed

    @property
    def loss(self) -> str:
        """Why there is no connection now, "" if nobody has noticed that; does not look."""
        return self._client.loss

    def _may_return(self, lost: ValueClient) -> bool:
        return (
            self._end is None and self._settings.reconnect_s > 0 and not lost.was_dismissed and os.getpid() == self._pid
        )

    def _follow_back(self, lost: ValueClient, deadline: float) -> ValueClient:
        """Wait for the connection after this one.

        Raises:
            CallTimeout: it is not there by then.
            KernelError: there will be none.
        """
        while self._client is lost:
            way = self._begin_way_back(lost)
            left_s = deadline - time.monotonic()
            if not way.is_over.wait(None if left_s == math.inf else max(0.0, left_s)):
                raise CallTimeout("it is not back yet")
        self._require_hope()
        return self._client

    def _require_hope(self) -> None:
        if (end := self.end) is not None:
            raise end

    def _begin_way_back(self, lost: ValueClient) -> _WayBack:
        """Have the connection made again, unless that has begun; raises what is in the way of that for good."""
        if os.getpid() != self._pid:
            raise self._describe_loss(self._whose)
        if not self._may_return(lost):
            self._give_up(self._describe_loss(lost.loss))
        self._require_hope()
        with self._lock:
            if not self._ways or self._ways[-1].lost is not lost:
                self._ways.append(_WayBack(lost, self._go_back))
            way = self._ways[-1]
            if way.thread.ident is None:  # as an interrupt may leave it
                start_threads(way.thread)
        self._forget_ways(lambda gone: gone is not way and not gone.has_bell)
        return way

    def _forget_ways(self, choose: Callable[[_WayBack], bool]) -> None:
        for way in tuple(self._ways):
            if choose(way):
                way.close()
                with contextlib.suppress(ValueError):
                    self._ways.remove(way)

    def _go_back(self, way: _WayBack) -> None:
        """Make the connection again; on a thread that does nothing else."""
        try:
            if self._has_answered:
                self._has_answered = False
                self._attempts.begin_anew()
            limit_s = self._attempts.left_s
            how_long = f"for {limit_s:.0f} s" if limit_s < LONGEST_S / 2 else "until it is back"
            loss = f"the connection to {self._shown} is lost: {way.lost.loss}; trying again {how_long}"
            # Whoever was sent away hears why at the first attempt, and of that alone. A way that is silent leaves that
            # attempt waiting, too.
            if way.lost.was_silent:
                self._tell(loss)
            self._client = come_back(
                self._enter_again,
                self._attempts,
                self._closing,
                timeout_s=self._settings.timeout_s,
                told=lambda obstacle: self._tell_all(loss, str(obstacle)),
            )
            self.returns += 1
            self._tell_all(loss, "")
            for call in tuple(self._kept):
                call.ask(self._client, self._settings.timeout_s)
        except ConnectionLost as error:
            if self._client is way.lost:  # else the next one was lost at once, which whoever reads it finds out
                tried = "" if self._closing.is_set else f"; tried again for {limit_s:.0f} s, in vain: {error}"
                self._give_up(self._describe_loss(f"{way.lost.loss}{tried}"))
        except CallTimeout:
            pass  # the hub takes nothing: it is for who reads to find out
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._give_up(self.as_ours(error))
        finally:
            way.end()

    def _tell_all(self, loss: str, text: str) -> None:
        """Tell what there is to say, and before it of the loss, where that is not told yet."""
        if not self._said:
            self._tell(loss)
        self._tell(text)

    def _tell(self, text: str) -> None:
        if self._on_loss is not None and text != self._said:
            self._said = text
            self._on_loss(text)

    def _enter_again(self, limit_s: float) -> ValueClient:
        """Be greeted by the same kernel."""
        deadline = time.monotonic() + limit_s
        client = self._enter(limit_s, was_there=True)
        try:
            answer = client.call(commands.HELLO.name, (), max(0.0, deadline - time.monotonic()))
            hello = reader_of(commands.HELLO)(answer)
            if hello["last"] < self.last:
                raise KernelError(
                    f"{self._shown} is not the kernel that it was: its last event is {hello['last']}, and {self.last} "
                    "was known; connect again to begin anew"
                )
            self._note(hello)
        except BaseException:
            client.close()
            raise
        return client

    def _enter(self, timeout_s: float, *, was_there: bool = False) -> ValueClient:
        sock, self.identity = self._address.enter(self._channel, self.identity, timeout_s, was_there=was_there)
        return ValueClient(sock, silence_s=self._settings.silence_s, advice=SILENCE_ADVICE)

    def _note(self, hello: dict[str, Any]) -> dict[str, Any]:
        self.last, self.hub_pid = max(self.last, hello["last"]), hello["hub_pid"]
        return hello

    # ------------------------------------------------------------------ the end

    def wait_until_closed(self, timeout_s: float) -> bool:
        """Wait until the other side has ended the connection, or it is lost; whether it has."""
        return self._client.wait_until_closed(timeout_s)

    def close(self, why: str = CLOSED) -> None:
        """Close the connection; whoever waits on it, or for it, gets `ConnectionLost` with why."""
        if os.getpid() == self._pid:
            self._give_up(self._describe_loss(why))
            for way in tuple(self._ways):
                if way.thread.ident is not None and way.thread is not threading.current_thread():
                    way.thread.join(_JOIN_S)
            self._forget_ways(lambda _: True)
        self._client.close()

    def _give_up(self, error: Exception) -> None:
        """There will be no connection any more."""
        if self._end is None:
            self._end = error if isinstance(error, KernelError) else self._describe_loss(repr(error))
        self._closing.set()
        self._client.close()
        for call in tuple(self._kept):
            call.settle(None, self.end)

    @property
    def end(self) -> KernelError | None:
        """The error that tells why there will be no connection any more; each who is told gets one of their own."""
        return None if self._end is None else type(self._end)(str(self._end))

    @property
    def _whose(self) -> str:
        return f"it belongs to process {self._pid}, not to this fork of it"

    def _describe_loss(self, reason: str) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._shown} is gone: {reason}")


class KeptCall(StartedCall):
    """A call that nobody waits for yet; it is asked again where its connection is lost before its answer has come.

    Attributes:
        is_kept: whether that is so.
    """

    def __init__(self, connection: HubConnection, command: Command[Any], arguments: tuple[Any, ...]) -> None:
        super().__init__(connection)
        self.command = command
        self.is_kept = command.is_repeatable
        self._connection = connection
        self._arguments = arguments
        self._asked: ValueClient | None = None

    def ask(self, client: ValueClient, timeout_s: float) -> None:
        """Ask, unless it was asked by this client."""
        if self._asked is not client:
            self._asked = client
            client.start(self.command.name, self._arguments, timeout_s, self)

    def ask_no_more(self) -> None:
        """Have it fail where its connection is lost before its answer has come."""
        self.is_kept = False
        if self._asked is None or self._asked.loss:
            self.settle(None, ConnectionLost("nobody wanted to know any more when it could be asked again"))

    def settle(self, answer: Any, failure: Exception | None) -> None:
        """See `StartedCall`; a loss settles nothing where the call is kept, and other failures are our own errors."""
        if isinstance(failure, ConnectionLost) and self._connection.keeps(self):
            return
        super().settle(answer, None if failure is None else self._connection.as_ours(failure))
        self._connection.drop(self, is_answered=not isinstance(failure, ConnectionLost))


class _WayBack:
    """From one lost connection to the next, or to the end: the thread that makes it, and whoever waits for it.

    Attributes:
        lost: the connection that was lost.
        is_over: happens when there is another, or will be none.
    """

    def __init__(self, lost: ValueClient, go: Callable[[_WayBack], None]) -> None:
        self.lost = lost
        self.is_over = Latch()
        self.thread = make_thread(go, "rpyc_kernel-return", (self,))
        self._lock = threading.Lock()
        self._bell: tuple[socket.socket, socket.socket] | None = None

    @property
    def has_bell(self) -> bool:
        """Whether a loop may wait for it."""
        return self._bell is not None

    def fileno(self) -> int:
        """The descriptor that can be read when it is over."""
        with self._lock:
            if self._bell is None:
                self._bell = socket.socketpair()
                if self.is_over.is_set:
                    self._ring()
            return self._bell[0].fileno()

    def end(self) -> None:
        """It is over; wakes everybody."""
        self.is_over.set()
        with self._lock:
            self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell[1].send(b"!")  # closing would not do: a fork may hold a copy

    def close(self) -> None:
        """Nobody waits for it."""
        with self._lock:
            bell, self._bell = self._bell, None
        for end in bell or ():
            end.close()
