"""What is known of a name: type, signature, documentation, source, and where it is defined."""

from __future__ import annotations

import bisect
import inspect
import itertools
import linecache
import re
import sys
import types
from typing import Any

from rpyc_kernel.core.introspection import Definition, Inspection
from rpyc_kernel.worker.introspection import magics
from rpyc_kernel.worker.introspection.documentation import MAX_TEXT, read_doc
from rpyc_kernel.worker.introspection.inputs import find_assignment
from rpyc_kernel.worker.introspection.paths import PATH, find
from rpyc_kernel.worker.introspection.signatures import find_call, live_signature
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.previews import preview
from rpyc_kernel.worker.sources import INPUTS, name_inputs
from rpyc_kernel.worker.static_access import (
    MISSING,
    class_dict,
    clean,
    is_class,
    is_foreign,
    own_dict,
    read_attribute,
    type_name,
)

_BEFORE = re.compile(rf"(?<!\w){PATH}(?:\.\w*)?\Z")
_WORD = re.compile(r"\w*")
_MAX_WRAPPINGS = 20


class HelpReader:
    """Finds help in one namespace.

    Args:
        namespace: the live namespace.
        static: reads what is not live.
        engine: the name of the engine, which may know more than Python.
    """

    def __init__(self, namespace: dict[str, Any], static: SourceAnalyzer, engine: str) -> None:
        self._namespace = namespace
        self._static = static
        self._engine = engine

    def inspect(self, code: str, cursor: int | None, *, with_source: bool = True) -> Inspection:
        """Return what is known of a path or, if there is a cursor, of what stands at it in code."""
        magic = magics.find(code, cursor) if self._engine == magics.ENGINE else None
        if magic is not None and magic[0].startswith("%"):
            return _describe_magic(*magic, with_source=with_source)
        path = code.strip() if cursor is None else find_path(code, cursor)
        value = find(self._namespace, path)
        if value is MISSING and cursor is not None and (call := find_call(code, cursor)):
            path, value = call.path, find(self._namespace, call.path)
        if value is not MISSING:
            return _describe(path, value, with_source=with_source)
        promised = None if cursor is None else self._static.read(code, cursor, _read_help)
        return promised or (Inspection(path) if magic is None else _describe_magic(*magic, with_source=with_source))

    def find_definition(self, code: str, cursor: int | None) -> Definition | None:
        """Return where a path or what stands at the cursor is defined."""
        path = code.strip() if cursor is None else find_path(code, cursor)
        value = find(self._namespace, path)
        is_there = value is not MISSING and not is_foreign(value)
        live = _as_definition(path, value) if is_there else None
        if live is not None and _is_definition(value):
            return live
        promised: Definition | None = None if cursor is None else self._static.read(code, cursor, _read_definition)
        if promised is not None and not promised.file:
            return promised
        # A variable is where it got its value; only what no input has made is where its class is.
        made = find_assignment(path) if path.isidentifier() else None
        return made or live or promised


def find_path(code: str, cursor: int) -> str:
    """The path that ends with the word at the cursor."""
    end = cursor + len(_WORD.match(code, cursor)[0])  # type: ignore[index] # it matches anything
    found = _BEFORE.search(code[:end].rpartition("\n")[2][-1000:])
    return found[0].rstrip(".") if found else ""


def find_place(value: Any) -> tuple[str, int]:
    """The file and line, from 1, of what is a definition or was made by one; ("", 0) where that is unknown."""
    if type(value) is types.ModuleType:
        file = own_dict(value).get("__file__")
        return (clean(file), 1) if type(file) is str else ("", 0)
    code = _find_code(value)
    if code is not None:
        return clean(_thaw(code.co_filename)), code.co_firstlineno
    return _find_class(value if is_class(value) else type(value))


def _as_definition(path: str, value: Any) -> Definition | None:
    file, line = find_place(value)
    return Definition(path, name_inputs(file), line) if file else None


def _describe(path: str, value: Any, *, with_source: bool) -> Inspection:
    if is_foreign(value):
        return Inspection(path, True, "client object", "<an object in a client>")
    file, line = find_place(value) if _is_definition(value) else ("", 0)
    signature = live_signature(value)
    return Inspection(
        path,
        True,
        type_name(value),
        preview(value),
        signature.text if signature else "",
        signature.doc if signature else read_doc(value),
        _read_source(file, line) if with_source and type(value) is not types.ModuleType else "",
        name_inputs(file),
        line,
    )


