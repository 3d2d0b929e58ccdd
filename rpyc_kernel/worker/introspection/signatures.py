"""How things are called: signatures, formatted without asking the defaults in them for their ``repr``."""

from __future__ import annotations

import contextlib
import functools
import inspect
import keyword
import re
import types
from dataclasses import dataclass, replace
from typing import Any

from rpyc_kernel.core.introspection import Parameter, Signature
from rpyc_kernel.worker.introspection.documentation import read_doc
from rpyc_kernel.worker.introspection.paths import PATH, find
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.previews import preview
from rpyc_kernel.worker.static_access import (
    MISSING,
    clean,
    find_in_lineage,
    is_class,
    is_foreign,
    is_trusted,
    own_dict,
    read_attribute,
)

_MAX_LOOK_BACK = 5000
_MAX_WRAPPINGS = 20
_CALLED = re.compile(rf"({PATH})\s*\Z")
TOKEN = re.compile(r"'(?:[^'\\\n]|\\.)*'?|\"(?:[^\"\\\n]|\\.)*\"?|#[^\n]*|[()\[\]{},=]|[^\W\d]\w*|\s+|.", re.DOTALL)
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)")
_PLAIN = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_BUILT_IN = (types.WrapperDescriptorType, types.BuiltinFunctionType, types.MethodDescriptorType)


@dataclass(frozen=True)
class Call:
    """A call that is open at the cursor.

    Attributes:
        path: what is called, "" if that is no path.
        position: how many arguments stand before the one at the cursor.
        keyword: the name of the argument at the cursor, "" if it has none.
    """

    path: str
    position: int
    keyword: str


def find_call(code: str, cursor: int) -> Call | None:
    """The innermost call whose parentheses are open at the cursor."""
    begin = max(0, cursor - _MAX_LOOK_BACK)
    text = code[begin:cursor]
    open_at: list[tuple[str, int, list[int]]] = []
    for token in TOKEN.finditer(text):
        character = token[0]
        if character in "([{":
            open_at.append((character, token.start(), [token.end()]))
        elif character in ")]}" and open_at:
            open_at.pop()
        elif character == "," and open_at:
            open_at[-1][2].append(token.end())
    if not open_at or open_at[-1][0] != "(":
        return None
    _, place, arguments = open_at[-1]
    called = _CALLED.search(text[max(0, place - 300) : place])
    if called is None or keyword.iskeyword(called[1]):
        return None
    named = _KEYWORD.match(text, arguments[-1])
    return Call(called[1], len(arguments) - 1, named[1] if named else "")


class SignatureReader:
    """Finds signatures of calls in code.

    Args:
        namespace: the live namespace.
        static: reads what is not live.
    """

    def __init__(self, namespace: dict[str, Any], static: SourceAnalyzer) -> None:
        self._namespace = namespace
        self._static = static

    def read(self, code: str, cursor: int) -> list[Signature]:
        """Return the signatures of the call that is open at ``cursor``."""
        call = find_call(code, cursor)
        owner = find(self._namespace, call.path) if call else MISSING
        signature = None if owner is MISSING else live_signature(owner)
        if call is not None and signature is not None:
            return [replace(signature, name=call.path, active=_find_active(signature.parameters, call))]
        return self._static.read(code, cursor, _read_signatures) or []


def live_signature(value: Any) -> Signature | None:
    """Return how a live object is called; None if that is not known, or not without running code."""
    called = _find_called(value)
    if called is None:
        return None
    try:
        found = inspect.signature(called, follow_wrapped=False)
    except Exception:  # noqa: BLE001 - many built-ins have none
        return None
    parameters = tuple(
        Parameter(each.name, _format_parameter(each), each.kind.name.lower()) for each in found.parameters.values()
    )
    return Signature(
        str(read_attribute(value, "__name__") or ""), _format(found, parameters), parameters, doc=read_doc(value)
    )


