"""The JSON Schema of all that client and server say to each other, made of the methods."""

from __future__ import annotations

import keyword
import types
import typing
from dataclasses import MISSING, fields
from typing import Any, Final

from rpyc_kernel.core import introspection, kinds, shapes
from rpyc_kernel.core.commands import REQUIRED, Command, Parameter
from rpyc_kernel.core.contract import FIELDS, MAX_CODE_CHARS, Space
from rpyc_kernel.core.shapes import Answer
from rpyc_kernel.core.table_rows import MAX_LABEL_CHARS, MAX_PARTS, MAX_PLACE, OPERATORS
from rpyc_kernel.faces.stdio.error_codes import CODES, PROTOCOL_CODES, WRONG_PARAMETERS
from rpyc_kernel.faces.stdio.methods import KERNEL, METHODS, OBJECT, PREFIX, PROTOCOL
from rpyc_kernel.frozen import Frozen

Schema = dict[str, Any]

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final[Schema] = {"type": "string"}
_INT: Final[Schema] = {"type": "integer"}
_NUMBER: Final[Schema] = {"type": "number"}
_BOOL: Final[Schema] = {"type": "boolean"}
_NULL: Final[Schema] = {"type": "null"}
_ANY_OBJECT: Final[Schema] = {"type": "object"}
_LABEL: Final[Schema] = {"type": "string", "maxLength": MAX_LABEL_CHARS}
_COLUMN: Final[Schema] = {"anyOf": [_LABEL, {"type": "integer", "minimum": 0, "maximum": MAX_PLACE - 1}, _NULL]}
_SOURCE_TEXT: Final[Schema] = {"type": "string", "maxLength": MAX_CODE_CHARS, "pattern": "^[^\\u0000]*$"}
_PATH: Final[Schema] = {**_SOURCE_TEXT, "minLength": 1}
_LITERAL: Final[Schema] = {"type": "string", "maxLength": MAX_CODE_CHARS, "description": "a literal of Python"}

