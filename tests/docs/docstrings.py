"""What this package exports, name by name, with its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import rpyc_kernel


def docstrings() -> Iterator[tuple[str, str]]:
    """Every public name, and of classes every public method and property that this package has written."""
    for name in rpyc_kernel.__all__:
        exported = getattr(rpyc_kernel, name)
        yield name, inspect.getdoc(exported) or ""
        if inspect.isclass(exported):
            yield from ((f"{name}.{member}", inspect.getdoc(value) or "") for member, value in _members_of(exported))


def _members_of(kind: type) -> Iterator[tuple[str, Any]]:
    ours = [
        base
        for base in reversed(kind.__mro__)
        if base.__module__.startswith(("rpyc_kernel.client", "rpyc_kernel.core"))
    ]
    members = {name: value for base in ours for name, value in vars(base).items() if not name.startswith("_")}
    for name, value in members.items():
        if isinstance(value, property | classmethod | staticmethod) or callable(value):
            yield name, value
