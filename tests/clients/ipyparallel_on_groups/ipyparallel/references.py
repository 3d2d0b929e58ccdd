"""Names of the kernel in place of values. What is sent by its source has no annotations, whose names are not there."""

from __future__ import annotations

from typing import Any


class Reference:
    """An expression that the kernel evaluates when it is called with it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, ({"__reference__": self.name},)  # a kernel need not know this class


def call_with_references(function, arguments, keywords):  # type: ignore[no-untyped-def]
    """Call a function in the kernel; sent by its source, so that its globals are those of the kernel."""

    def resolve(value):  # type: ignore[no-untyped-def]
        if type(value) is dict and set(value) == {"__reference__"}:
            return eval(value["__reference__"], globals())
        if type(value) in (list, tuple):
            return type(value)(resolve(item) for item in value)
        return {name: resolve(item) for name, item in value.items()} if type(value) is dict else value

    return resolve(function)(*resolve(arguments), **resolve(keywords))


def map_with_references(function, *items):  # type: ignore[no-untyped-def]
    """Call it with one item of each sequence of a map."""

    def resolve(value):  # type: ignore[no-untyped-def]
        is_reference = type(value) is dict and set(value) == {"__reference__"}
        return eval(value["__reference__"], globals()) if is_reference else value

    return resolve(function)(*map(resolve, items))
