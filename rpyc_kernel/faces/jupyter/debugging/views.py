"""What clients that debug are shown of a kernel beside the debugger: variables, also while code runs; rich values."""

from __future__ import annotations

import ast
import itertools
import json
import re
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Variable

_FIRST_REFERENCE = 1_000_000_000
"""The debugger's own numbers for variables are small, and no number may be over 31 bits long."""
_MAX_REFERENCES = 10_000
_OF_SHELL = re.compile(r"In|Out|exit|quit|get_ipython|_{1,3}|_dh|_ih|_oh|_i{1,3}|_i?\d+|_exit_code")
_MAX_ITEMS = 1000
_MODULES = (
    "tuple((name, getattr(getattr(module, '__spec__', None), 'origin', None))"
    " for name, module in [*__import__('sys').modules.items()])"
)
_RICH_VIEW = "__import__('rpyc_kernel.worker.debugging.rich_values', fromlist=['describe']).describe({})"
"""What a worker evaluates for all that the value of an expression shows of itself: a MIME bundle as JSON."""

Content = dict[str, Any]


class Views:
    """Variables of the namespace, and the numbers by which clients ask for what is in them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(_FIRST_REFERENCE)
        self._paths: dict[int, str] = {}

    def list_variables(self, kernel: KernelClient) -> list[Content]:
        """The variables of the namespace."""
        if len(self._paths) > _MAX_REFERENCES:
            self._paths.clear()
        return [self._describe(variable) for variable in kernel.variables(count=_MAX_ITEMS)]

    def list_children(self, kernel: KernelClient, arguments: Content) -> list[Content] | None:
        """What is in a variable of the namespace; None if the number is one of the debugger's."""
        number = arguments["variablesReference"]
        if not isinstance(number, int) or number < _FIRST_REFERENCE:
            return None
        if number not in self._paths:
            return []  # shown long ago
        start, count = int(arguments.get("start") or 0), int(arguments.get("count") or _MAX_ITEMS)
        page = kernel.children(self._paths[number], start, min(count, _MAX_ITEMS))
        return [self._describe(variable) for variable in page.items]

    def _describe(self, variable: Variable) -> Content:
        number = next(self._numbers) if variable.has_children else 0
        if number:
            self._paths[number] = variable.path
        return {
            "name": variable.name,
            "value": variable.preview,
            "type": variable.type,
            "evaluateName": variable.path,
            "variablesReference": number,
        }


def without_shell(told: Content) -> Content:
    """An answer with variables, but for those that are IPython's."""
    variables = told["body"].get("variables", ())
    kept = [variable for variable in variables if not _OF_SHELL.fullmatch(variable["name"])]
    return {**told, "body": {**told["body"], "variables": kept}}


def list_modules(kernel: KernelClient, arguments: Content) -> Content:
    """The modules that come from files of Python."""
    start, count = int(arguments.get("startModule") or 0), int(arguments.get("moduleCount") or 0)
    found = [(name, path) for name, path in kernel.eval(_MODULES) if isinstance(path, str) and path.endswith(".py")]
    shown = found[start : start + count if count else None]
    modules = [{"id": name, "name": name, "path": path} for name, path in shown]
    return {"modules": modules, "totalModules": len(found)}


def rich_expression(name: str) -> str:
    """What to evaluate for all that a variable shows of itself."""
    return _RICH_VIEW.format(name)


def read_rich(text: str) -> Content:
    """A MIME bundle from what was evaluated."""
    data, metadata = json.loads(text)
    return {"data": data, "metadata": {mime: told for mime, told in metadata.items() if mime in data}}


def read_evaluated(shown: str) -> Content:
    """The same where a debugger has evaluated it, and shows the text as Python does."""
    return read_rich(str(ast.literal_eval(shown)))
