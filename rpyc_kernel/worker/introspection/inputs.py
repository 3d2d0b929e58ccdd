"""The inputs that this worker has run, as sources: one after the other, as the module that they make together."""

from __future__ import annotations

import ast
import linecache
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rpyc_kernel.core.introspection import Definition
from rpyc_kernel.worker.compiler_warnings import unheard
from rpyc_kernel.worker.sources import name_inputs

_COUNTED = ("<In ", "<ipython-input-")
"""What the names of inputs begin with that people have numbers for."""
_NO_CODE = (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError)
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCOPES = (*_INNER, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Module:
    """Inputs in the order in which they ran, and behind them the code that is asked about.

    Attributes:
        text: all of them.
        starts: in which line of the text each begins, from 1.
        files: what each is called; the code that is asked about is "".
        is_whole: whether no input was left out.
    """

    text: str
    starts: tuple[int, ...]
    files: tuple[str, ...]
    is_whole: bool

    def locate(self, line: int) -> tuple[str, int]:
        """The input in which a line of the text is, and which line of that it is."""
        place = bisect_right(self.starts, line) - 1
        return self.files[place], line - self.starts[place] + 1


def join_inputs(code: str, limit: int) -> Module:
    """Put the code behind the inputs before it, of which the oldest are left out if they are too long together.

    Of those with the same text only the last counts; and none that is the code itself, run before.
    """
    room = limit - len(code)
    chosen: list[tuple[str, str]] = []
    seen = {code.rstrip("\n")}
    is_whole = True
    for file, text in _list_newest():
        if text.rstrip("\n") in seen:
            continue
        room -= len(text)
        if room < 0:
            is_whole = False
            break
        seen.add(text.rstrip("\n"))
        chosen.append((name_inputs(file), text if text.endswith("\n") else f"{text}\n"))
    parts = [*reversed(chosen), ("", code)]
    starts, line = [], 1
    for _, text in parts:
        starts.append(line)
        line += text.count("\n")
    return Module("".join(text for _, text in parts), tuple(starts), tuple(file for file, _ in parts), is_whole)


def find_assignment(name: str) -> Definition | None:
    """Where an input has last given a name its value; None where none did."""
    for file, text in _list_newest():
        if name not in text:
            continue
        try:
            with unheard() as name_of_file:
                tree = ast.parse(text, name_of_file)
        except _NO_CODE:
            continue
        places = [node for node in _list_nodes(tree) if _gives(node, name)]
        if places:
            line = text.split("\n")[places[-1].lineno - 1]
            column = len(line.encode("utf-8", "surrogatepass")[: places[-1].col_offset].decode("utf-8", "replace"))
            return Definition(name, name_inputs(file), places[-1].lineno, column)
    return None


def _list_newest() -> Iterator[tuple[str, str]]:
    """The name and the text of each input, newest first."""
    for file in reversed([*linecache.cache]):
        if type(file) is str and file.startswith(_COUNTED) and (text := "".join(linecache.getlines(file))):
            yield file, text


def _list_nodes(node: ast.AST) -> Iterator[Any]:
    """What is in it, but for what has names of its own, in order."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _list_nodes(child)


def _gives(node: Any, name: str) -> bool:
    """Whether it gives the name a value."""
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, _INNER):
        return node.name == name
    return isinstance(node, ast.alias) and (node.asname or node.name.partition(".")[0]) == name