_KINDS: Final[dict[kinds.ArgumentKind, Schema]] = {
    kinds.BOOL: _BOOL,
    kinds.INT: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    kinds.PLACE: {"type": "integer", "minimum": -(2**62), "maximum": 2**62},
    kinds.SECONDS: {"type": "number", "minimum": -1e15, "maximum": 1e15},
    kinds.TEXT: {"type": "string", "maxLength": MAX_CODE_CHARS},
    kinds.TEXTS: {"type": "array", "items": _TEXT, "maxItems": 10_000},
    kinds.CODE: {"type": "string", "maxLength": MAX_CODE_CHARS},
    kinds.CALL: _TEXT,
    kinds.TOKEN: {"type": "string", "maxLength": 64},
    kinds.NAME: {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"enum": keyword.kwlist}},
    kinds.SOURCE: {
        "anyOf": [
            _NULL,
            {
                "type": "object",
                "properties": {
                    "file": _PATH,
                    "first_line": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                },
                "required": ["file"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {
                    "path": _PATH,
                    "arguments": {"type": "array", "items": _SOURCE_TEXT},
                    "cwd": {"anyOf": [_SOURCE_TEXT, _NULL]},
                    "namespace": {"enum": [Space.CURRENT, Space.FRESH]},
                    "reload": _BOOL,
                },
                "required": ["path"],
                "additionalProperties": False,
            },
        ]
    },
    kinds.COLUMN: _COLUMN,
    kinds.SORT: {
        "type": "array",
        "maxItems": MAX_PARTS,
        "items": {
            "anyOf": [
                _COLUMN,
                {
                    "type": "array",
                    "prefixItems": [_COLUMN, {"enum": ["ascending", "descending"]}],
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        },
    },
    kinds.FILTER: {
        "type": "array",
        "maxItems": MAX_PARTS,
        "items": {
            "type": "array",
            "prefixItems": [_COLUMN, {"enum": [*OPERATORS]}, _LITERAL],
            "minItems": 3,
            "maxItems": 3,
        },
    },
    OBJECT: _ANY_OBJECT,
}


def _object(**properties: Schema) -> Schema:
    """An object with these at least; later releases add some."""
    return {"type": "object", "properties": properties, "required": [*properties]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_MIME: Final[Schema] = {"type": "object", "description": "by MIME type: text, base64 of bytes, or JSON; null: omitted"}
_SIZES: Final[Schema] = {"type": "object", "additionalProperties": _INT, "description": "characters, by MIME type"}
_OUTPUT: Final[Schema] = _object(seq=_INT, data=_MIME, metadata=_ANY_OBJECT, omitted=_SIZES)

_ANSWERS: Final[dict[str, Schema]] = {
    "nothing": _NULL,
    "number": _INT,
    "text": _TEXT,
    "pair": _TEXT,
    "Hello": _object(
        session=_TEXT,
        role=_TEXT,
        came_first=_BOOL,
        cursor=_or_null(_INT),
        last=_INT,
        kernel=_TEXT,
        protocol=_INT,
        generation=_INT,
    ),
    "Status": _object(
        kernel=_TEXT,
        state=_TEXT,
        generation=_INT,
        running=_or_null(_ANY_OBJECT),
        queue=_list(_ANY_OBJECT),
        queue_length=_INT,
        side=_list(_ANY_OBJECT),
        prompts=_list(_ANY_OBJECT),
        sessions=_list(_ANY_OBJECT),
        last=_INT,
    ),
    "Queued": _object(execution=_INT, session=_TEXT, name=_TEXT, code=_TEXT),
    "Event": _object(seq=_INT, time=_NUMBER, kind=_TEXT, execution=_or_null(_INT), session=_or_null(_TEXT)),
    "Events": _object(cursor=_INT, events=_list(_ref("Event"))),
    "Input": _object(seq=_INT, execution=_INT, time=_NUMBER, name=_TEXT, code=_TEXT),
    "Invited": _object(id=_TEXT, role=_TEXT, name=_TEXT, values=_BOOL, secret=_TEXT, listening=_list(_ANY_OBJECT)),
    "Invitation": _object(id=_TEXT, role=_TEXT, name=_TEXT, values=_BOOL),
    "Listening": _object(host=_TEXT, port=_INT, security=_TEXT),
    "Certified": _object(certificate=_TEXT, private_key=_TEXT, server_certificate=_TEXT),
    "Server": _object(server=_TEXT, version=_TEXT, protocol=_INT, kernel=_or_null(_ref("Connected"))),
    "Connected": _object(
        kernel=_TEXT,
        name=_TEXT,
        session=_TEXT,
        client_name=_TEXT,
        role=_TEXT,
        came_first=_BOOL,
        cursor=_or_null(_INT),
        last=_INT,
        generation=_INT,
    ),
    "KernelInfo": _object(name=_TEXT, state=_TEXT, hub_pid=_INT, worker_pid=_or_null(_INT), generation=_INT),
    "Evaluated": _object(
        execution=_INT,
        outcome=_TEXT,
        reason=_or_null(_TEXT),
        duration_s=_or_null(_NUMBER),
        text=_TEXT,
        omitted_chars=_INT,
        result=_or_null(_OUTPUT),
        displays=_list(_OUTPUT),
        error=_or_null(_object(ename=_TEXT, evalue=_TEXT, traceback=_TEXT)),
    ),
    "Subscribed": _object(cursor=_INT),
    "Data": _object(text=_TEXT, start=_INT, size=_INT),
    "Debugging": _object(debugger=_TEXT),
}


class Notice(Frozen, eq=False):
    """What one side tells or asks the other beside the methods.

    Attributes:
        doc: when.
        params: what goes along.
        result: what a request is answered with; None where nothing is.
    """

    doc: str
    params: Schema
    result: Schema | None = None


NOTIFICATIONS: Final[dict[str, Notice]] = {
    "events": Notice(
        "Events of a kernel, in order, none left out; see `events/subscribe`. Whoever does not read gets them later.",
        _object(kernel=_TEXT, cursor=_INT, events=_list(_ref("Event"))),
    ),
    "connection": Notice(
        "A connection to a kernel is lost, or there again; `is_closed`: for good, as the kernel has stopped.",
        _object(kernel=_TEXT, is_connected=_BOOL, is_closed=_BOOL, message=_TEXT),
    ),
    "debug/message": Notice("What a debugger says.", _object(debugger=_TEXT, message=_ANY_OBJECT)),
    "debug/closed": Notice("A debugger is gone, and why.", _object(debugger=_TEXT, message=_TEXT)),
    "$/progress": Notice(
        "How far a request is that came with a `progress_token`.",
        _object(token=_TEXT, value=_object(kind={"enum": ["begin", "report", "end"]}, message=_TEXT)),
    ),
    "$/cancelRequest": Notice("A request of the server need not be answered any more.", _object(id=_TEXT)),
}
"""What the server tells."""

REQUESTS: Final[dict[str, Notice]] = {
    "input/request": Notice(
        "Code of the client's session asks for input. An error leaves the prompt to others.",
        _object(kernel=_TEXT, execution=_INT, prompt=_TEXT, password=_BOOL),
        {"type": "object", "properties": {"text": _or_null(_TEXT)}, "required": ["text"]},
    ),
}
"""What the server asks."""

CLIENT_NOTIFICATIONS: Final[dict[str, Notice]] = {
    "$/cancelRequest": Notice("A request need not be answered any more.", _object(id={"anyOf": [_INT, _TEXT]})),
    "exit": Notice("The client leaves, as it does by closing its end; kernels go on.", {"type": "object"}),
}
"""What a client tells."""


def describe_protocol() -> Schema:
    """All of it."""
    classes = {
        each.answer.name: _schema_of_class(getattr(introspection, each.answer.name))
        for each in METHODS.values()
        if each.answer.name not in _ANSWERS
    }
    return {
        "$schema": _DRAFT,
        "title": "rpyc-kernel serve",
        "protocol": PROTOCOL,
        "methods": {name: _describe_method(name, each) for name, each in METHODS.items()},
        "client_notifications": {name: _describe_notice(each) for name, each in CLIENT_NOTIFICATIONS.items()},
        "notifications": {name: _describe_notice(each) for name, each in NOTIFICATIONS.items()},
        "requests": {name: _describe_notice(each) for name, each in REQUESTS.items()},
        "errors": {
            **{str(code): {"description": words} for code, words in PROTOCOL_CODES.items()},
            **{str(code): {"type": kind.__name__, "description": _first_line(kind)} for kind, code in CODES.items()},
        },
        "events": {kind: [*names] for kind, names in FIELDS.items()},
        "$defs": {**_ANSWERS, **classes},
    }


def parameters_of(name: str) -> tuple[Parameter, ...]:
    """What a method takes."""
    is_of_table = name.startswith(PREFIX) and KERNEL not in METHODS[name].parameters
    return (*METHODS[name].parameters, KERNEL) if is_of_table else METHODS[name].parameters


def _describe_method(name: str, method: Command[Any]) -> Schema:
    parameters = parameters_of(name)
    return {
        "description": method.doc,
        "params": {
            "type": "object",
            "properties": {each.name: _describe_parameter(each) for each in parameters},
            "required": [each.name for each in parameters if each.default is REQUIRED],
            "additionalProperties": False,
        },
        "result": _describe_answer(method.answer),
        "errors": [WRONG_PARAMETERS, *(CODES[each] for each in method.raises)],
        "role": method.role,
        "shows_values": method.shows_values,
        "immediate": method.is_immediate,
    }


def _describe_parameter(parameter: Parameter) -> Schema:
    schema = {"enum": [*parameter.choices]} if parameter.choices else _KINDS[parameter.kind]
    described = {**(_or_null(schema) if parameter.may_be_none else schema), "description": parameter.doc}
    if parameter.limits is not None:
        least, most = parameter.limits
        described["description"] += f"; from {least:,g} to {most:,g}, others as the nearest"
    if parameter.default is not REQUIRED:
        described["default"] = list(parameter.default) if parameter.default == () else parameter.default
    return described


def _describe_answer(answer: Answer[Any]) -> Schema:
    if answer is shapes.TEXTS_BY_NAME:
        return {"type": "object", "additionalProperties": _TEXT}
    schema = _ref(answer.name)
    schema = _list(schema) if answer.is_list else schema
    return _or_null(schema) if answer.may_be_none else schema


def _describe_notice(notice: Notice) -> Schema:
    told: Schema = {"description": notice.doc, "params": notice.params}
    return told if notice.result is None else {**told, "result": notice.result}


def _schema_of_class(cls: type[Any]) -> Schema:
    """Of a class of `core.introspection`."""
    hints = typing.get_type_hints(cls)
    properties = {}
    for each in fields(cls):
        inner = each.metadata.get("of")
        properties[each.name] = _list(_schema_of_class(inner)) if inner else _schema_of_type(hints[each.name])
    required = [each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING]
    return {"type": "object", "properties": properties, "required": required}


def _schema_of_type(hint: Any) -> Schema:
    simple = {str: _TEXT, int: _INT, float: _NUMBER, bool: _BOOL, type(None): _NULL}
    if hint in simple:
        return simple[hint]
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return {"anyOf": [_schema_of_type(each) for each in typing.get_args(hint)]}
    if typing.get_origin(hint) is tuple:
        return _list(_schema_of_type(typing.get_args(hint)[0]))
    raise TypeError(f"no schema is known of {hint}")


def _first_line(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
