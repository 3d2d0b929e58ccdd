"""Every command that a client may give a hub, in one table: arguments, limits, answer, and who may.

The hub's service and its checks are made of it, clients call by it and read answers by it, the worker's answers are
held against it, and `docs/reference/commands.md` is written from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any, Final, Generic, TypeVar

from rpyc_kernel.core import kinds, shapes
from rpyc_kernel.core.contract import ROLES, Force, Lane, Role, Scope, Security
from rpyc_kernel.core.kinds import ArgumentKind, Read
from rpyc_kernel.core.shapes import Answer
from rpyc_kernel.errors import (
    BadCode,
    KernelError,
    NoSuchExecution,
    NotAsked,
    NotAvailable,
    NotQueued,
    NotRunning,
    RequestError,
    WorkerBusy,
)
from rpyc_kernel.frozen import Frozen

_T_co = TypeVar("_T_co", covariant=True)
REQUIRED: Final[Any] = object()
"""Stands where a parameter has no default."""


class Parameter(Frozen, eq=False):
    """One parameter of a command.

    Attributes:
        name: what it is called.
        kind: what it takes.
        doc: what it is for.
        default: what it is where it is left out.
        limits: the least and the most; what is beyond counts as the nearest of them.
        choices: the only words that it takes.
        may_be_none: whether None may stand there.
    """

    name: str
    kind: ArgumentKind
    doc: str
    default: Any = REQUIRED
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    may_be_none: bool = False

    @property
    def read(self) -> Read:
        """Reads what came over the wire."""
        read = self.kind.read
        if self.limits is not None:
            read = _within(read, *self.limits)
        if self.choices:
            read = _one_of(read, self.choices)
        return kinds.or_none(read) if self.may_be_none else read


def _within(read: Read, least: float, most: float) -> Read:
    kind = type(most)

    def read_within(value: Any, what: str) -> Any:
        if type(value) is kind and least <= value <= most:  # as nearly always, and on every road
            return value
        return max(least, min(read(value, what), most))

    return read_within


def _one_of(read: Read, choices: tuple[str, ...]) -> Read:
    known = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"

    def read_one(value: Any, what: str) -> Any:
        if value in choices and type(value) is str:
            return value
        raise RequestError(f"unknown {what} {read(value, what)[:100]!r}; choose {known}")

    return read_one


class Command(Frozen, Generic[_T_co], eq=False):
    """One command.

    Attributes:
        name: what clients call.
        doc: what it does.
        answer: what comes back.
        role: the least that whoever gives it must be.
        parameters: in order, those that are required first; each can be given by place or by name.
        cannot: what those are told that they cannot do who may not; "" where everybody may.
        shows_values: whether values of variables, or environment variables, can be learnt by it. A viewer's key may
            keep it from those.
        is_immediate: whether it is done beside the code that runs. The others queue code, or wait for events.
        by_worker: whether the worker answers it, beside the code that runs, as one JSON text.
        is_repeatable: whether asking twice, where no answer came, does no more than asking once. What only looks is; so
            is code that is submitted under a token.
        raises: the errors that are its own, beside what every call can meet.
    """

    name: str
    doc: str
    answer: Answer[_T_co]
    role: str
    parameters: tuple[Parameter, ...] = ()
    cannot: str = ""
    shows_values: bool = False
    is_immediate: bool = True
    by_worker: bool = False
    is_repeatable: bool = True
    raises: tuple[type[KernelError], ...] = ()

    @cached_property
    def _reads(self) -> tuple[tuple[str, Read], ...]:
        return tuple((each.name, each.read) for each in self.parameters)

    @cached_property
    def _defaults(self) -> list[Any]:
        return [each.default for each in self.parameters]

    @cached_property
    def _needs(self) -> int:
        return self._defaults.count(REQUIRED)

    def __post_init__(self) -> None:
        if self.role not in ROLES or bool(self.cannot) != (self.role != Role.VIEWER or self.shows_values):
            raise TypeError(f"the command {self.name!r} does not say who may give it, and what the others cannot do")

    def is_open_to(self, role: str, *, has_values: bool) -> bool:
        """Whether a connection may give it: of this role, and if a viewer's with values or without."""
        sees_values = has_values or Role.allows(role, Role.EDITOR)  # who runs code sees all there is
        return Role.allows(role, self.role) and (sees_values or not self.shows_values)

    def bind(self, values: Sequence[Any], named: Mapping[str, Any] | None = None) -> list[Any]:
        """Return the arguments of a call, given by place or by name, in order, as parameters take them, or defaults.

        Raises:
            RequestError: they are not what the command takes.
        """
        reads, count = self._reads, len(values)
        if count > len(reads) or (count < self._needs and not named):
            raise self._refusal(count, {})
        bound = [read(value, name) for (name, read), value in zip(reads, values, strict=False)] if count else []
        if count < len(reads):
            bound += self._defaults[count:]
        if named:
            self._place(count, named, bound)
        return bound

    def _place(self, count: int, named: Mapping[str, Any], bound: list[Any]) -> None:
        """Put what is given by name to where it belongs, behind so many that are given by place."""
        left = len(named)
        for place in range(count, len(bound)):
            name, read = self._reads[place]
            if name in named:
                bound[place] = read(named[name], name)
                left -= 1
            elif place < self._needs:
                raise self._refusal(count, named)
        if left:
            raise self._refusal(count, named)

    def _refusal(self, count: int, named: Mapping[str, Any]) -> RequestError:
        """Say what is wrong with so many arguments by place, and these by name."""
        names = [each.name for each in self.parameters]
        if count <= len(names) and named.keys() <= set(names[count:]):
            missing = next(each for each in self.parameters[count:] if each.name not in named)
            return RequestError(f"{self.name} needs {missing.name}")
        unknown = next((name for name in named if name not in names), None)
        no_such = "" if unknown is None else f" no {unknown[:100]!r}, but"
        return RequestError(f"{self.name} takes{no_such} {', '.join(names) or 'nothing'}, each once")


