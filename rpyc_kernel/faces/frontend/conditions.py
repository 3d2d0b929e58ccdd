"""What people type to say which rows of a table they want: ``price >= 10``, ``name contains ap``, ``note is null``."""

from __future__ import annotations

import ast
import re
from typing import Any

from rpyc_kernel.core.introspection import MAX_CELL_CHARS
from rpyc_kernel.core.table_rows import CONTAINS, IS_NULL, NOT_NULL
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_CONDITION = re.compile(
    rf"(?P<column>.+?) *(?:(?<= )(?P<null>{IS_NULL}|{NOT_NULL})|"
    rf"(?P<operator>==|!=|<=|>=|<(?!=)|>(?!=)|(?<= ){CONTAINS}(?= )) *(?P<value>.+))"
)

_TEXTUAL = ("str", "string", "<U", "large_string")


def read_condition(text: str) -> tuple[Any, ...]:
    """The condition that a text says, as `KernelClient.slice` takes it.

    Raises:
        RequestError: it says none.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise RequestError(f"{text!r} is no condition; write 'price >= 10', 'name contains ap' or 'note is null'")
    if found["null"]:
        return found["column"], found["null"]
    value = read_value(found["value"])
    return found["column"], found["operator"], str(value) if found["operator"] == CONTAINS else value


def text_to_edit(text: str) -> str:
    """What the editing of a cell begins with: nothing where the text is not all of it, so that no part is lost."""
    return text if sanitize_line(text) == text and len(text) <= MAX_CELL_CHARS else ""


def read_value(text: str, dtype: str = "") -> Any:
    """What is typed for a value: in a column of text the text, else a literal of Python, or the text if it is none.

    Args:
        text: what is typed.
        dtype: of the column that it is for, as `Cells.column_types` has it; "" if that is not known.
    """
    if dtype.startswith(_TEXTUAL):
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
