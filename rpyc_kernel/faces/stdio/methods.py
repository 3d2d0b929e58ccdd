"""The methods of the server: one for each command of the table, and its own in the same form.

Of them are made the checks of what comes, the schema, and `docs/reference/protocol.md`.
"""

from __future__ import annotations

from typing import Any, Final

from rpyc_kernel.core import commands, kinds, shapes
from rpyc_kernel.core.commands import COMMANDS, REQUIRED, Command, Parameter
from rpyc_kernel.core.contract import ROLES, Lane, Role, freeze
from rpyc_kernel.core.shapes import Answer
from rpyc_kernel.errors import ConnectionFailed, ConnectionLost, KernelExists, NoSuchKernel, RequestError
from rpyc_kernel.settings import ENGINES

PROTOCOL: Final = 1
"""Raised when a client of an earlier one could no longer be served. New methods, parameters and fields leave it."""
PREFIX: Final = "kernel/"
MAX_PART: Final = 1_000_000
"""How many characters of a display's data go with its event, unless its subscriber says otherwise."""


def _optional(name: str, doc: str, kind: kinds.ArgumentKind = kinds.TEXT, **more: Any) -> Parameter:
    return Parameter(name, kind, doc, None, may_be_none=True, **more)


def _read_object(value: Any, what: str) -> Any:
    if isinstance(value, dict):
        return value
    raise kinds.wrong(value, what, "an object")


OBJECT: Final = kinds.ArgumentKind("object", "a JSON object", _read_object, _read_object)
KERNEL: Final = _optional("kernel", "whose: what `connect` answered; may be left out where the server has one")
_DEBUGGER = Parameter("debugger", kinds.TEXT, "what `debug/open` answered")


def _method(
    name: str, doc: str, answer: Answer[Any], *parameters: Parameter, role: str = Role.VIEWER, **more: Any
) -> Command[Any]:
    return Command(name, doc, answer, role, parameters, **more)


