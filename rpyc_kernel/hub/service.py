"""What a client may ask of the hub, by value: commands, and events read from a cursor.

No call blocks on user code. Those that ask the worker's control thread answer later, while further calls are served;
`read` waits only for events. A stock RPyC client reaches the same methods through the kernel's `rpyc.sock`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, TypeVar

from rpyc_kernel.core import events
from rpyc_kernel.core.commands import COMMANDS, Command, open_to
from rpyc_kernel.core.contract import PROTOCOL_VERSION, Departure, Force, Role, freeze
from rpyc_kernel.core.source import Source
from rpyc_kernel.errors import NoSuchExecution, NotPermitted, RequestError, WorkerBusy
from rpyc_kernel.hub.guests import Guests
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.listening import Listeners
from rpyc_kernel.system.later import Later
from rpyc_kernel.wire.handshake import Identity, Welcome

_OFFERED: Final = "exposed_"
_DONE_HERE: Final = "_do_"
_WORKER_START_S = 4.0
_Service = TypeVar("_Service", bound="type[HubService]")


def _offer_commands(cls: _Service) -> _Service:
    """Give a service what is exposed of it: each command of the table, which the class has a method for, or the worker.

    Where the two are not about the same commands, the class does not come to be.
    """
    done_here = {name.removeprefix(_DONE_HERE) for name in vars(cls) if name.startswith(_DONE_HERE)}
    expected = {name for name, command in COMMANDS.items() if not command.by_worker}
    if done_here != expected:
        raise TypeError(f"the hub's methods and the table of commands differ in {sorted(done_here ^ expected)}")
    for name, command in COMMANDS.items():
        setattr(cls, _OFFERED + name, _check_first(command, getattr(cls, _DONE_HERE + name, None)))
    return cls


def _check_first(command: Command[Any], method: Callable[..., Any] | None) -> Callable[..., Any]:
    """What is exposed for a command: its checks, and behind them the hub's method, or without one the worker."""
    name, bind = command.name, command.bind

    def check_and_call(self: HubService, /, *values: Any, **named: Any) -> Any:
        if name not in self.may_give:
            raise self.refuse(command)
        if method is None:
            return self.ask_worker(name, bind(values, named))
        return method(self, *bind(values, named))

    check_and_call.__name__ = name
    check_and_call.__doc__ = command.doc
    return check_and_call


