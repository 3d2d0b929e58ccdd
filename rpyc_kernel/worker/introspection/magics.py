"""What the ipython engine understands beyond Python: magics, and shell lines."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from rpyc_kernel.core.introspection import Completion
from rpyc_kernel.worker.engine import find_shell
from rpyc_kernel.worker.introspection.files import list_files

ENGINE = "ipython"
_MAGIC = re.compile(r"^\s*(%{0,2}[^\W\d]?\w*)\Z")
_NAMED = re.compile(r"\s*((%{0,2})([^\W\d]\w*))")
_LINE = re.compile(r"^\s*(?:!|%(?:cd|run|load|ls|cat|pycat|edit|writefile|save)\s)(?:.*\s)?([^\s]*)\Z")


_COMMAND = re.compile(r"^\s*(%{1,2}[^\W\d]\w*)\s(?:.*\s)?(\S*)\Z")


def complete(line: str) -> tuple[str, list[Completion]] | None:
    """What could end the line, and the prefix it has to have; None for a line of Python."""
    if found := _LINE.match(line):
        return found[1], list_files(found[1])
    if (found := _COMMAND.match(line)) and (completer := _find_completer(found[1])):
        event = SimpleNamespace(line=line, command=found[1], symbol=found[2], text_until_cursor=line)
        return found[2], [Completion(name, "param") for name in completer(event)]
    found = _MAGIC.match(line)
    if found is None or not found[1].startswith("%"):
        return None
    return found[1], [Completion(name, "magic") for name in _list_magics(is_cell=found[1].startswith("%%"))]


def _find_completer(command: str) -> Callable[[Any], list[str]] | None:
    """What somebody has told IPython to complete this magic by."""
    shell = find_shell()
    hooks = None if shell is None else shell.strdispatchers.get("complete_command")
    found = None if hooks is None else next(iter(hooks.s_matches(command)), None)
    return None if found is None else partial(_ask, found)


def _ask(completer: Callable[[Any], Any], event: Any) -> list[str]:
    try:
        return [*map(str, completer(event) or ())]
    except Exception:  # noqa: BLE001 - the user's, and IPython's way to say that it has nothing
        return []


def find(code: str, cursor: int | None) -> tuple[str, Callable[..., Any]] | None:
    """The magic that code names or, if there is a cursor, that is named where it stands, and by what; None if none is.

    IPython takes it without its ``%``, too, where that is the name of nothing else.
    """
    end = len(code) if cursor is None else cursor
    start = code.rfind("\n", 0, end) + 1
    named = _NAMED.match(code, start)
    if named is None or not named.start(1) <= end <= named.end(1):
        return None
    shell = find_shell()
    known = {} if shell is None else shell.magics_manager.magics
    kinds = {"%%": ("cell",), "%": ("line",)}.get(named[2], ("line", "cell"))
    for kind in kinds:
        function = _unveil(known.get(kind, {}).get(named[3]), kind, named[3])
        if function is not None:
            return named[1], function
    return None


def _unveil(function: Any, kind: str, name: str) -> Any:
    """What stands for a magic until its first use is no help; None where an extension would have to be loaded."""
    if type(function).__name__ != "LazyMagic":
        return function
    # To load it as its first use does would change the shell on this thread, while code may use it on another.
    module, _, owner = str(function.spec).partition(":")
    if not owner:
        return None
    magics = getattr(importlib.import_module(module), owner)
    return getattr(magics, magics.magics[kind][name], None)


def _list_magics(*, is_cell: bool) -> list[str]:
    shell = find_shell()
    if shell is None:
        return []
    found = shell.magics_manager.lsmagic()
    cell = [f"%%{name}" for name in [*found["cell"]]]
    return cell if is_cell else [*cell, *(f"%{name}" for name in [*found["line"]])]
