"""Where breakpoints hold: debugpy takes any line of any file, and any condition; here they are looked at before.

It also says that they are set in libraries, which it runs past. A line without code gives way to the next one that has
some, as in other debuggers. What has no source yet, such as a cell that is still to be run, and what is no plain
Python, such as one with magics, is left to debugpy as it is.
"""

from __future__ import annotations

import ast
import linecache
import os
import types
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from rpyc_kernel.wire.debug_adapter import Message
from rpyc_kernel.worker.compiler_warnings import unheard

_MAX_SHOWN: Final = 200


def look_at(arguments: Message, runs_past: Callable[[str], bool]) -> tuple[Message, list[Message | None]]:
    """Look at the arguments of ``setBreakpoints``.

    Args:
        arguments: as the client gave them.
        runs_past: whether debugpy stops nowhere in a file.

    Returns:
        What to ask of debugpy, and for each breakpoint that was wanted what is wrong with it; None where nothing is, so
        that debugpy answers for it.
    """
    path = read_path(arguments)
    wanted = arguments.get("breakpoints")
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        return arguments, []
    lines, missing = _find_lines(path)
    is_library = not missing and runs_past(path)
    asked: list[Message] = []
    verdicts: list[Message | None] = []
    for each in wanted:
        line, condition = each.get("line"), each.get("condition")
        fault, is_set = "", True
        if condition and (error := _find_error(str(condition))):
            fault, is_set = f"the condition {str(condition)[:_MAX_SHOWN]!r} is no expression: {error}", False
        elif missing:
            fault, is_set = missing, path.startswith("<")  # of files that are not there debugpy takes none
        elif is_library:
            fault, is_set = f"{path} is of a library, and the debugger stops in the user's own code alone", False
        elif lines is not None and type(line) is int:
            place = bisect_left(lines, line)
            if place == len(lines):
                fault, is_set = f"{path} has no code at line {line} or behind it", False
            else:
                each = {**each, "line": lines[place]}
        if is_set:
            asked.append(each)
        verdicts.append(
            {"verified": False, "line": line, "source": {"path": path}, "message": fault, "is_set": is_set}
            if fault
            else None
        )
    return {**arguments, "breakpoints": asked}, verdicts


def read_path(arguments: Message) -> str:
    """The path of the source that is meant, "" where none is."""
    source = arguments.get("source")
    return str(source.get("path") or "") if isinstance(source, dict) else ""


def join(answer: Message, verdicts: list[Message | None]) -> Message:
    """What is to be answered: what debugpy says of those that it was asked for, and in their places the others."""
    body = answer.get("body")
    if not verdicts or not isinstance(body, dict) or not isinstance(body.get("breakpoints"), list):
        return answer
    set_ones = iter(body["breakpoints"])
    told = []
    for verdict in verdicts:
        known: Message = next(set_ones, {}) if verdict is None or verdict["is_set"] else {}
        fault = {name: value for name, value in (verdict or {}).items() if name != "is_set"}
        told.append({**known, **fault})
    return {**answer, "body": {**body, "breakpoints": told}}


def _find_lines(path: str) -> tuple[list[int] | None, str]:
    """The lines of a source that have code, in order, None where that cannot be told; and what is wrong with it."""
    try:
        linecache.checkcache(path)
        source = "".join(linecache.getlines(path))
    except ValueError:  # with a null character it is no path
        source = ""
    if not source:
        if path.startswith("<"):
            return None, f"no input has been called {path} yet"
        return None, "" if os.path.isfile(
            path
        ) else f"there is no file {path!r} where the kernel runs; save it, and set them again"
    try:
        with unheard() as file:
            code = compile(source, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None, ""
    return sorted(_list_lines(code)), ""


def _list_lines(code: types.CodeType) -> set[int]:
    found = {line for _, _, line in code.co_lines() if line}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _list_lines(constant)
    return found


def _find_error(condition: str) -> str:
    """What is wrong with an expression, "" if nothing is."""
    try:
        with unheard() as file:
            compile(condition.strip(), file, "eval", dont_inherit=True)
    except SyntaxError as error:
        return str(error.msg)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return str(error)
    return ""
