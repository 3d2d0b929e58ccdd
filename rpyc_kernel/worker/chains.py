"""Doing what a client has recorded: the steps of a chain one after the other, as `core.chain_steps` has them."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Sequence
from typing import Any

from rpyc_kernel.core.chain_steps import BINARY, COMPARISONS, CONTAINERS, FUNCTIONS, UNARY, Step


class StepFailed(Exception):
    """A step raised.

    Attributes:
        place: which one, from 0.
        error: what it raised.
    """

    def __init__(self, place: int, error: BaseException) -> None:
        super().__init__(place, error)
        self.place = place
        self.error = error


def run_chain(steps: Sequence[Step], objects: Sequence[Any], namespace: dict[str, Any]) -> Any:
    """Do the steps in turn and return the value of the last.

    A value is let go when the last step that needs it is done, as Python would.

    Args:
        steps: see `core.chain_steps`.
        objects: what the steps name by number.
        namespace: where names are looked up.

    Raises:
        StepFailed: a step raised; those behind it are not done.
    """
    values: list[Any] = []
    expiring = _find_last_uses(steps)
    for place, (kind, detail, operands) in enumerate(steps):
        try:
            if kind == "name":
                value = _find_name(namespace, detail)
            elif kind == "object":
                value = objects[detail]
            else:
                value = _DO[kind](detail, *[values[number] for number in operands])
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is an answer
            raise StepFailed(place, error) from None
        values.append(value)
        for number in expiring[place]:
            values[number] = None
    return values[-1]


def _find_last_uses(steps: Sequence[Step]) -> list[list[int]]:
    """For each step the earlier ones whose values nothing needs after it."""
    expiring: list[list[int]] = [[] for _ in steps]
    needed: set[int] = set()
    for place in range(len(steps) - 1, -1, -1):
        for number in steps[place][2]:
            if number not in needed:
                needed.add(number)
                expiring[place].append(number)
    return expiring


def _find_name(namespace: dict[str, Any], name: str) -> Any:
    if name in namespace:
        return namespace[name]
    known = namespace.get("__builtins__", builtins)
    try:
        return known[name] if isinstance(known, dict) else getattr(known, name)
    except (KeyError, AttributeError):
        raise NameError(f"name {name!r} is not defined", name=name) from None


def _call(keywords: Sequence[str], function: Any, *arguments: Any) -> Any:
    count = len(arguments) - len(keywords)
    return function(*arguments[:count], **dict(zip(keywords, arguments[count:], strict=True)))


def _make(kind: type) -> Callable[..., Any]:
    return (lambda _, items: slice(*items)) if kind is slice else (lambda _, items: kind(items))


_OPERATORS = {name: getattr(operator, f"__{name}__") for name in (*BINARY, *COMPARISONS, *UNARY)}
_FUNCTIONS = {name: getattr(builtins, name) for name in FUNCTIONS}
_DO: dict[str, Callable[..., Any]] = {
    "constant": lambda value: value,
    "attribute": lambda name, target: getattr(target, name),
    "item": lambda _, target, key: target[key],
    "call": _call,
    "tuple": lambda _, *items: items,
    "operator": lambda name, *operands: _OPERATORS[name](*operands),
    "function": lambda name, *operands: _FUNCTIONS[name](*operands),
    **{kind.__name__: _make(kind) for kind in CONTAINERS},
}
