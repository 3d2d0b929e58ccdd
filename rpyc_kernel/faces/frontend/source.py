"""What code tells of itself before it is run: whether it is complete, and whether it is meant for the background."""

from __future__ import annotations

import codeop
import re
import tokenize
import warnings
from io import StringIO

_INDENT = "    "
_LEAVING = re.compile(r"\s+(return|raise|pass|break|continue)\b(.*[^\s([{,\\])?\s*$")


def is_one_line_command(code: str) -> bool:
    """Whether a line is a command or asks for help, and no further line can belong to it."""
    stripped = code.strip()
    if stripped.startswith("%%") and "\n" in code:
        return False
    return stripped.endswith("?") or (stripped.startswith("%") and not stripped.startswith("%%"))


def is_ended_cell(code: str) -> bool:
    """Whether a cell of a magic has come to its end, an empty line."""
    return code.startswith("%%") and "\n" in code and not code.rpartition("\n")[2].strip()


def find_indent_here(code: str) -> str | None:
    """What this Python would have the next line begin with; None if it wants no further line."""
    if code.startswith("%%"):
        return None if is_ended_cell(code) else ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = codeop.compile_command(code, "<input>", "exec")
    except (SyntaxError, ValueError, OverflowError):
        return None
    last = code.rpartition("\n")[2]
    is_in_block = "\n" in code and last[:1].isspace() and bool(last.strip())
    return indent_after(last) if compiled is None or is_in_block else None


def indent_after(line: str) -> str:
    """How far to indent the line after this one."""
    indent = line[: len(line) - len(line.lstrip())]
    if is_leaving(line):
        return indent.removesuffix(_INDENT)
    return indent + (_INDENT if line.rstrip().endswith(":") else "")


def is_leaving(line: str) -> bool:
    """Whether nothing can follow this line in its block."""
    return _LEAVING.match(line) is not None


def ends_in_semicolon(code: str) -> bool:
    """Whether the last thing in the code is a semicolon, and not in a comment or a string."""
    if not code.rstrip().endswith(";"):
        return False
    skipped = (tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    try:
        tokens = [token for token in tokenize.generate_tokens(StringIO(code).readline) if token.type not in skipped]
    except (tokenize.TokenError, SyntaxError):
        return True
    last = code.rstrip().count("\n") + 1
    return bool(tokens) and tokens[-1].string == ";" and tokens[-1].start[0] == last
