"""What clients pass to the hub is checked before anything is done with it: by the types that each method states.

The checks are made of the signatures when a service's class is made. So no method can be exposed without them, and one
whose types say nothing that can be checked does not import. A value that passes can be recorded, sent to the worker and
told in a message, whatever it is: numbers are finite, texts have an end and can be encoded.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from rpyc_kernel.core.contract import MAX_CODE_CHARS
from rpyc_kernel.core.form import Form
from rpyc_kernel.core.kernel_state import require_code
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import RequestError

_PREFIX: Final = "exposed_"
_MAX_NUMBER: Final = 2**128
_MAX_PLACE: Final = 2**62
_MAX_TEXT_CHARS: Final = MAX_CODE_CHARS
_MAX_TEXTS: Final = 10_000
_MAX_CALL_CHARS: Final = 20 * 1024 * 1024
"""JSON may spell a character with twelve, and the worker takes frames of 256 MB."""

Check = Callable[[Any, str], None]
"""Refuses a value, which is called what the second argument says; raises `RequestError`."""


# ------------------------------------------------------------------ checks


def _check_bool(value: Any, what: str) -> None:
    _require(value, bool, what)


def _check_int(value: Any, what: str) -> None:
    _require(value, int, what)
    if not -_MAX_NUMBER < value < _MAX_NUMBER:
        raise RequestError(f"{what} is out of all bounds")


def _check_place(value: Any, what: str) -> None:
    _require(value, int, what)
    if not -_MAX_PLACE <= value <= _MAX_PLACE:
        raise RequestError(f"{what} is out of all bounds")


def _check_float(value: Any, what: str) -> None:
    if type(value) is int:
        _check_int(value, what)
        return
    _require(value, float, what)
    if not math.isfinite(value):
        raise RequestError(f"{what} must be a finite number, not {value}")


def _check_str(value: Any, what: str, limit: int = _MAX_TEXT_CHARS) -> None:
    _require(value, str, what)
    if len(value) > limit:
        raise RequestError(f"the {what} is {len(value):,} characters long and the limit is {limit:,}")
    require_encodable(value, f"the {what}")


def _check_strs(value: Any, what: str) -> None:
    _require(value, tuple, what)
    if len(value) > _MAX_TEXTS:
        raise RequestError(f"the {what} are {len(value):,} and the limit is {_MAX_TEXTS:,}")
    for item in value:
        _check_str(item, what)
    if sum(map(len, value)) > _MAX_TEXT_CHARS:
        raise RequestError(f"the {what} are too long together; the limit is {_MAX_TEXT_CHARS:,} characters")


def _check_code(value: Any, what: str) -> None:
    _require(value, str, what)
    require_code(value)


def _require(value: Any, kind: type, what: str) -> None:
    if type(value) is not kind:  # and no subclass: True is a truth value, not the number 1
        raise RequestError(f"{what} must be {kind.__name__}, not {type(value).__name__}")


_CHECKS: Final[dict[Any, Check]] = {
    bool: _check_bool,
    int: _check_int,
    float: _check_float,
    str: _check_str,
    tuple[str, ...]: _check_strs,
}

# ------------------------------------------------------------------ types that say more than Python's own

Code = Annotated[str, _check_code]
"""Source code, or what stands for it."""

Call = Annotated[str, lambda value, what: _check_str(value, what, _MAX_CALL_CHARS)]
"""What the worker is to call instead of running code; a message to a widget may be long."""

Place = Annotated[int, _check_place]
"""A place among the items of something that the worker looks at."""

FormPairs = Annotated[Any, lambda value, what: Form.read(value)]
"""A `Form` as pairs of name and value; () for none."""


# ------------------------------------------------------------------ the door


class CheckedService:
    """A service whose exposed methods are called with arguments of the types that they state, or not at all."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if name.startswith(_PREFIX):
                setattr(cls, name, _check_arguments(name.removeprefix(_PREFIX), method))


def _check_arguments(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method behind its checks."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    hints = get_type_hints(method, include_extras=True)
    checks = {
        parameter.name: _find_check(hints.get(parameter.name), f"{name}({parameter})") for parameter in parameters
    }
    names = list(checks)
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]

    @functools.wraps(method)
    def check_and_call(self: Any, /, *values: Any, **named: Any) -> Any:
        told = dict(zip(names, values, strict=False), **named) if values or named else {}
        if len(told) != len(values) + len(named) or not told.keys() <= checks.keys():
            raise RequestError(f"{name} takes {_list(names)}, each once")
        for needed in required:
            if needed not in told:
                raise RequestError(f"{name} needs {needed}")
        for what, value in told.items():
            checks[what](value, what)
        return method(self, **told)

    return check_and_call


def _find_check(kind: Any, where: str) -> Check:
    if get_origin(kind) is Annotated:
        check: Check = kind.__metadata__[0]
        return check
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = [part for part in get_args(kind) if part is not types.NoneType]
        return _or_none(_find_check(inner, where))
    try:
        return _CHECKS[kind]
    except (KeyError, TypeError):
        raise TypeError(f"{where}: a client's argument needs a type that can be checked") from None


def _or_none(check: Check) -> Check:
    def check_unless_none(value: Any, what: str) -> None:
        if value is not None:
            check(value, what)

    return check_unless_none


def _list(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
