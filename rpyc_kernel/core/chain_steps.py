"""What a recorded chain consists of on its way from a client to a worker: steps, and the operators they can name.

A program is a tuple of steps in the order in which they are done; its value is that of the last. A step is ``(kind,
detail, operands)``, and the operands are the places of earlier steps, so that neither a long chain nor a value that is
used twice needs any nesting.

    ("constant", value, ())               a plain value, copied
    ("object", number, ())                what was handed over beside the steps, by its number
    ("name", name, ())                    a variable of the namespace, else a builtin
    ("attribute", name, (target,))        ("item", None, (target, key))
    ("call", keywords, (function, …))     with the positional arguments, then those of these names
    ("tuple", None, (item, …))            ("list" or another of CONTAINERS, None, (its items as a tuple,))
    ("operator", name, (left, right))     or one operand; ("function", name, (operand, …))
"""

from __future__ import annotations

from typing import Any, Final


class Recorded:
    """What only stands for a value that is still to be made: it is no object that anybody could hand over."""

    __slots__ = ()


Step = tuple[str, Any, tuple[int, ...]]

BINARY: Final[dict[str, tuple[str, int]]] = {
    "or": ("|", 7),
    "xor": ("^", 8),
    "and": ("&", 9),
    "lshift": ("<<", 10),
    "rshift": (">>", 10),
    "add": ("+", 11),
    "sub": ("-", 11),
    "mul": ("*", 12),
    "matmul": ("@", 12),
    "truediv": ("/", 12),
    "floordiv": ("//", 12),
    "mod": ("%", 12),
    "pow": ("**", 14),
}
"""Operators that also come reflected: how they are typed, and how strongly they bind."""
COMPARISONS: Final[dict[str, tuple[str, int]]] = {
    name: (sign, 6) for name, sign in {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "gt": ">", "ge": ">="}.items()
}
UNARY: Final[dict[str, tuple[str, int]]] = {"neg": ("-", 13), "pos": ("+", 13), "invert": ("~", 13)}
FUNCTIONS: Final = ("abs", "divmod", "pow", "round")
"""Builtin functions that are operators by another spelling; ``pow`` with three arguments."""
CONTAINERS: Final[tuple[type, ...]] = (list, set, frozenset, dict, slice)
"""What is made anew in the worker of its items: a dict of its pairs, a slice of its three parts."""