# ------------------------------------------------------------------ parameters of several commands

_FAR: Final = 2**62
_MAX_PAGE: Final = 1000

_TOKEN = Parameter(
    "token",
    kinds.TOKEN,
    "names this submission among those of its session: asked twice under one, it is queued once, and answered with the "
    "same number",
    "",
)
_SINCE = Parameter(
    "since",
    kinds.INT,
    "the number of an event that there was before the token was used; 0 looks at no earlier hub's",
    0,
)
_CODE = Parameter("code", kinds.CODE, "the source")
_STOP_ON_ERROR = Parameter(
    "stop_on_error", kinds.BOOL, "if this code fails, abort what its session queued behind it", True
)
_EXECUTION = Parameter("execution", kinds.INT, "its number")
_CURSOR = Parameter("cursor", kinds.INT, "an event's number; beyond either end of the journal counts as that end")
_FOLLOWED_S = Parameter("wait_s", kinds.SECONDS, "for how long to wait", 20.0, limits=(0.0, 60.0))
_IN_CODE = Parameter("cursor", kinds.INT, "where in the code, in characters; None is its end", None, may_be_none=True)
_PATH_OR_CODE = Parameter("code", kinds.CODE, "a path; or with a cursor any code")
_IN_ANY_CODE = Parameter("cursor", kinds.INT, "where in the code, in characters", None, may_be_none=True)
_PATH = Parameter("path", kinds.TEXT, "what leads to the value, as `servers[0]['name'].port`")
_START = Parameter("start", kinds.PLACE, "the first one", 0, limits=(0, _FAR))
_COUNT = Parameter("count", kinds.PLACE, "how many", 100, limits=(0, _MAX_PAGE))
_VARIABLE = Parameter("name", kinds.NAME, "the variable's")

# ------------------------------------------------------------------ who and what

HELLO: Final = Command(
    "hello", "Who the client is, where it left off, and what it talks to.", shapes.HELLO, Role.VIEWER
)
STATUS: Final = Command("status", "A snapshot of the kernel; always answered.", shapes.STATUS, Role.VIEWER)
QUEUE: Final = Command(
    "queue",
    "The next in the queue, in order.",
    shapes.QUEUE,
    Role.VIEWER,
    (
        Parameter("after", kinds.INT, "leave out the executions up to this number", 0),
        Parameter("count", kinds.INT, "how many", 100, limits=(0, _MAX_PAGE)),
    ),
)

# ------------------------------------------------------------------ executions

