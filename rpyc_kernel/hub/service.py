"""What a client may ask of the hub, by value: commands, and events read from a cursor.

No call blocks on user code. Those that ask the worker's control thread answer later, while further calls are served;
`read` waits only for events. A stock RPyC client reaches the same methods through the kernel's `rpyc.sock`.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Executor, Future
from typing import Any

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import PROTOCOL_VERSION, Force, Lane, Role, Scope, freeze
from rpyc_kernel.core.form import Form
from rpyc_kernel.errors import NoSuchExecution, RequestError
from rpyc_kernel.hub.arguments import Call, Code, FormPairs
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.questions import Questions

_MAX_WAIT_S = 60.0
_MAX_EVENTS = 10_000
_MAX_QUEUED = 1000


class HubService(Questions):
    """One client's view of the hub.

    Args:
        hub: the kernel.
        session: whose connection this is.
        name: the kernel's name.
        later: runs what takes a while off the connection's thread.
        came_first: nobody else had this session when this connection came.
        role: what this connection may do.
    """

    def __init__(
        self, hub: Hub, session: str, name: str, later: Executor, *, came_first: bool, role: str = Role.USER
    ) -> None:
        super().__init__(hub, session, later, role)
        self._name = name
        # Who looks on has a place of its own, and moves nobody else's. No session's id has a line end in it.
        self._reads_as = session if role == Role.USER else f"{session}\n{role}"
        self._came_first = came_first
        self._read_up_to: int | None = None

    # ------------------------------------------------------------------ who and what

    def exposed_hello(self) -> Any:
        """Who the client is, where it left off, and what it talks to, as pairs of name and value."""
        return freeze(
            {
                "session": self._session,
                "role": self._role,
                "came_first": self._came_first,
                "cursor": self._hub.journal.cursor_of(self._reads_as),
                "last": self._hub.journal.last,
                "kernel": self._name,
                "protocol": PROTOCOL_VERSION,
                "hub_pid": os.getpid(),
                "hub_python": sys.version.split()[0],
                "generation": self._hub.look(lambda state: state.generation),
            }
        )

    def exposed_status(self) -> Any:
        """A snapshot of the kernel as pairs of name and value; always answers."""
        status = self._hub.look(lambda state: state.status())
        return freeze(
            {
                "kernel": self._name,
                "hub_pid": os.getpid(),
                "time": time.time(),
                "last": self._hub.journal.last,
                "memory_bytes": self._hub.supervisor.memory_bytes,
                "journal": self._hub.journal.trouble,
                **status,
            }
        )

    def exposed_queue(self, after: int = 0, count: int = 100) -> Any:
        """The next in the queue whose numbers are higher than ``after``, each as pairs of name and value."""
        return freeze(self._hub.look(lambda state: state.queue(after, max(0, min(count, _MAX_QUEUED)))))

    # ------------------------------------------------------------------ executions

    def exposed_execute(
        self,
        code: Code,
        stop_on_error: bool = True,
        lane: str = Lane.MAIN,
        call: Call | None = None,
        form: FormPairs = (),
        is_input: bool = True,
    ) -> int:
        """Queue code; returns the number of the execution at once. ``form`` has pairs; see `core.form.Form`."""
        told = Form.read(form)
        submitted = events.CodeSubmitted(
            self._session, code, time.time(), stop_on_error, lane, call, told, self._role, is_input
        )
        return int(self._hub.ask(lambda state: state.handle_code_submitted(submitted)))

    def exposed_run(self, code: Code, stop_on_error: bool = True, wait_s: float = 20.0) -> Any:
        """Queue code, and return all its events, which name its number, when it has finished; see `exposed_follow`."""
        before = self._hub.journal.last
        number = self.exposed_execute(code, stop_on_error)
        return self.exposed_follow(number, before, wait_s)

    def exposed_follow(self, execution: int, cursor: int, wait_s: float = 20.0, is_eager: bool = False) -> Any:
        """Return the events of one execution after ``cursor``, and the cursor to go on with.

        Waits for its end, or if it is eager for anything at all, but no longer than ``wait_s``, and not for more than
        fits into one answer.
        """
        cursor = self._check_cursor(cursor)
        limit_s = max(0.0, min(wait_s, _MAX_WAIT_S))
        return self._hub.journal.follow(execution, cursor, limit_s, is_eager=is_eager)

    def exposed_find(self, execution: int) -> int:
        """The number of an execution's first event."""
        found = self._hub.journal.find(execution)
        if found is None:
            raise NoSuchExecution(f"there is no execution {execution}, or the journal no longer has it")
        return found

    def exposed_last_stack(self) -> str:
        """The last Python stack of the last worker that died, "" if none could be had."""
        return self._hub.last_stack

    def exposed_cancel(self, execution: int) -> int:
        """Take a queued execution out of the queue."""
        cancel = events.CancelRequested(self._session, execution, self._role)
        return int(self._hub.ask(lambda state: state.handle_cancel_requested(cancel)))

    def exposed_interrupt(self, execution: int | None = None, force: str = Force.SIGNAL) -> int:
        """Interrupt one running execution, or (None) what runs on the main lane; returns its number."""
        interrupt = events.InterruptRequested(self._session, execution, force, self._role)
        return int(self._hub.ask(lambda state: state.handle_interrupt_requested(interrupt)))

    def exposed_answer_input(
        self, text: str | None, execution: int | None = None, is_refused: bool = False
    ) -> int | None:
        """Answer a prompt; None is end-of-file, or a refusal. Returns the number of the execution that asked."""
        answered = events.InputAnswered(self._session, text, execution, self._role, is_refused)
        answer: int | None = self._hub.ask(lambda state: state.handle_input_answered(answered))
        return answer

    # ------------------------------------------------------------------ events

    def exposed_read(
        self,
        cursor: int,
        limit: int = 1000,
        wait_s: float = 0.0,
        scope: str = Scope.ALL,
        acknowledge: bool = False,
    ) -> Any:
        """Return the cursor to go on with and the events after ``cursor``; wait up to ``wait_s`` for the first.

        The events are one JSON array, each ``[number, time, kind, execution, session, {fields}]``.

        With ``acknowledge`` the hub remembers ``cursor`` as how far this session has dealt with events.
        """
        if scope not in (Scope.ALL, Scope.SESSION):
            raise RequestError(f"unknown scope {scope!r}; choose 'all' or 'session'")
        cursor = self._check_cursor(cursor)
        if acknowledge:
            self._hub.journal.acknowledge(self._reads_as, cursor)
        limit = max(1, min(limit, _MAX_EVENTS))
        wait_s = max(0.0, min(wait_s, _MAX_WAIT_S))
        answer = self._hub.journal.read(cursor, limit, wait_s, scope, self._session)
        if isinstance(answer, Future):
            answer.add_done_callback(self._note_answer)
        else:
            self._read_up_to = answer[0]
        return answer

    def _note_answer(self, answer: Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._read_up_to = answer.result()[0]

    def has_heard(self, seq: int) -> bool:
        """Whether this client has been told of an event, or does not read events."""
        return self._read_up_to is None or self._read_up_to >= seq

    def exposed_acknowledge(self, cursor: int) -> None:
        """Remember how far this session has dealt with events."""
        self._hub.journal.acknowledge(self._reads_as, self._check_cursor(cursor))

    def exposed_history(self, pattern: str = "", limit: int = 1000) -> tuple[tuple[int, int, float, str, str], ...]:
        """Return the newest inputs that contain ``pattern``: (seq, execution, time, author, code), oldest first."""
        return self._hub.journal.history(pattern, max(1, min(limit, 100_000)))

    def _check_cursor(self, cursor: int) -> int:
        """A cursor within the journal: no event has a number beyond, and SQLite takes none of any size."""
        return max(0, min(cursor, self._hub.journal.last))

    # ------------------------------------------------------------------ life

    def exposed_restart(self) -> int:
        """Replace the worker; returns the generation to come."""
        restart = events.RestartRequested(self._session, self._role)
        return int(self._hub.ask(lambda state: state.handle_restart_requested(restart)))

    def exposed_shutdown(self) -> None:
        """End worker and hub."""
        name = self._hub.look(lambda state: state.sessions.name_of(self._session))
        shutdown = events.ShutdownRequested(self._session, f"stopped by {name}", self._role)
        self._hub.ask(lambda state: state.handle_shutdown_requested(shutdown))

    def exposed_stack(self, timeout_s: float = 2.0) -> Future[str]:
        """Every thread's stack, innermost call first; also while a C call holds the interpreter lock."""
        return self._hub.supervisor.ask_stack(max(0.1, min(timeout_s, 30.0)))


def join(hub: Hub, session: str, name: str, role: str = Role.USER) -> bool:
    """A client has come; whether nobody else had its session then."""
    return bool(hub.ask(lambda state: state.handle_session_joined(events.SessionJoined(session, name, role))))


def leave(hub: Hub, session: str, role: str = Role.USER) -> None:
    """A client has gone."""
    hub.tell(lambda state: state.handle_session_left(events.SessionLeft(session, role)))
