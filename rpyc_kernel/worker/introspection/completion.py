"""What could stand at the cursor: what is there, and then what the source promises."""

from __future__ import annotations

import builtins
import keyword
import os
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.introspection import MAX_MATCHES, Completion, Completions
from rpyc_kernel.worker.introspection import magics, symbols
from rpyc_kernel.worker.introspection.files import list_files
from rpyc_kernel.worker.introspection.paths import PATH, find
from rpyc_kernel.worker.introspection.signatures import TOKEN, find_call, live_signature
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.static_access import MISSING, is_foreign, is_name, is_of, kind_of, list_attributes

_MAX_LINE = 1000
_MAX_KEYS = 10_000
_MAX_WORDS_CHARS = 20_000
_NOT_INSIDE = r"(?<![\w.)\]}'\"])"
_ATTRIBUTE = re.compile(rf"{_NOT_INSIDE}({PATH})\s*\.\s*(\w*)\Z")
_NAME = re.compile(r"(?<![\w.])((?:[^\W\d]\w*)?)\Z")
_KEY = re.compile(rf"{_NOT_INSIDE}({PATH})\[(['\"])([^'\"\\]*)\Z")
_FROM = re.compile(r"^\s*from\s+([\w.]+)\s+import(?=[\s(])([\w\s,(]*)\Z")
_IMPORTED = re.compile(r"\s*\w*")
_IMPORT = re.compile(r"^\s*(?:import|from)\s[\w.,\s]*\Z")
_WORD_END = re.compile(r"\w*\Z")
_FILE = re.compile(r"[^\s'\"]*\Z")
_FIRST = re.compile(r"\w+")
_BINDING = r"\b{name}\s*(?:=[^=]|:=|\bin\b)"
_BINDER = re.compile(r"\b(?:def|lambda|for|as|class|import)\b")
_BINDS = re.compile(r"[=;\n]|\b(?:def|class|for|import|as|lambda)\b")


class Completer:
    """Completes code in one namespace.

    Args:
        namespace: the live namespace.
        static: reads what is not live; None leaves that out.
        engine: the name of the engine, which may know more than Python.
    """

    def __init__(self, namespace: dict[str, Any], static: SourceAnalyzer | None, engine: str) -> None:
        self._namespace = namespace
        self._static = static
        self._engine = engine

    def complete(self, code: str, cursor: int) -> Completions:
        """Return what could stand at ``cursor``."""
        line = code[:cursor].rpartition("\n")[2][-_MAX_LINE:]
        if self._engine == magics.ENGINE:
            if (found := magics.complete(line)) is not None:
                prefix, items = found
                return answer(items, prefix, cursor, fits=_fits_magic)
            if (written := symbols.complete(line, cursor)) is not None:
                return written
        if quoted := _open_text(line):
            return self._complete_text(line, quoted, cursor)
        prefix = _last(_WORD_END, line)
        items, is_enough = self._complete_live(code, cursor, line, prefix)
        if is_enough or self._static is None:
            return answer(items, prefix, cursor)
        promised = self._static.read(code, cursor, _read_completions)
        known = {item.text for item in items}
        items += [item for item in promised or _list_words(code, cursor, line) if item.text not in known]
        return answer(items, prefix, cursor, is_whole=promised is not None)

    def _complete_live(self, code: str, cursor: int, line: str, prefix: str) -> tuple[list[Completion], bool]:
        """What is there; and whether the source has nothing to add."""
        if (found := _FROM.search(line)) and _IMPORTED.fullmatch(re.split("[,(]", found[2])[-1]):
            module = sys.modules.get(found[1])
            return ([], False) if module is None else (_list_attributes(module, prefix), True)
        if _IMPORT.search(line):
            return [], False
        if found := _ATTRIBUTE.search(line):
            owner = find(self._namespace, found[1])
            if owner is MISSING or is_foreign(owner):
                return [], owner is not MISSING
            rest = code[: cursor - len(found[0])] + code[cursor:]
            return _list_attributes(owner, prefix), not self._is_bound(_FIRST.match(found[1])[0], rest)  # type: ignore[index] # a path
        if _NAME.search(line):
            rest = code[: cursor - len(prefix)] + code[cursor:]
            return [*self._list_parameters(code, cursor), *self._list_names(prefix)], not prefix or not _BINDS.search(
                rest
            )
        return [], False

    def _complete_text(self, line: str, quote: str, cursor: int) -> Completions:
        """Inside a string: keys of what it indexes, or files."""
        if found := _KEY.search(line):
            owner = find(self._namespace, found[1])
            return answer(_list_keys(owner, quote), found[3], cursor)
        prefix = _last(_FILE, line)
        return answer(list_files(prefix), prefix, cursor) if os.sep in prefix else Completions(cursor, cursor)

    def _list_names(self, prefix: str) -> list[Completion]:
        # Listed in one C call each: user code may add some meanwhile.
        found = {word: Completion(word, "keyword") for word in keyword.kwlist}
        for names in (vars(builtins), self._namespace):
            fitting = [name for name in [*names] if _fits(name, prefix)]
            found.update((name, Completion(name, kind_of(names.get(name)))) for name in fitting)
        return list(found.values())

    def _list_parameters(self, code: str, cursor: int) -> list[Completion]:
        call = find_call(code, cursor)
        owner = find(self._namespace, call.path) if call else MISSING
        signature = None if owner is MISSING else live_signature(owner)
        names = signature.parameters if signature else ()
        return [Completion(f"{each.name}=", "param") for each in names if each.kind in _NAMED]

    def _is_bound(self, name: str, code: str) -> bool:
        """Whether the code seems to give the name another meaning than it has now; modules keep theirs."""
        if type(self._namespace.get(name)) is types.ModuleType or name not in code:
            return False
        return re.search(_BINDING.format(name=name), code) is not None or any(
            _binds_later(line, name) for line in code.split("\n") if name in line
        )


