"""Runs the Python sessions of pages and docstrings."""

from __future__ import annotations

import doctest
import re
from typing import Any

_FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


class _Checker(doctest.OutputChecker):
    """Takes neighbouring streams for one: a print is two writes, and the hub may come between them."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, re.sub(r"('stream', )+", "'stream', ", got), optionflags)


def sessions_of(page: str) -> str:
    """All the sessions of a page, one behind the other."""
    return "".join(block for block in _FENCE.findall(page) if ">>> " in block)


def run_session(text: str, name: str, names: dict[str, Any]) -> tuple[int, str]:
    """Run a session; returns how many examples it has, and what went otherwise than shown, "" if nothing did."""
    examples = doctest.DocTestParser().get_doctest(text, names, name, name, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(_Checker(), optionflags=doctest.ELLIPSIS)
    result = runner.run(examples, out=said.append)
    return result.attempted, "".join(said) if result.failed else ""