EXECUTE: Final = Command(
    "execute",
    "Queue code, and answer with the number of its execution at once. An asker's is held until somebody approves it; "
    "it can hand in neither calls nor programs.",
    shapes.NUMBER,
    Role.ASKER,
    (
        _CODE,
        _STOP_ON_ERROR,
        Parameter(
            "lane",
            kinds.TEXT,
            "where to run: in turn on the main thread, or at once in a thread beside it",
            Lane.MAIN,
            choices=(Lane.MAIN, Lane.SIDE),
        ),
        Parameter("call", kinds.CALL, "what the worker is to call instead", None, may_be_none=True),
        Parameter("source", kinds.SOURCE, "where the code is from, or the program to run instead", None),
        Parameter("is_input", kinds.BOOL, "whether a person would call it an input; those are counted", True),
        _TOKEN,
        _SINCE,
    ),
    cannot="execute code",
    is_immediate=False,
    raises=(BadCode,),
)
RUN: Final = Command(
    "run",
    "Queue code, and answer with all its events, which name its number, when it has finished; goes on as `follow`. An "
    "asker's is held, until somebody approves it.",
    shapes.EVENTS,
    Role.ASKER,
    (_CODE, _STOP_ON_ERROR, _FOLLOWED_S, _TOKEN, _SINCE),
    cannot="execute code",
    is_immediate=False,
    raises=(BadCode,),
)
FOLLOW: Final = Command(
    "follow",
    "The events of one execution after a cursor. Waits for its end, or if it is eager for anything at all, but not for "
    "more than fits into one answer.",
    shapes.EVENTS,
    Role.VIEWER,
    (_EXECUTION, _CURSOR, _FOLLOWED_S, Parameter("is_eager", kinds.BOOL, "whether to answer with the first", False)),
    is_immediate=False,
)
FIND: Final = Command(
    "find",
    "The number of an execution's first event.",
    shapes.NUMBER,
    Role.VIEWER,
    (_EXECUTION,),
    raises=(NoSuchExecution,),
)
LAST_STACK: Final = Command(
    "last_stack",
    'The last Python stack of the last worker that died, "" if none could be had.',
    shapes.TEXT,
    Role.VIEWER,
)
APPROVE: Final = Command(
    "approve",
    "Let an execution go that is held, and answer with its number. It takes its place in the queue: before all that "
    "was submitted later and still waits.",
    shapes.NUMBER,
    Role.EDITOR,
    (_EXECUTION,),
    cannot="approve anything",
    is_repeatable=False,
    raises=(NoSuchExecution, NotAsked),
)
DECLINE: Final = Command(
    "decline",
    "Have an execution that is held end as cancelled, and answer with its number.",
    shapes.NUMBER,
    Role.EDITOR,
    (_EXECUTION, Parameter("reason", kinds.TEXT, "what whoever asked is told; its first thousand characters", "")),
    cannot="decline anything",
    is_repeatable=False,
    raises=(NoSuchExecution, NotAsked),
)
CANCEL: Final = Command(
    "cancel",
    "Take a queued execution out of the queue, and answer with its number. An asker can take out those of its session.",
    shapes.NUMBER,
    Role.ASKER,
    (_EXECUTION,),
    cannot="cancel an execution",
    is_repeatable=False,
    raises=(NoSuchExecution, NotQueued),
)
INTERRUPT: Final = Command(
    "interrupt",
    "Interrupt a running execution, and answer with its number. An asker can do so with those of its session, and "
    "never end the worker.",
    shapes.NUMBER,
    Role.ASKER,
    (
        Parameter("execution", kinds.INT, "its number; None is what runs on the main lane", None, may_be_none=True),
        Parameter(
            "force",
            kinds.TEXT,
            "the rung of the ladder: Ctrl-C, an exception in its thread, the worker's end",
            Force.SIGNAL,
            choices=(Force.SIGNAL, Force.EXCEPTION, Force.TERMINATE),
        ),
    ),
    cannot="interrupt",
    is_repeatable=False,
    raises=(NoSuchExecution, NotRunning),
)
ANSWER_INPUT: Final = Command(
    "answer_input",
    "Answer a prompt, and answer with the number of the execution that asked. An asker can say to those of its session "
    "that nothing will come, and no text: what reads it may run it.",
    shapes.NUMBER_OR_NONE,
    Role.ASKER,
    (
        Parameter("text", kinds.TEXT, "the answer without a line end; None is end-of-file", may_be_none=True),
        Parameter("execution", kinds.INT, "which one asks; None is the only one, or the first", None, may_be_none=True),
        Parameter("is_refused", kinds.BOOL, "with None: nobody can be asked here", False),
    ),
    cannot="answer a prompt",
    is_repeatable=False,
    raises=(NotAsked,),
)