def _describe_magic(name: str, function: Any, *, with_source: bool) -> Inspection:
    file, line = find_place(function)
    source = _read_source(file, line) if with_source else ""
    return Inspection(name, True, "magic", doc=read_doc(function), source=source, file=name_inputs(file), line=line)


def _is_definition(value: Any) -> bool:
    return is_class(value) or type(value) is types.ModuleType or _find_code(value) is not None


def _find_code(value: Any) -> types.CodeType | None:
    """The code of a function, under its wrappers."""
    for _ in range(_MAX_WRAPPINGS):
        if type(value) in (types.MethodType, classmethod, staticmethod):
            value = value.__func__
        elif type(value) is property:
            value = value.fget
        elif type(value) is types.FunctionType and "__wrapped__" in (attributes := own_dict(value)):
            value = attributes["__wrapped__"]
        else:
            break
    return value.__code__ if type(value) is types.FunctionType else None


def _thaw(file: str) -> str:
    """The file of a module that the interpreter has built in."""
    if not file.startswith("<frozen "):
        return file
    module = sys.modules.get(file.removeprefix("<frozen ").removesuffix(">"))
    known = own_dict(module).get("__file__")
    return known if type(known) is str else file


def _find_class(kind: type) -> tuple[str, int]:
    """Where a class statement stands: some Pythons know its line, else a function of its body shows the file."""
    attributes = class_dict(kind)
    codes = [code for raw in [*attributes.values()] if (code := _find_code(raw)) is not None]
    name, module = read_attribute(kind, "__name__"), attributes.get("__module__")
    own = [code for code in codes if f"{name}." in getattr(code, "co_qualname", f"{name}.")]
    files = [code.co_filename for code in own] or _list_files_of(module)
    for file in dict.fromkeys(files):
        line = attributes.get("__firstlineno__")
        if type(line) is not int:
            last = min((code.co_firstlineno for code in own if code.co_filename == file), default=None)
            line = _find_class_line(linecache.getlines(file), str(name), last)
        if line and (not own or len(linecache.getlines(file)) >= line):
            return clean(file), line
    return "", 0


def _list_files_of(module: Any) -> list[str]:
    """The file of a module; of the user's own, the cells, newest first."""
    if module == "__main__":
        return [file for file in reversed([*linecache.cache]) if file.startswith(INPUTS)]
    file = own_dict(sys.modules.get(module)).get("__file__") if type(module) is str else None
    return [file] if type(file) is str and file.endswith(".py") else []


def _find_class_line(lines: list[str], name: str, before: int | None) -> int:
    pattern = re.compile(rf"\s*class\s+{re.escape(name)}\b")
    found = [number for number, line in enumerate(lines[:before], 1) if pattern.match(line)]
    return found[-1] if found else 0


def _read_source(file: str, line: int) -> str:
    """The block that begins at a line; no further than it is shown, as to find its end is to read all its tokens."""
    following = linecache.getlines(file)[line - 1 :] if line else []
    ends = [*itertools.accumulate(map(len, following[:MAX_TEXT]))]
    lines = following[: bisect.bisect_left(ends, MAX_TEXT) + 1]
    try:
        return clean("".join(inspect.getblock(lines)))[:MAX_TEXT] if lines else ""
    except Exception:  # noqa: BLE001 - cut in the middle, or the file was changed, and is no Python any more
        return clean("".join(lines))[:MAX_TEXT] if len(lines) < len(following) else ""


def _read_help(script: Any, line: int, column: int) -> Inspection | None:
    for found in script.help(line, column):
        signatures = found.get_signatures()
        return Inspection(
            clean(found.name),
            True,
            found.type,
            clean(found.description),
            clean(signatures[0].to_string().removeprefix(found.name)) if signatures else "",
            clean(found.docstring(raw=True))[:MAX_TEXT],
            "",
            clean(str(found.module_path or "")),
            found.line or 0,
        )
    return None


def _read_definition(script: Any, line: int, column: int) -> Definition | None:
    for found in script.goto(line, column, follow_imports=True):
        if found.line:
            return Definition(clean(found.name), clean(str(found.module_path or "")), found.line, found.column)
    return None
