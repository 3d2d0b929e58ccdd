"""What callers pass to the public functions is checked before anything is done with it: by the types that these state.

The checks are made of the signatures when a module is imported, as the hub makes those of what clients send to it. The
hub's remain, for clients of another make; these here tell the caller at once, and also of what no hub ever sees.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rpyc_kernel.core.seconds import read_seconds
from rpyc_kernel.errors import RequestError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class")
_Read = Callable[[Any, str], Any]
"""Returns a value as the function gets it, which is called what the second argument says; raises `RequestError`."""

_OR_NONE = " | None"


def _refuse(value: Any, what: str, wanted: str) -> RequestError:
    return RequestError(f"{what} must be {wanted}, not {type(value).__name__}")


def _read_index(value: Any, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise _refuse(value, what, "int") from None


def _expect(wanted: str, is_right: Callable[[Any], bool]) -> _Read:
    def read(value: Any, what: str) -> Any:
        if not is_right(value):
            raise _refuse(value, what, wanted)
        return value

    return read


def _is_texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)


def _is_variables(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)


def _is_range(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(hasattr(end, "__index__") for end in value)


_READS: dict[str, _Read] = {
    "bool": _expect("True or False", lambda value: isinstance(value, (bool, int))),
    "int": _read_index,
    "float": read_seconds,  # no public function takes a number that is anything else
    "str": _expect("str", lambda value: isinstance(value, str)),
    "str | os.PathLike[str]": _expect(
        "str or a path",
        lambda value: isinstance(value, str) or (isinstance(value, os.PathLike) and isinstance(os.fspath(value), str)),
    ),
    "dict[str, str]": _expect("a dict of str to str", _is_variables),
    "Mapping[str, Any]": _expect("a dict by name", lambda value: isinstance(value, Mapping)),
    "Sequence[str]": _expect("a list of str", _is_texts),
    "tuple[int, int]": _expect("a pair of numbers, the first and the one after the last", _is_range),
    "Callable[[int, int], None]": _expect("a function", callable),
}
"""By types as they are spelled; what is not here takes anything, or is looked at where it goes."""


def check_methods(cls: type[_Class]) -> type[_Class]:
    """Check what is passed to each public method of a class that is its own."""
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, check_arguments(method))
    return cls


def check_arguments(function: _Function) -> _Function:
    """Check what is passed to a function."""
    by_name: dict[str, _Read] = {}
    by_place: list[tuple[int, str, _Read]] = []
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        read = _find_read(str(parameter.annotation))
        if read is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            by_name[parameter.name] = read
        if parameter.kind is not parameter.KEYWORD_ONLY:
            by_place.append((place, parameter.name, read))
    if not (by_name or by_place):
        return function

    @functools.wraps(function)
    def check_and_call(*values: Any, **named: Any) -> Any:
        passed = list(values)
        for place, name, read in by_place:
            if place >= len(passed):
                break
            passed[place] = read(passed[place], name)
        for name in named:
            if name in by_name:
                named[name] = by_name[name](named[name], name)
        return function(*passed, **named)

    return check_and_call  # type: ignore[return-value]


def _find_read(annotation: str) -> _Read | None:
    kind = annotation.removesuffix(_OR_NONE)
    read = _READS.get(kind)
    if read is None or kind == annotation:
        return read

    def read_unless_none(value: Any, what: str) -> Any:
        if value is None:
            return None
        return read(value, what)

    return read_unless_none
