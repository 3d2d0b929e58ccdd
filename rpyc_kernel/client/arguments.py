"""What callers pass to the public functions is checked before anything is done with it: by the types that these state.

The checks are made of the signatures when a module is imported, and of the kinds that the table of commands has. Those
of the hub remain, for clients of another make; these here tell the caller at once, and also of what no hub ever sees.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeVar

from rpyc_kernel.core import kinds
from rpyc_kernel.core.kinds import Read, or_none, wrong

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class")

_OR_NONE = " | None"


def _expect(wanted: str, is_right: Callable[[Any], bool]) -> Read:
    def take(value: Any, what: str) -> Any:
        if not is_right(value):
            raise wrong(value, what, wanted)
        return value

    return take


def _is_path(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str))


def _is_name_or_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Sequence) and all(isinstance(each, str) for each in value))


def _is_variables(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)


def _is_range(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(hasattr(end, "__index__") for end in value)


_TAKES: dict[str, Read] = {
    "bool": kinds.BOOL.take,
    "int": kinds.INT.take,
    "float": kinds.SECONDS.take,  # no public function takes a number that is anything else
    "str": kinds.TEXT.take,
    "Sequence[str]": kinds.TEXTS.take,
    "str | Sequence[str]": _expect("str or a list of str", _is_name_or_names),
    "str | os.PathLike[str]": _expect("str or a path", _is_path),
    "dict[str, str]": _expect("a dict of str to str", _is_variables),
    "Mapping[str, Any]": _expect("a dict by name", lambda value: isinstance(value, Mapping)),
    "tuple[int, int]": _expect("a pair of numbers, the first and the one after the last", _is_range),
    "Column": kinds.COLUMN.take,
    "Sort": kinds.SORT.take,
    "Filter": kinds.FILTER.take,
    "Callable[[int, int], None]": _expect("a function", callable),
    "Callable[[str], None]": _expect("a function", callable),
}
"""By types as they are spelled; what is not here takes anything, or is looked at where it goes."""


def check_methods(cls: type[_Class]) -> type[_Class]:
    """Check what is passed to each public method of a class that is its own."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, FunctionType) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, check_arguments(method))
    return cls


def check_arguments(function: _Function) -> _Function:
    """Check what is passed to a function."""
    by_name: dict[str, Read] = {}
    by_place: list[tuple[int, str, Read]] = []
    code = function.__code__  # of which `inspect` makes signatures, at much cost
    positional, only_positional = code.co_argcount, code.co_posonlyargcount
    for place, name in enumerate(code.co_varnames[: positional + code.co_kwonlyargcount]):
        take = _find_take(function.__annotations__.get(name, ""))
        if take is None:
            continue
        if place >= only_positional:
            by_name[name] = take
        if place < positional:
            by_place.append((place, name, take))
    if not (by_name or by_place):
        return function

    @functools.wraps(function)
    def check_and_call(*values: Any, **named: Any) -> Any:
        passed = list(values)
        for place, name, take in by_place:
            if place >= len(passed):
                break
            passed[place] = take(passed[place], name)
        for name in named:
            if name in by_name:
                named[name] = by_name[name](named[name], name)
        return function(*passed, **named)

    return check_and_call  # type: ignore[return-value]


def _find_take(annotation: str) -> Read | None:
    kind = annotation.removesuffix(_OR_NONE)
    take = _TAKES.get(kind)
    return take if take is None or kind == annotation else or_none(take)