# ------------------------------------------------------------------ events

READ: Final = Command(
    "read",
    "The events after a cursor; waits for the first.",
    shapes.EVENTS,
    Role.VIEWER,
    (
        _CURSOR,
        Parameter("limit", kinds.INT, "how many events", 1000, limits=(1, 10_000)),
        Parameter("wait_s", kinds.SECONDS, "for how long to wait", 0.0, limits=(0.0, 60.0)),
        Parameter(
            "scope",
            kinds.TEXT,
            "all, or those of its own session and of nobody",
            Scope.ALL,
            choices=(Scope.ALL, Scope.SESSION),
        ),
        Parameter("acknowledge", kinds.BOOL, "whether to remember the cursor, as `acknowledge` does", False),
    ),
    is_immediate=False,
)
ACKNOWLEDGE: Final = Command(
    "acknowledge", "Remember how far this session has dealt with events.", shapes.NOTHING, Role.VIEWER, (_CURSOR,)
)
HISTORY: Final = Command(
    "history",
    "The newest inputs, oldest first.",
    shapes.INPUTS,
    Role.VIEWER,
    (
        Parameter("pattern", kinds.TEXT, "what their code contains", ""),
        Parameter("limit", kinds.INT, "how many", 1000, limits=(1, 100_000)),
    ),
)

# ------------------------------------------------------------------ life

RESTART: Final = Command(
    "restart",
    "Replace the worker, and answer with the generation to come.",
    shapes.NUMBER,
    Role.OWNER,
    cannot="restart the kernel",
    is_repeatable=False,
)
SHUTDOWN: Final = Command(
    "shutdown", "End worker and hub.", shapes.NOTHING, Role.OWNER, cannot="stop the kernel", is_repeatable=False
)
STACK: Final = Command(
    "stack",
    "Every thread's stack, innermost call first; also while a C call holds the interpreter lock.",
    shapes.TEXT,
    Role.VIEWER,
    (Parameter("timeout_s", kinds.SECONDS, "for how long to wait", 2.0, limits=(0.1, 30.0)),),
    raises=(WorkerBusy,),
)

# ------------------------------------------------------------------ people

INVITE: Final = Command(
    "invite",
    "Make a key for somebody, and answer with what it gives and with its secret, which is told this once.",
    shapes.INVITED,
    Role.OWNER,
    (
        Parameter("role", kinds.TEXT, "the most that its bearer may be", choices=ROLES),
        Parameter("name", kinds.TEXT, 'what its bearer is called; "" for one that is made up', ""),
        Parameter(
            "expires_s",
            kinds.SECONDS,
            "for how long it holds; None for ever",
            86_400.0,
            limits=(1.0, 315_360_000.0),
            may_be_none=True,
        ),
        Parameter("values", kinds.BOOL, "whether a viewer or an asker may look at values, too", False),
    ),
    cannot="invite anybody",
    is_repeatable=False,
)
INVITATIONS: Final = Command(
    "invitations",
    "The invitations that hold, and those that have ended lately; never their secrets.",
    shapes.INVITATIONS,
    Role.OWNER,
    cannot="see invitations",
)
REVOKE: Final = Command(
    "revoke",
    "End an invitation, and the connections that were made with it, at once.",
    shapes.NOTHING,
    Role.OWNER,
    (Parameter("invitation", kinds.TEXT, "its id"),),
    cannot="revoke an invitation",
    is_repeatable=False,
)
KICK: Final = Command(
    "kick",
    "End the connections of a session, which can come back after ten seconds unless its invitation is revoked.",
    shapes.NOTHING,
    Role.OWNER,
    (Parameter("session", kinds.TEXT, "its id"),),
    cannot="kick anybody",
    is_repeatable=False,
)

