"""What goes back to a client, as JSON can carry it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.core import introspection, shapes
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Event, Kind

_HOLDING = (Kind.DISPLAY, Kind.RESULT, Kind.PAGE)
_INPUT_FIELDS = ("seq", "execution", "time", "name", "code")


@functools.cache
def describer_of(command: Command[Any]) -> Callable[[Any], Any]:
    """What makes of an answer as it has crossed what a client gets of it."""
    read = reader_of(command)

    def describe_any(answer: Any) -> Any:
        return _describe_answer(command, read(answer))

    kind = getattr(introspection, command.answer.name, None)
    if not command.by_worker or kind is None:
        return describe_any

    def describe_found(answer: Any) -> Any:
        if isinstance(answer, str):
            found = json.loads(answer)
            each = found if command.answer.is_list else [found]
            if isinstance(each, list) and all(introspection.is_as_found(kind, item) for item in each):
                return found  # which is what would be made of what is read of it
        return describe_any(answer)

    return describe_found


def _describe_answer(command: Command[Any], answer: Any) -> Any:
    if command.answer is shapes.EVENTS:
        cursor, events = answer
        return {"cursor": cursor, "events": [event.as_dict() for event in events]}
    if command.answer is shapes.INPUTS:
        return [dict(zip(_INPUT_FIELDS, each, strict=True)) for each in answer]
    return describe(answer)


def describe(value: Any) -> Any:
    """A value by its fields, where JSON has no other words for it."""
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {name: describe(item) for name, item in value.items()}
    if hasattr(value, "__dict__"):
        return {name: describe(item) for name, item in vars(value).items()}
    return value


def describe_event(event: Event, max_part: int) -> dict[str, Any]:
    """An event without what is longer than that; what is missing is named, with its length in characters."""
    told = event.as_dict()
    data = told.get("data")
    if event.kind not in _HOLDING or not isinstance(data, dict):
        return told
    omitted = {mime: size for mime, part in data.items() if (size := len(text_of_part(part))) > max_part}
    if omitted:
        told["data"] = {mime: None if mime in omitted else part for mime, part in data.items()}
        told["omitted"] = omitted
    return told


def text_of_part(part: Any) -> str:
    """What is said of one type: text, or other JSON as it is spelled."""
    return part if isinstance(part, str) else json.dumps(part)