def _binds_later(line: str, name: str) -> bool:
    """Whether the name stands behind a word such as ``def`` or ``for``."""
    binder = _BINDER.search(line)
    return binder is not None and re.compile(rf"\b{name}\b").search(line, binder.end()) is not None


_NAMED = ("positional_or_keyword", "keyword_only")


def _list_attributes(owner: Any, prefix: str) -> list[Completion]:
    return [
        Completion(name, kind_of(raw) if raw is not MISSING else "instance")
        for name, raw in list_attributes(owner).items()
        if _fits(name, prefix)
    ]


def _list_keys(owner: Any, quote: str) -> list[Completion]:
    if issubclass(type(owner), dict):
        keys = [*dict.keys(owner)] if dict.__len__(owner) <= _MAX_KEYS else []
    elif is_of(owner, "pandas", "DataFrame"):
        keys = list(owner.columns[:_MAX_KEYS])
    else:
        keys = []
    return [Completion(key, "key") for key in keys if is_name(key) and quote not in key and "\\" not in key]


def _read_completions(script: Any, line: int, column: int) -> list[Completion]:
    return [
        Completion(name, _KINDS.get(found.type, found.type), "static")
        for found in script.complete(line, column)
        if is_name(name := found.name_with_symbols if found.type == "param" else found.name)
    ]


def _list_words(code: str, cursor: int, line: str) -> list[Completion]:
    """The names in the code itself, where there was no time to read it; none after a dot."""
    if not _NAME.search(line):
        return []
    start = max(0, cursor - _MAX_WORDS_CHARS)
    words = {
        token[0]
        for token in TOKEN.finditer(code, start, cursor + _MAX_WORDS_CHARS)
        if token[0].isidentifier() and token.end() != cursor and not keyword.iskeyword(token[0])
    }
    return [Completion(word, "instance", "static") for word in words]


_KINDS = {"statement": "instance", "namespace": "module"}


def _fits(name: Any, prefix: str) -> bool:
    """Whether it is a name that begins so; those that begin with an underscore are offered on request only."""
    return is_name(name) and name.startswith(prefix) and bool(prefix or not name.startswith("_"))


def _fits_magic(name: Any, prefix: str) -> bool:
    """The same, where one ``%`` may stand for the two of a magic of cells."""
    return _fits(name, prefix) or (prefix.startswith("%") and _fits(name, f"%{prefix}"))


def answer(
    items: list[Completion],
    prefix: str,
    cursor: int,
    *,
    is_whole: bool = True,
    fits: Callable[[str, str], bool] = _fits,
) -> Completions:
    """The items that begin with ``prefix``, which ends at ``cursor``, in order."""
    fitting = {item.text: item for item in items if fits(item.text, prefix)}
    ordered = sorted(fitting.values(), key=lambda item: (item.text.startswith("_"), item.text))
    chosen = tuple(ordered[:MAX_MATCHES])
    return Completions(cursor - len(prefix), cursor, chosen, is_whole and len(ordered) == len(chosen))


def _open_text(line: str) -> str:
    """The quote of the string that is open at the end of a line, "" if none is."""
    quote = ""
    characters = iter(line)
    for character in characters:
        if character == "\\":
            next(characters, "")
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#":
            return ""
    return quote


def _last(pattern: re.Pattern[str], line: str) -> str:
    found = pattern.search(line)
    return found[0] if found else ""