LISTEN: Final = Command(
    "listen",
    "Begin to listen on one more port, and answer with what it is, or with one that is like it already.",
    shapes.LISTENING,
    Role.OWNER,
    (
        Parameter("host", kinds.TEXT, "the address to listen on"),
        Parameter("port", kinds.INT, "0 for a free one", 0),
        Parameter(
            "security",
            kinds.TEXT,
            "TLS, or none though others can reach it; plain: TLS where others than this machine can",
            Security.PLAIN,
            choices=(Security.PLAIN, Security.TLS, Security.INSECURE),
        ),
    ),
    cannot="have the kernel listen",
    is_repeatable=False,
    raises=(NotAvailable,),
)
CERTIFY: Final = Command(
    "certify",
    "Make a certificate for the bearer of an invitation, with its private key, which is told this once.",
    shapes.CERTIFIED,
    Role.OWNER,
    (Parameter("invitation", kinds.TEXT, "its id"),),
    cannot="make certificates",
    is_repeatable=False,
    raises=(NotAvailable,),
)

# ------------------------------------------------------------------ code

COMPLETE: Final = Command(
    "complete",
    "What could stand at a place in code, or in what is typed at an execution's prompt.",
    shapes.COMPLETIONS,
    Role.VIEWER,
    (_CODE, _IN_CODE, Parameter("execution", kinds.INT, "whose prompt it is", None, may_be_none=True)),
    by_worker=True,
    cannot="complete code",
    shows_values=True,
)
SIGNATURES: Final = Command(
    "signatures",
    "How what is called at a place in code wants to be called.",
    shapes.SIGNATURES,
    Role.VIEWER,
    (_CODE, _IN_CODE),
    by_worker=True,
    cannot="look up signatures",
    shows_values=True,
)
INSPECT: Final = Command(
    "inspect",
    "What is known of a path, or of what stands at a place in code.",
    shapes.INSPECTION,
    Role.VIEWER,
    (
        _PATH_OR_CODE,
        _IN_ANY_CODE,
        Parameter("source", kinds.BOOL, "whether its source is wanted, too, which takes time to find", True),
    ),
    by_worker=True,
    cannot="inspect values",
    shows_values=True,
)
DEFINITION: Final = Command(
    "definition",
    "Where a path, or what stands at a place in code, is defined.",
    shapes.DEFINITION,
    Role.VIEWER,
    (_PATH_OR_CODE, _IN_ANY_CODE),
    by_worker=True,
    cannot="look up definitions",
    shows_values=True,
)
REFERENCES: Final = Command(
    "references",
    "Where a path, or what stands at a place in code, is used: in inputs that ran, in the code, in the user's files.",
    shapes.REFERENCES,
    Role.VIEWER,
    (_PATH_OR_CODE, _IN_ANY_CODE),
    by_worker=True,
    cannot="look up references",
    shows_values=True,
)
IS_COMPLETE: Final = Command(
    "is_complete", "Whether code could run as it is.", shapes.CODE_STATE, Role.VIEWER, (_CODE,), by_worker=True
)

# ------------------------------------------------------------------ variables

