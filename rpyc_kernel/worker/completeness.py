"""Whether code could run as it is, and how to indent what follows if not."""

from __future__ import annotations

import ast
import re

from rpyc_kernel.core.introspection import CodeState, Completeness
from rpyc_kernel.worker.compiler_warnings import load_codeop, unheard

_AWAIT_FLAG = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_NO_CODE = (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError)
"""What the compiler raises for source it cannot take; the last two, where it is nested too deeply."""
_compile_command = load_codeop()
_LEAVING = re.compile(r"\s*(?:return|raise|pass|break|continue)\b")
_DEEPER = "    "


def judge(code: str) -> CodeState:
    """Say whether ``code`` is complete, incomplete (and the indent to go on with) or invalid."""
    if "\0" in code:  # codeop of Python 3.13 waits for more
        return CodeState(Completeness.INVALID)
    with unheard() as file:
        try:
            compiled = _compile_command(code, file, "exec") if code.strip() else True
        except _NO_CODE:
            # codeop knows neither top-level await nor several statements at once well
            if not _compiles(code):
                return CodeState(Completeness.INVALID)
            compiled = True
    lines = code.split("\n")
    last = lines[-1]
    if compiled is not None and (len(lines) == 1 or not last.strip() or not last[:1].isspace()):
        return CodeState(Completeness.COMPLETE)
    return CodeState(Completeness.INCOMPLETE, _next_indent(last, has_ended=_compiles(code)))


def _compiles(code: str) -> bool:
    """Whether the last statement has ended, though its block may go on."""
    with unheard() as file:
        try:
            compile(code, file, "exec", _AWAIT_FLAG, dont_inherit=True)
        except _NO_CODE:
            return False
    return True


def _next_indent(last: str, *, has_ended: bool) -> str:
    indent = last[: len(last) - len(last.lstrip(" \t"))]
    if _without_comment(last).rstrip().endswith(":"):
        return indent + ("\t" if indent.endswith("\t") else _DEEPER)
    if has_ended and _LEAVING.match(last):
        return indent[:-1] if indent.endswith("\t") else indent[: max(0, len(indent) - len(_DEEPER))]
    return indent


def _without_comment(line: str) -> str:
    """A line up to the first ``#`` behind which there is no quote."""
    begin = line.find("#", max(line.rfind("'"), line.rfind('"')) + 1)
    return line if begin < 0 else line[:begin]
