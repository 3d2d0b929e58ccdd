"""What crosses the wire, by name: kinds of events, outcomes, fields, limits, and the shape of an event.

This file is the only place where these names stand. They live in `core` because the decisions are made in these words;
everything that sends, stores or shows an event imports them from here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, Final

from rpyc_kernel.core.json_text import make_decoder
from rpyc_kernel.frozen import Frozen

RELEASE: Final = "0.1.0"
PROTOCOL_VERSION: Final = 2
WORKER_VERSION: Final = 6
"""Of what hub and worker say to each other, and of the ring; a hub takes over no worker of another."""
JOURNAL_VERSION: Final = 1
"""Of the journal's tables; a journal of a later version is refused, one without a number is of before there was one."""
MAX_CODE_CHARS: Final = 4 * 1024 * 1024
MAX_HELD: Final = 1000
"""So many executions may wait for somebody's approval at once."""
MAX_HELD_OF_ONE: Final = 20
"""So many of one session, or of all sessions of an invitation: each is told on everybody's screen."""
MAX_HELD_CODE_CHARS: Final = 100_000
"""More code than anybody reads is nothing that can be approved."""
MAX_PLAIN_REPR: Final = 4096
"""The longest ``repr`` of a plain value that travels inside its result event, in characters."""


class Kind:
    """The kinds of events; `FIELDS` says what each carries."""

    HUB_STARTED: Final = "hub_started"
    HUB_STOPPED: Final = "hub_stopped"
    CLIENT_JOINED: Final = "client_joined"
    CLIENT_LEFT: Final = "client_left"
    CLIENT_REFUSED: Final = "client_refused"
    CLIENT_KICKED: Final = "client_kicked"
    INVITATION_GIVEN: Final = "invitation_given"
    INVITATION_REVOKED: Final = "invitation_revoked"
    WORKER_STARTED: Final = "worker_started"
    WORKER_DIED: Final = "worker_died"
    RESTART_REQUESTED: Final = "restart_requested"
    QUEUED: Final = "queued"
    APPROVED: Final = "approved"
    STARTED: Final = "started"
    STREAM: Final = "stream"
    DISPLAY: Final = "display"
    CLEAR_OUTPUT: Final = "clear_output"
    PAGE: Final = "page"
    NEXT_INPUT: Final = "next_input"
    COMM: Final = "comm"
    RESULT: Final = "result"
    ERROR: Final = "error"
    INPUT_REQUESTED: Final = "input_requested"
    INPUT_ANSWERED: Final = "input_answered"
    INTERRUPT_REQUESTED: Final = "interrupt_requested"
    INTERRUPT_UNANSWERED: Final = "interrupt_unanswered"
    FINISHED: Final = "finished"
    JOURNAL_TROUBLE: Final = "journal_trouble"
    JOURNAL_RECOVERED: Final = "journal_recovered"


COMM_CALL: Final = "comm:"
"""What a call begins with that brings a client's message to a widget; the message follows as JSON."""

SENT_CALL: Final = "sent:"
"""What a call begins with that travels in the message itself; what it is follows as JSON."""

CALL_IS_GONE: Final = "the worker that had been sent this call is gone"
"""How the error begins of a call that the worker which is to make it does not have."""

UNFINISHED: Final = "unfinished"
"""What a worker reports that is no event: which executions it has received and not finished, and what it asks."""


MAX_NUMBER: Final = 2**53
"""No event and no execution comes so far. What stands above it somebody else has written; from 2**63 none follows."""


class Outcome:
    """How an execution ended."""

    OK: Final = "ok"
    ERROR: Final = "error"
    INTERRUPTED: Final = "interrupted"
    CANCELLED: Final = "cancelled"
    ABORTED: Final = "aborted"
    LOST: Final = "lost"


class State:
    """What the kernel as a whole is doing."""

    STARTING: Final = "starting"
    IDLE: Final = "idle"
    BUSY: Final = "busy"
    DEAD: Final = "dead"
    STOPPING: Final = "stopping"


class Lane:
    """Where an execution runs: in turn on the main thread, or at once in a thread of its own."""

    MAIN: Final = "main"
    SIDE: Final = "side"