VARIABLES: Final = Command(
    "variables",
    "What the user defined, by name.",
    shapes.VARIABLES,
    Role.VIEWER,
    (_START, Parameter("count", kinds.PLACE, "how many", _MAX_PAGE, limits=(0, _MAX_PAGE))),
    by_worker=True,
    cannot="list variables",
    shows_values=True,
)
CHILDREN: Final = Command(
    "children",
    "What is in the value at a path.",
    shapes.PAGE,
    Role.VIEWER,
    (_PATH, _START, _COUNT),
    by_worker=True,
    raises=(NotAvailable,),
    cannot="look into values",
    shows_values=True,
)
CELLS: Final = Command(
    "cells",
    "A rectangle of the table at a path, of all its rows or of those that pass, as they are or sorted.",
    shapes.CELLS,
    Role.VIEWER,
    (
        _PATH,
        Parameter("first_row", kinds.PLACE, "the first row", 0),
        Parameter("end_row", kinds.PLACE, "the row after the last", 50),
        Parameter("first_column", kinds.PLACE, "the first column", 0),
        Parameter("end_column", kinds.PLACE, "the column after the last", 20),
        Parameter("sort", kinds.SORT, "what to sort the rows by; equal ones stay in order, and nulls go last", ()),
        Parameter("filter", kinds.FILTER, "which rows to take; the first row is the first that passes", ()),
    ),
    by_worker=True,
    raises=(NotAvailable,),
    cannot="look into tables",
    shows_values=True,
)
SET_VARIABLE: Final = Command(
    "set_variable",
    "Give a variable, what a path leads to, or a cell of the table there the value of a literal.",
    shapes.NOTHING,
    Role.EDITOR,
    (
        _PATH,
        Parameter("literal", kinds.TEXT, "the value, as Python would write it"),
        Parameter("row", kinds.PLACE, "of the cell: its place in the table itself", None, may_be_none=True),
        Parameter("column", kinds.COLUMN, "of the cell", 0),
    ),
    cannot="set a variable",
    is_repeatable=False,
    by_worker=True,
    raises=(NotAvailable,),
)
DELETE_VARIABLE: Final = Command(
    "delete_variable",
    "Take a variable away.",
    shapes.NOTHING,
    Role.EDITOR,
    (_VARIABLE,),
    cannot="delete a variable",
    is_repeatable=False,
    by_worker=True,
    raises=(NotAvailable,),
)
RENAME_VARIABLE: Final = Command(
    "rename_variable",
    "Give a variable another name.",
    shapes.NOTHING,
    Role.EDITOR,
    (_VARIABLE, Parameter("new_name", kinds.NAME, "which nothing has yet")),
    cannot="rename a variable",
    is_repeatable=False,
    by_worker=True,
    raises=(NotAvailable,),
)
EVALUATE: Final = Command(
    "evaluate",
    "What expressions are now, each for itself: one that raises or does not come back keeps no other from its value. "
    "They run beside the code that runs; all together take no longer than four times what one may.",
    shapes.WATCHED,
    Role.EDITOR,
    (
        Parameter("expressions", kinds.TEXTS, "of Python, each evaluated in the namespace"),
        Parameter("limit_s", kinds.SECONDS, "how long each may take", 1.0, limits=(0.01, 60.0)),
    ),
    cannot="evaluate expressions",
    is_repeatable=False,
    by_worker=True,
)

# ------------------------------------------------------------------ surroundings

CWD: Final = Command("cwd", "The worker's current folder.", shapes.TEXT, Role.VIEWER, by_worker=True)
SET_CWD: Final = Command(
    "set_cwd",
    "Go to another folder, and answer with its full path.",
    shapes.TEXT,
    Role.EDITOR,
    (Parameter("folder", kinds.TEXT, "where to"),),
    cannot="change the folder",
    is_repeatable=False,
    by_worker=True,
)
ENVIRONMENT: Final = Command(
    "environment",
    "The worker's environment variables.",
    shapes.TEXTS_BY_NAME,
    Role.EDITOR,
    by_worker=True,
    cannot="see the environment",
)
SET_ENVIRONMENT: Final = Command(
    "set_environment",
    "Set one environment variable, or take it away.",
    shapes.NOTHING,
    Role.EDITOR,
    (
        Parameter("name", kinds.TEXT, "the variable's"),
        Parameter("value", kinds.TEXT, "None takes it away", may_be_none=True),
    ),
    cannot="change the environment",
    is_repeatable=False,
    by_worker=True,
)
MODULE_PATH: Final = Command(
    "module_path",
    "The worker's `sys.path`.",
    shapes.TEXTS,
    Role.VIEWER,
    by_worker=True,
    cannot="see the module path",
    shows_values=True,
)
SET_MODULE_PATH: Final = Command(
    "set_module_path",
    "Replace the worker's `sys.path`.",
    shapes.NOTHING,
    Role.EDITOR,
    (Parameter("entries", kinds.TEXTS, "the new ones"),),
    cannot="change the module path",
    is_repeatable=False,
    by_worker=True,
)
PYTHON: Final = Command("python", "The worker's interpreter.", shapes.PYTHON, Role.VIEWER, by_worker=True)
PACKAGES: Final = Command(
    "packages", "The distributions installed for the worker, by name.", shapes.PACKAGES, Role.VIEWER, by_worker=True
)

COMMANDS: Final[dict[str, Command[Any]]] = {
    each.name: each for each in tuple(globals().values()) if isinstance(each, Command)
}
"""All of them, by name."""


@cache
def open_to(role: str, *, has_values: bool) -> frozenset[str]:
    """The names of the commands that a connection may give."""
    return frozenset(name for name, each in COMMANDS.items() if each.is_open_to(role, has_values=has_values))
