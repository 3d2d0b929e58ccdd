"""What a hub answers, read with care: a hub that lies or is of another make gets an error of ours raised, no other."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rpyc_kernel.core import shapes
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import MAX_PLAIN_REPR, TEXTS, Event, Kind, decode_events
from rpyc_kernel.settings import is_name

_T = TypeVar("_T")


@functools.cache
def reader_of(command: Command[_T]) -> Callable[[Any], _T]:
    """What reads the answers of a command, as the table says."""
    read = _READS.get(command.answer) or functools.partial(_read_found, command.answer)
    return (lambda answer: read(json.loads(_require(str, answer)))) if command.by_worker else read


def read_pairs(answer: Any) -> dict[str, Any]:
    """A dict that crossed as pairs."""
    return {_require(str, name): value for name, value in answer}


def read_status(answer: Any) -> dict[str, Any]:
    """A snapshot of a kernel."""
    status = read_pairs(answer)
    status["running"] = read_pairs(status["running"]) if status["running"] else None
    for part in ("queue", "side", "prompts", "sessions"):
        status[part] = [read_pairs(item) for item in status[part]]
    status["listening"] = [read_listening(item) for item in status.get("listening", ())]
    for session in status["sessions"]:
        session["channels"] = [read_pairs(item) for item in session["channels"]]
    for part in ("generation", "last"):
        _require(int, status[part])
    _require(str, status["state"])
    return status


def read_queue(answer: Any, *, after: int = 0) -> list[dict[str, Any]]:
    """A page of what waits for its turn, in order, beyond the execution ``after``."""
    page = [read_pairs(item) for item in answer]
    for item in page:
        if _require(int, item["execution"]) <= after:
            raise ValueError("what waits is not in order")
        after = item["execution"]
    return page


def read_hello(answer: Any) -> dict[str, Any]:
    """Who the client is and where it left off, and what it talks to."""
    hello = read_pairs(answer)
    _require(int, hello["last"])
    if not is_name(_require(str, hello["kernel"])):  # clients make folders of this name
        raise ValueError("no kernel can be called so")
    _require(bool, hello["came_first"])
    if hello["cursor"] is not None:
        _require(int, hello["cursor"])
    return hello


def read_invitation(answer: Any) -> dict[str, Any]:
    """What an invitation gives, and of one just given its secret and where to come to."""
    said = read_pairs(answer)
    for name in ("id", "role", "name"):
        _require(str, said[name])
    _require(bool, said["values"])
    for name in ("created", "expires", "revoked"):
        if said[name] is not None:
            said[name] = float(said[name])
    if "secret" in said:
        bytes.fromhex(_require(str, said["secret"]))
        said["listening"] = [read_pairs(each) for each in said["listening"]]
        for each in said["listening"]:
            _require(str, each["host"])
            _require(int, each["port"])
            bytes.fromhex(_require(str, each.get("fingerprint", "")))
    return said


def read_listening(answer: Any) -> dict[str, Any]:
    """Where a kernel listens, and what protects that."""
    said = read_pairs(answer)
    for name in ("host", "security"):
        _require(str, said[name])
    _require(int, said["port"])
    bytes.fromhex(_require(str, said.get("fingerprint", "")))
    return said


def read_certified(answer: Any) -> dict[str, str]:
    """A certificate with its key, and that of the server."""
    said = read_pairs(answer)
    return {name: _require(str, said[name]) for name in ("certificate", "private_key", "server_certificate")}


def read_number(answer: Any) -> int:
    """A whole number."""
    return _require(int, answer)


def read_text(answer: Any) -> str:
    """Text."""
    return _require(str, answer)


def read_events(answer: Any) -> tuple[int, list[Event]]:
    """The cursor to go on with, and events."""
    cursor, text = answer
    events = decode_events(_require(str, text))
    for event in events:
        _check(event)
    return _require(int, cursor), events


def read_inputs(answer: Any) -> list[tuple[int, int, float, str, str]]:
    """Inputs of the past: number of the event, execution, time, author and code."""
    return [
        (_require(int, seq), _require(int, execution), float(time), _require(str, name), _require(str, code))
        for seq, execution, time, name, code in answer
    ]


def read_literal(text: Any) -> Any:
    """The plain value that a result event carries."""
    if len(_require(str, text)) > MAX_PLAIN_REPR:
        raise ValueError("it is too long for the literal of a plain value")
    from ast import literal_eval  # here: few starts read a value before they are of use

    return literal_eval(text)


def _read_texts(answer: Any) -> list[str]:
    return [_require(str, each) for each in answer]


def _read_texts_by_name(answer: Any) -> dict[str, str]:
    return {_require(str, name): _require(str, text) for name, text in answer}


def _read_found(answer: shapes.Answer[Any], found: Any) -> Any:
    """What `core.introspection` has a class for."""
    from rpyc_kernel.core import introspection  # a client that only executes needs none of its classes

    kind = getattr(introspection, answer.name)
    if answer.may_be_none and found is None:
        return None
    return (
        [introspection.read_found(kind, each) for each in found]
        if answer.is_list
        else introspection.read_found(kind, found)
    )


def _check(event: Event) -> None:
    _require(int, event.seq)
    _require(str, event.kind)
    _require(dict, event.payload)
    if not isinstance(event.time, (int, float)):
        raise TypeError(f"event {event.seq} has no time")
    if event.execution is not None:
        _require(int, event.execution)
    if event.session is not None:
        _require(str, event.session)
    for name in TEXTS.get(event.kind, ()):
        _require(str, event.payload[name])
    if event.kind == Kind.ERROR:
        _require(list, event.payload.get("notes", []))


def _require(kind: type[_T], value: Any) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"a {kind.__name__} was to come, not a {type(value).__name__}")
    return value


_READS: Final[dict[shapes.Answer[Any], Callable[[Any], Any]]] = {
    shapes.NOTHING: lambda answer: None,
    shapes.NUMBER: read_number,
    shapes.NUMBER_OR_NONE: lambda answer: None if answer is None else read_number(answer),
    shapes.TEXT: read_text,
    shapes.TEXTS: _read_texts,
    shapes.TEXTS_BY_NAME: _read_texts_by_name,
    shapes.HELLO: read_hello,
    shapes.STATUS: read_status,
    shapes.QUEUE: read_queue,
    shapes.EVENTS: read_events,
    shapes.INVITED: read_invitation,
    shapes.INVITATIONS: lambda answer: [read_invitation(each) for each in answer],
    shapes.LISTENING: read_listening,
    shapes.CERTIFIED: read_certified,
    shapes.INPUTS: read_inputs,
}