class Space:
    """The namespace a program runs in: the one that all share, or one of its own that goes with it."""

    CURRENT: Final = "current"
    FRESH: Final = "fresh"


class Role:
    """What a connection may do. Who has one of these may do what those before it may, and more."""

    VIEWER: Final = "viewer"  # sees what happens
    ASKER: Final = "asker"  # hands in code that is held until somebody who may run code approves it
    EDITOR: Final = "editor"  # runs code, and has the kernel's objects
    OWNER: Final = "owner"  # ends the kernel, and says who else may come

    @staticmethod
    def allows(role: str, least: str) -> bool:
        """Whether a role is that much, or more; what is no role allows nothing."""
        return role in ROLES and ROLES.index(role) >= ROLES.index(least)


ROLES: Final = (Role.VIEWER, Role.ASKER, Role.EDITOR, Role.OWNER)


class Security:
    """What protects what is said by a TCP port."""

    PLAIN: Final = "plain"  # nothing; nobody but this machine can reach it
    TLS: Final = "tls"
    INSECURE: Final = "insecure"  # nothing, beyond this machine, as somebody has said that it may be


class Departure:
    """How the last connection of a session ended."""

    LEFT: Final = "left"  # the client said that it leaves
    LOST: Final = "lost"  # it is gone without a word
    KICKED: Final = "kicked"  # somebody, or the end of its invitation, has sent it away


class Doing:
    """What a session does: the first of these that holds."""

    RUNNING: Final = "running"  # code of its own runs
    ASKED: Final = "asked"  # and waits for input
    WAITING: Final = "waiting"  # code of its own is in the queue
    HELD: Final = "held"  # code of its own is there, and waits for somebody's approval
    READING: Final = "reading"  # it reads events
    IDLE: Final = "idle"  # it is here
    GONE: Final = "gone"


class Force:
    """The rungs of the interrupt ladder."""

    SIGNAL: Final = "signal"
    EXCEPTION: Final = "exception"
    TERMINATE: Final = "terminate"


class Scope:
    """Which events a reader asks for: all, or those of its own session and of nobody."""

    ALL: Final = "all"
    SESSION: Final = "session"


FIELDS: Final[dict[str, tuple[str, ...]]] = {
    Kind.HUB_STARTED: ("pid", "version"),
    Kind.HUB_STOPPED: ("reason",),
    Kind.CLIENT_JOINED: ("name", "role", "host", "address"),
    Kind.CLIENT_LEFT: ("name", "why"),
    # Those that follow soon are told of together: how many, and of the last one why, and from where it came.
    Kind.CLIENT_REFUSED: ("reason", "address", "count"),
    Kind.CLIENT_KICKED: ("kicked", "name", "by"),
    Kind.INVITATION_GIVEN: ("invitation", "name", "role", "values", "expires", "by"),
    Kind.INVITATION_REVOKED: ("invitation", "name", "by"),
    Kind.WORKER_STARTED: ("generation", "pid", "python", "engine", "adopted", "program"),
    Kind.WORKER_DIED: ("generation", "reason", "stack", "memory_bytes", "peak_memory_bytes", "exit_code"),
    Kind.RESTART_REQUESTED: ("by",),
    # is_held: it waits, without a turn, until somebody approves it
    Kind.QUEUED: ("code", "name", "lane", "position", "stop_on_error", "call", "source", "is_input", "is_held"),
    Kind.APPROVED: ("by",),
    Kind.STARTED: ("generation", "count"),  # count: of the inputs of this generation; None of what is no input
    # Where a program has written bytes that are no text, they stand escaped in it, and all in `raw`, in base64.
    Kind.STREAM: ("name", "text"),
    Kind.DISPLAY: ("data", "metadata", "display_id", "is_update"),
    Kind.CLEAR_OUTPUT: ("wait",),  # wait: clear only when the next output comes
    Kind.PAGE: ("data", "rich"),  # a mime bundle, for whoever asked to read at leisure; rich: its text with colours
    Kind.NEXT_INPUT: ("text", "replace"),  # what the code proposes to run next
    # From one of the code's widgets to its views in clients; action: open, msg or close; buffers: each in base64.
    Kind.COMM: ("comm_id", "action", "target", "data", "metadata", "buffers"),
    Kind.RESULT: ("data", "metadata", "literal"),
    # rich: the traceback as IPython shows it, with colours, frame by frame; None where that is the plain one, empty
    # where user code has shown it. An execution has failed only if its outcome says so: what was shown on request is
    # an error, too.
    Kind.ERROR: ("ename", "evalue", "traceback", "notes", "chain", "rich"),
    Kind.INPUT_REQUESTED: ("prompt", "password", "token"),
    Kind.INPUT_ANSWERED: ("by", "token"),  # by None: whoever asked no longer waits
    Kind.INTERRUPT_REQUESTED: ("by", "force"),
    Kind.INTERRUPT_UNANSWERED: ("stack",),
    Kind.FINISHED: ("outcome", "reason", "duration_s", "by", "generation"),
    Kind.JOURNAL_TROUBLE: ("message",),
    Kind.JOURNAL_RECOVERED: ("message", "dropped"),
}

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    Kind.QUEUED: ("code", "name"),
    Kind.STREAM: ("name", "text"),
    Kind.ERROR: ("ename", "evalue", "traceback"),
    Kind.WORKER_DIED: ("stack",),
    Kind.FINISHED: ("outcome",),
}
"""The fields that clients rely on: an event without them, or with anything but text there, would stop whoever reads."""