_OWN = (
    _method(
        "initialize",
        "Say who the client is, and learn what it talks to. May be left out, but not where the server listens on a "
        "port: there it comes first, with the key.",
        Answer("Server"),
        _optional("client_name", "what it is called, for the names of sessions"),
        _optional("key", "what the server has printed when it began to listen"),
    ),
    _method(
        "connect",
        "Connect to a kernel, or start it. It stays connected: when the connection is lost, it is made again.",
        Answer("Connected"),
        Parameter("address", kinds.TEXT, "a name, the path of a connection file, or a connect string"),
        Parameter("start", kinds.BOOL, "whether to start it where none of this name runs", False),
        _optional("python", "for a start: the interpreter, or the folder of its environment"),
        _optional("engine", "for a start", choices=ENGINES),
        _optional("cwd", "for a start: the folder it works in"),
        _optional("session", "the session to continue"),
        _optional("name", "how others see this client"),
        _optional("role", "what it may do; else the most that its key gives", choices=ROLES),
        _optional("progress_token", "names the notifications of progress"),
        is_repeatable=False,
        raises=(NoSuchKernel, KernelExists, ConnectionFailed),
    ),
    _method("disconnect", "Leave a kernel, which goes on.", shapes.NOTHING, KERNEL, is_repeatable=False),
    _method("kernels", "The kernels of this user on this machine.", Answer("KernelInfo", is_list=True)),
    _method(
        "code/run",
        "Queue code, and answer when it has ended. To cancel this request takes the code out of the queue, or "
        "interrupts it.",
        Answer("Evaluated"),
        Parameter("code", kinds.CODE, "the source"),
        Parameter("stop_on_error", kinds.BOOL, "if it fails, abort what its session queued behind it", True),
        _optional("file", "the file that the code is a part of"),
        Parameter("first_line", kinds.INT, "the line of the file in which it begins, from 1", 1, limits=(1, 2**31)),
        Parameter("lane", kinds.TEXT, "where to run", Lane.MAIN, choices=(Lane.MAIN, Lane.SIDE)),
        Parameter("max_chars", kinds.PLACE, "how much of what it prints to answer with", 100_000, limits=(0, 10**8)),
        _optional("progress_token", "names the notifications of progress"),
        KERNEL,
        role=commands.EXECUTE.role,
        cannot=commands.EXECUTE.cannot,
        is_immediate=False,
        is_repeatable=False,
        raises=(*commands.EXECUTE.raises, ConnectionLost),
    ),
    _method(
        "events/subscribe",
        "Have events told, in order, by notifications `events`; once for each kernel.",
        Answer("Subscribed"),
        _optional("since", "the last event that is not wanted; else they begin with what comes from now on", kinds.INT),
        Parameter("resume", kinds.BOOL, "whether to begin where the session left off; see `acknowledge`", False),
        Parameter(
            "answers_prompts",
            kinds.BOOL,
            "whether the client answers prompts of its session's code for a person",
            False,
        ),
        Parameter(
            "max_part",
            kinds.PLACE,
            "the longest part of a display or result that goes along, in characters; what is longer is fetched by "
            "`events/data`",
            MAX_PART,
            limits=(0, 10**8),
        ),
        KERNEL,
        is_repeatable=False,
        raises=(RequestError,),
    ),
    _method("events/unsubscribe", "Have no more events told.", shapes.NOTHING, KERNEL),
    _method(
        "events/data",
        "A part of what a display, result or page holds.",
        Answer("Data"),
        Parameter("seq", kinds.INT, "the event's number"),
        Parameter("mime", kinds.TEXT, "the type, as in the event's `omitted`"),
        Parameter("start", kinds.PLACE, "the first character", 0),
        Parameter("count", kinds.PLACE, "how many", MAX_PART, limits=(0, 10**7)),
        KERNEL,
        raises=(RequestError,),
    ),
    _method(
        "debug/open",
        "Open the worker's debugger, of which there is one. What it says comes by notifications `debug/message`, in "
        "the Debug Adapter Protocol.",
        Answer("Debugging"),
        KERNEL,
        is_repeatable=False,
        raises=(RequestError, ConnectionLost),
    ),
    _method(
        "debug/send",
        "Pass a message of the Debug Adapter Protocol on.",
        shapes.NOTHING,
        _DEBUGGER,
        Parameter("message", OBJECT, "the message"),
        is_repeatable=False,
        raises=(RequestError, ConnectionLost),
    ),
    _method("debug/close", "Close a debugger; all code goes on.", shapes.NOTHING, _DEBUGGER, is_repeatable=False),
    _method("shutdown", "Prepare for the end: the notification `exit` follows. Kernels go on.", shapes.NOTHING),
)

METHODS: Final[dict[str, Command[Any]]] = {
    **{each.name: each for each in _OWN},
    **{PREFIX + name: command for name, command in COMMANDS.items()},
}
"""All of them, by name. Those of the table take `KERNEL`, too."""


def read_params(method: Command[Any], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request for one of the server's own methods, by name.

    Raises:
        RequestError: they are not what the method takes.
    """
    values = method.bind((), _find_given(method, params))
    return dict(zip((each.name for each in method.parameters), values, strict=True))


def bind_command(command: Command[Any], params: dict[str, Any]) -> list[Any]:
    """The arguments of a command, checked and in order, as they cross to a kernel.

    Raises:
        RequestError: they are not what the command takes.
    """
    given = _find_given(command, params)
    command.bind((), given)  # only checks: what is made of some is nothing that crosses
    return [given.get(each.name, each.default) for each in command.parameters]


def _find_given(method: Command[Any], params: dict[str, Any]) -> dict[str, Any]:
    known = {each.name: each for each in method.parameters}
    given = {}
    for name, value in params.items():
        parameter = known.get(name)
        if value is None and parameter is not None and not parameter.may_be_none and parameter.default is not REQUIRED:
            continue  # many languages say so of what is left out
        given[name] = value if parameter is not None and parameter.kind is OBJECT else freeze(value)
    return given