@_offer_commands
class HubService:
    """One client's view of the hub: a method for every command of the table, which has checked what comes in.

    Args:
        hub: of the kernel.
        guests: the people beside its owner.
        listeners: its ports.
        name: what it is called.
        folder: where its sockets are.
        later: runs what takes a while, off the connection's thread.
        welcome: who the client is, and what this connection may do, whatever others of its session may.
        came_first: whether nobody else had its session when it came.

    Attributes:
        may_give: the names of the commands that are open to it.
    """

    def __init__(
        self,
        hub: Hub,
        guests: Guests,
        listeners: Listeners,
        name: str,
        folder: str,
        later: Executor,
        welcome: Welcome,
        *,
        came_first: bool,
    ) -> None:
        self._hub = hub
        self._guests = guests
        self._listeners = listeners
        self._name = name
        self._later = later
        who = welcome.identity
        self._session, self._client_name, self._role = who.session, who.name, who.role
        self._asks_first = not Role.allows(who.role, Role.EDITOR)
        self.may_give = open_to(who.role, has_values=welcome.grant.has_values)
        works_here = Role.allows(who.role, Role.EDITOR)
        # Its sockets let in who can open them, as this user; who looks on is to learn nothing of them.
        self._folder = folder if works_here else None
        # Who looks on has a place of its own, and moves nobody else's. No session's id has a line end in it.
        self._reads_as = who.session if works_here else f"{who.session}\n{who.role}"
        self._came_first = came_first
        self._read_up_to: int | None = None

    # ------------------------------------------------------------------ who and what

    def _do_hello(self) -> Any:
        return freeze(
            {
                "session": self._session,
                "role": self._role,
                "came_first": self._came_first,
                "cursor": self._hub.cursor_of(self._reads_as),
                "last": self._hub.last,
                "kernel": self._name,
                "protocol": PROTOCOL_VERSION,
                "hub_pid": os.getpid(),
                "hub_python": sys.version.split()[0],
                "generation": self._hub.look(lambda state: state.generation),
            }
        )

    def _do_status(self) -> Any:
        known = {"kernel": self._name, "runtime_folder": self._folder, "listening": self._listeners.tell()}
        return freeze({**known, **self._hub.status()})

    def _do_queue(self, after: int, count: int) -> Any:
        return freeze(self._hub.look(lambda state: state.queue(after, count)))

    # ------------------------------------------------------------------ executions

    def _do_execute(
        self,
        code: str,
        stop_on_error: bool,
        lane: str,
        call: str | None,
        source: Source | None,
        is_input: bool,
        token: str,
        since: int,
    ) -> int:
        is_held, now = self._asks_first, time.time()
        submitted = events.CodeSubmitted(
            self._session, code, now, stop_on_error, lane, call, source, is_input, token, is_held
        )
        return self._hub.submit(submitted, since)

    def _do_run(self, code: str, stop_on_error: bool, wait_s: float, token: str, since: int) -> Any:
        before, highest = self._hub.last, self._hub.last_execution
        is_held, now = self._asks_first, time.time()
        submitted = events.CodeSubmitted(self._session, code, now, stop_on_error, token=token, is_held=is_held)
        number = self._hub.submit(submitted, since)
        # One that was queued before is asked for once more, and began before this.
        return self._hub.follow(number, before if number > highest else self._within(since), wait_s, is_eager=False)

    def _do_follow(self, execution: int, cursor: int, wait_s: float, is_eager: bool) -> Any:
        return self._hub.follow(execution, self._within(cursor), wait_s, is_eager=is_eager)

    def _do_find(self, execution: int) -> int:
        found = self._hub.find(execution)
        if found is None:
            raise NoSuchExecution(f"there is no execution {execution}, or the journal no longer has it")
        return found

    def _do_last_stack(self) -> str:
        return self._hub.last_stack

    def _do_cancel(self, execution: int) -> int:
        return int(self._hub.handle(events.CancelRequested(self._session, execution, self._asks_first)))

    def _do_approve(self, execution: int) -> int:
        return int(self._hub.handle(events.ApproveRequested(self._session, execution, time.time())))

    def _do_decline(self, execution: int, reason: str) -> int:
        return int(self._hub.handle(events.DeclineRequested(self._session, execution, reason)))

    def _do_interrupt(self, execution: int | None, force: str) -> int:
        if self._asks_first and force == Force.TERMINATE:
            raise NotPermitted(f"{self._shown!r} is here as {self._role}; it cannot end the worker")
        return int(self._hub.handle(events.InterruptRequested(self._session, execution, force, self._asks_first)))

    def _do_answer_input(self, text: str | None, execution: int | None, is_refused: bool) -> int | None:
        if self._asks_first and text is not None:  # a debugger's prompt takes code
            raise NotPermitted(f"{self._shown!r} is here as {self._role}; it can end a prompt, and not answer it")
        answered: int | None = self._hub.handle(
            events.InputAnswered(self._session, text, execution, is_refused, self._asks_first)
        )
        return answered

    # ------------------------------------------------------------------ events

    def _do_read(self, cursor: int, limit: int, wait_s: float, scope: str, acknowledge: bool) -> Any:
        cursor = self._within(cursor)
        if acknowledge:
            self._hub.acknowledge(self._reads_as, cursor)
        answer = self._hub.read(cursor, limit, wait_s, scope, self._session)
        if isinstance(answer, Later):
            answer.add_done_callback(self._note_answer)
        else:
            self._read_up_to = answer[0]
        return answer

    def _note_answer(self, answer: Later) -> None:
        with contextlib.suppress(CancelledError, RequestError):
            self._read_up_to = answer.result()[0]

    def has_heard(self, seq: int) -> bool:
        """Whether this client has been told of an event, or does not read events."""
        return self._read_up_to is None or self._read_up_to >= seq

    def _do_acknowledge(self, cursor: int) -> None:
        self._hub.acknowledge(self._reads_as, self._within(cursor))

    def _do_history(self, pattern: str, limit: int) -> tuple[tuple[int, int, float, str, str], ...]:
        return self._hub.history(pattern, limit)

    def _within(self, cursor: int) -> int:
        """A cursor within the journal: no event has a number beyond, and SQLite takes none of any size."""
        return max(0, min(cursor, self._hub.last))

    # ------------------------------------------------------------------ life

    def _do_restart(self) -> int:
        return self._hub.restart(self._session)

    def _do_shutdown(self) -> None:
        self._hub.handle(events.ShutdownRequested(self._session, f"stopped by {self._shown}"))

    def _do_stack(self, timeout_s: float) -> Future[str]:
        return self._hub.ask_stack(timeout_s)

    # ------------------------------------------------------------------ people

    def _do_invite(self, role: str, name: str, expires_s: float | None, values: bool) -> Any:
        given = self._guests.invite(self._session, self._shown, role, name, expires_s, values=values)
        return freeze({**given, "listening": self._listeners.tell()})

    def _do_invitations(self) -> Any:
        return freeze(self._guests.invitations())

    def _do_revoke(self, invitation: str) -> None:
        self._guests.revoke(self._session, self._shown, invitation)

    def _do_kick(self, session: str) -> None:
        self._guests.kick(self._session, self._shown, session)

    def _do_listen(self, host: str, port: int, security: str) -> Any:
        return freeze(self._listeners.listen(host, port, security).tell())

    def _do_certify(self, invitation: str) -> Any:
        found = next((each for each in self._guests.invitations() if each["id"] == invitation), None)
        if found is None:
            raise RequestError(f"there is no invitation {invitation[:100]!r}")
        return freeze(self._listeners.certify(invitation, str(found["name"])))

    # ------------------------------------------------------------------ for all of them

    def refuse(self, command: Command[Any]) -> NotPermitted:
        """Say that this command is not open to this connection.

        To ask for values is no event: consoles do so as one types.
        """
        without = " without values" if Role.allows(self._role, command.role) else ""
        reason = f"{self._shown!r} is here as {self._role}{without}; it cannot {command.cannot}"
        if not without:
            self._guests.note_refusal(reason, session=self._session)
        return NotPermitted(reason)

    @property
    def _shown(self) -> str:
        """The name that this client has given, whether or not it has joined; else that of its session."""
        return self._client_name or str(self._hub.look(lambda state: state.sessions.name_of(self._session)))

    def ask_worker(self, name: str, arguments: list[Any]) -> Future[Any]:
        """Have the worker answer a command, beside the code that it runs."""
        if not self._hub.wait_for_worker(0):
            # Most often it is starting; nobody but the one who asks waits for that.
            return self._later.submit(self._ask_late_worker, name, arguments)
        return self._hub.ask_worker(name, *arguments)

    def _ask_late_worker(self, name: str, arguments: list[Any]) -> Any:
        self._hub.wait_for_worker(_WORKER_START_S)
        try:
            return self._hub.ask_worker(name, *arguments).result(_WORKER_START_S)
        except FutureTimeoutError:
            raise WorkerBusy(f"the worker has just started, and did not answer within {_WORKER_START_S:g} s") from None


def join(hub: Hub, who: Identity, address: str = "") -> bool:
    """A client has come, from an address, "" by a unix socket; whether nobody else had its session then."""
    return bool(hub.handle(events.SessionJoined(who.session, who.name, who.role, who.host, address)))


def leave(hub: Hub, who: Identity, why: str = Departure.LEFT) -> None:
    """A client has gone."""
    hub.handle(events.SessionLeft(who.session, who.role, why))