class MissingField(AttributeError):
    """An event lacks what is asked of it: another release wrote it, or its record was damaged."""


WireEvent = tuple[int, float, str, int | None, str | None, str]
"""An event before it crosses the wire: number, time, kind, execution, session, and the payload as a JSON object."""


class Event(Frozen):
    """One numbered fact of a kernel's life.

    The fields of the payload (see `FIELDS`) read as attributes: ``event.text`` of a stream.

    Attributes:
        seq: its number; never used again within this kernel.
        time: seconds since the epoch.
        kind: one of `Kind`.
        execution: the number of the execution it belongs to, or None.
        session: the id of the session it belongs to, or None.
        payload: the fields by name.

    Raises:
        MissingField: an attribute is read that this event has not; it is an `AttributeError`, too.

    Example:
        >>> run = kernel.execute("print('hello')")
        >>> event = next(event for event in run.events() if event.kind == "stream")
        >>> event.name, event.text.strip()
        ('stdout', 'hello')
        >>> event.execution == run.id
        True
    """

    seq: int
    time: float
    kind: str
    execution: int | None
    session: str | None
    payload: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "payload")[name]
        except KeyError:
            has = ", ".join(sorted(self.payload))
            raise MissingField(f"a {self.kind!r} event has no field {name!r}; it has {has}") from None

    def as_dict(self) -> dict[str, Any]:
        """The whole event as one dict that JSON can carry.

        Returns:
            The five common fields, and beside them those of the payload.

        Example:
            >>> from rpyc_kernel import Event
            >>> Event(7, 1.5, "clear_output", 3, None, {"wait": True}).as_dict()
            {'seq': 7, 'time': 1.5, 'kind': 'clear_output', 'execution': 3, 'session': None, 'wait': True}
        """
        return {
            "seq": self.seq,
            "time": self.time,
            "kind": self.kind,
            "execution": self.execution,
            "session": self.session,
            **self.payload,
        }


def freeze(value: Any) -> Any:
    """Turn dicts and lists into tuples that travel by value; a dict becomes a tuple of its items."""
    if isinstance(value, dict):
        return tuple((key, freeze(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def encode_events(events: Iterable[WireEvent]) -> str:
    """Write events as one JSON array, each ``[number, time, kind, execution, session, {fields}]``."""
    return f"[{','.join(map(_encode_event, events))}]"


def _encode_event(event: WireEvent) -> str:
    seq, time, kind, execution, session, payload = event
    number = "null" if execution is None else execution
    return f'[{seq},{time!r},"{kind}",{number},{_encode_text(session)},{payload}]'


_decode = make_decoder(json)


@functools.lru_cache(maxsize=1000)
def _encode_text(text: str | None) -> str:
    return json.dumps(text)


def decode_events(text: str) -> list[Event]:
    """Read what `encode_events` wrote."""
    return [Event(*fields) for fields in _decode(text)]
