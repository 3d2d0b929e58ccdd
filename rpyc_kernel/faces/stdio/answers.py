"""What goes back to a client, as JSON can carry it."""

from __future__ import annotations

import json
from typing import Any

from rpyc_kernel.core import shapes
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Event, Kind

_HOLDING = (Kind.DISPLAY, Kind.RESULT, Kind.PAGE)
_INPUT_FIELDS = ("seq", "execution", "time", "name", "code")


def describe_answer(command: Command[Any], answer: Any) -> Any:
    """The answer to a command, as a client of Python's has it."""
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