def _find_called(value: Any) -> Any:
    """What `inspect` may be asked about: nothing in it leads to code of the user's."""
    if is_foreign(value):
        return None
    if type(value) is types.MethodType:
        function = value.__func__
        return value if type(function) is types.FunctionType and _unwrap(function) is function else None
    if type(value) is functools.partial:
        return value if _find_called(value.func) is value.func else None
    if type(value) is types.FunctionType:
        return _unwrap(value)
    if type(value) in _PLAIN or type(value) is types.MethodWrapperType:
        return value
    if is_class(value):
        return _find_constructor(value)
    call = find_in_lineage(type(value), "__call__")
    return call.__get__(value) if type(call) is types.FunctionType and _unwrap(call) is call else None


def _find_constructor(kind: type) -> Any:
    if not is_trusted(type(kind)) or find_in_lineage(kind, "__signature__") is not MISSING:
        return None
    makers = [find_in_lineage(kind, name) for name in ("__init__", "__new__")]
    makers = [maker.__func__ if type(maker) is staticmethod else maker for maker in makers]
    return kind if all(type(maker) in (types.FunctionType, *_BUILT_IN) for maker in makers) else None


def _unwrap(function: Any) -> Any:
    """The function at the end of the wrappers; None if one of them has a signature of its own making."""
    for _ in range(_MAX_WRAPPINGS):
        attributes = own_dict(function)
        if type(attributes.get("__signature__", None)) not in (type(None), inspect.Signature):
            return None
        wrapped = attributes.get("__wrapped__")
        if type(wrapped) is not types.FunctionType:
            return function if wrapped is None else None
        function = wrapped
    return None


def _format(found: inspect.Signature, parameters: tuple[Parameter, ...]) -> str:
    kinds = [each.kind for each in found.parameters.values()]
    parts: list[str] = []
    for number, (each, kind) in enumerate(zip(parameters, kinds, strict=True)):
        if kind == inspect.Parameter.KEYWORD_ONLY and not any(
            before in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.KEYWORD_ONLY) for before in kinds[:number]
        ):
            parts.append("*")
        parts.append(each.text)
        after = kinds[number + 1] if number + 1 < len(kinds) else None
        if kind == inspect.Parameter.POSITIONAL_ONLY != after:
            parts.append("/")
    returns = found.return_annotation
    arrow = "" if returns is inspect.Signature.empty else f" -> {_format_annotation(returns)}"
    return f"({', '.join(parts)}){arrow}"


def _format_parameter(parameter: inspect.Parameter) -> str:
    text = _STARS.get(parameter.kind.name, "") + parameter.name
    has_annotation = parameter.annotation is not inspect.Parameter.empty
    if has_annotation:
        text += f": {_format_annotation(parameter.annotation)}"
    if parameter.default is not inspect.Parameter.empty:
        text += f" = {preview(parameter.default)}" if has_annotation else f"={preview(parameter.default)}"
    return clean(text)


def _format_annotation(annotation: Any) -> str:
    if type(annotation) is str:
        return clean(annotation)
    if is_class(annotation):
        name = read_attribute(annotation, "__name__")
        return clean(name) if type(name) is str else "..."
    if is_trusted(type(annotation)):
        with contextlib.suppress(Exception):
            return clean(inspect.formatannotation(annotation))
    return preview(annotation)


def _find_active(parameters: tuple[Parameter, ...], call: Call) -> int | None:
    for number, each in enumerate(parameters):
        if call.keyword:
            if each.name == call.keyword or each.kind == "var_keyword":
                return number
        elif each.kind == "var_positional" or (number == call.position and each.kind.startswith("positional")):
            return number
    return None


def _read_signatures(script: Any, line: int, column: int) -> list[Signature]:
    return [
        Signature(
            clean(found.name),
            clean(found.to_string().removeprefix(found.name)),
            tuple(
                Parameter(each.name.lstrip("*"), clean(each.to_string()), each.kind.name.lower())
                for each in found.params
            ),
            found.index,
            clean(found.docstring(raw=True)),
        )
        for found in script.get_signatures(line, column)
    ]
