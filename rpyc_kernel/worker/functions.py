"""Functions that clients send: they find the names that did not come with them in the namespace, when they run."""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import io
import pickle
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.interrupts import may_interrupt

_AROUND = "_around"
"""The function around one whose source is run."""


class _Names(dict[str, Any]):
    """What stands behind the global names of functions: the namespace, and the builtins behind that.

    Python looks here for what a function did not bring along, as a function, a class's body and `eval` do it. The
    interpreter itself takes some of it without asking, as for imports: so it is filled with the builtins.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        super().__init__(vars(builtins))
        self._namespace = namespace

    def __getitem__(self, name: str) -> Any:
        try:
            return self._namespace[name]
        except KeyError:
            return vars(builtins)[name]


class Making:
    """How cloudpickle has functions made, that come by value, so that they see a namespace.

    Args:
        namespace: whose names they see, when they run; those that they bring along come first.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._names = _Names(namespace)

    def make(self, code: types.CodeType, brought: dict[str, Any], *arguments: Any) -> types.FunctionType:
        """In place of its ``_make_function``."""
        brought["__builtins__"] = self._names
        return types.FunctionType(code, brought, *arguments)

    def fill(self, fill: Callable[..., Any], function: types.FunctionType, state: Any) -> None:
        """Around ``fill``, which is its ``_function_setstate``."""
        fill(function, state)
        function.__globals__["__builtins__"] = self._names  # for what is defined inside of it


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, buffers: Iterable[Any], namespace: dict[str, Any], python: Any) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._making = Making(namespace)
        self._python = python

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] != "cloudpickle":
            return super().find_class(module, name)
        found = _find_of_cloudpickle(super().find_class, module, name)
        if name == "_make_function":  # asked for before the code, which must not be made of another Python's
            _require_same_python(self._python)
            return self._making.make
        if name == "_function_setstate":
            return functools.partial(self._making.fill, found)
        return found


def _find_of_cloudpickle(find: Callable[[str, str], Any], module: str, name: str) -> Any:
    try:
        return find(module, name)
    except ModuleNotFoundError:
        raise RequestError(
            "functions come by cloudpickle, which is not installed here: "
            f"{sys.executable} -m pip install cloudpickle; or have a call's source sent: by_source=True"
        ) from None


def _require_same_python(python: Any) -> None:
    own = list(sys.version_info[:2])
    if python is not None and python != own:
        theirs, ours = (".".join(map(str, each)) for each in (python, own))
        raise RequestError(
            f"a function of Python {theirs} cannot run here, in Python {ours}: have its source sent, by_source=True; "
            f"or start the kernel with Python {theirs}"
        )


def load(data: bytes, buffers: Iterable[Any], namespace: dict[str, Any], python: Any = None) -> Any:
    """Open a pickle; functions that come by value see the namespace, too.

    Args:
        data: the pickle.
        buffers: what it has outside of itself.
        namespace: whose names they see, when they run; those that they bring along come first.
        python: the version of Python that made it, major and minor, None if nobody said so.

    Raises:
        RequestError: functions come, and the version is another one, or cloudpickle is missing.
    """
    return _Unpickler(data, buffers, namespace, python).load()


def make_call(opened: Any, source: str | None, namespace: dict[str, Any], *, is_map: bool) -> Callable[[], Any]:
    """Make of what a client has packed what is to be called.

    Args:
        opened: the function, or its name, its arguments and its keywords.
        source: that of the function, None where it came itself.
        namespace: whose names the source sees.
        is_map: whether the arguments are sequences, and it is called with each of their items.
    """
    function, arguments, keywords = opened
    if source is not None:
        function = define(source, function, namespace)
    if is_map:
        function = functools.partial(call_each, function)
    return functools.partial(function, *arguments, **keywords)


@may_interrupt
def call_each(function: Callable[..., Any], *sequences: Iterable[Any]) -> tuple[Any, ...]:
    """Call a function with the first items, the second ones, and so on; plain results in a tuple are plain, too.

    Where it is of C, no frame but this one is there to interrupt.
    """
    results = []
    for items in zip(*sequences, strict=False):
        results.append(function(*items))  # a list in one expression has a frame of its own
    return tuple(results)


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
