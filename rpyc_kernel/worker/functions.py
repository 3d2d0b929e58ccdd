"""Functions that clients send: they find the names that did not come with them in the namespace, when they run."""

from __future__ import annotations
import __future__

import ast
import io
import pickle
import types
from collections.abc import Callable, Iterable
from typing import Any

from rpyc_kernel.errors import RequestError

_MAKES_FUNCTIONS = "_make_function"
"""What cloudpickle has functions made by that come by value: its pickles name it."""


_AROUND = "_around"
"""The function around one whose source is run."""


class _Globals(dict[str, Any]):
    """The global names of functions that came together: what came with them, else what the namespace has by then.

    What such a function assigns by ``global`` stays in here.
    """

    def __init__(self, namespace: dict[str, Any], brought: dict[str, Any]) -> None:
        super().__init__(brought)
        self._namespace = namespace

    def __missing__(self, name: str) -> Any:
        return self._namespace[name]


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, buffers: Iterable[Any], namespace: dict[str, Any]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._namespace = namespace
        # With those they were made of, which have to stay: their numbers tell them apart.
        self._made: dict[int, tuple[dict[str, Any], _Globals]] = {}

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if name == _MAKES_FUNCTIONS and module.partition(".")[0] == "cloudpickle":
            return self._make_function
        return found

    def _make_function(self, code: types.CodeType, names: dict[str, Any], *arguments: Any) -> types.FunctionType:
        if id(names) not in self._made:
            names["__builtins__"] = __builtins__
            self._made[id(names)] = names, _Globals(self._namespace, names)
        return types.FunctionType(code, self._made[id(names)][1], *arguments)


def load(data: bytes, buffers: Iterable[Any], namespace: dict[str, Any]) -> Any:
    """Open a pickle; functions that come by value see the namespace, too."""
    return _Unpickler(data, buffers, namespace).load()


def call_each(function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
    """Call a function with the first items, the second ones, and so on."""
    return [function(*items) for items in zip(*sequences, strict=False)]


def define(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run the source of a function, whose global names are the namespace itself, which is left as it was.

    It knows itself by its name. Annotations are not evaluated: what they name may be unknown here.
    """
    tree = ast.parse(f"if True:\n{source}" if source[:1].isspace() else source)
    if source[:1].isspace():  # as it stands inside of something; not dedented, as that would change texts in it
        tree.body = tree.body[0].body  # type: ignore[attr-defined]
        ast.increment_lineno(tree, -1)
    if not any(getattr(statement, "name", "") == name for statement in tree.body):
        raise RequestError(f"the source of {name!r} defines no {name!r}")
    around = ast.parse(f"def {_AROUND}():\n return {name}")
    (outer,) = around.body
    assert isinstance(outer, ast.FunctionDef)
    outer.body = [*tree.body, *outer.body]
    defined: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    exec(compile(around, f"<source of {name}>", "exec", flags, dont_inherit=True), namespace, defined)  # noqa: S102 - that is its purpose
    made = defined[_AROUND]()
    made.__qualname__ = name
    return made
