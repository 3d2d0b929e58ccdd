"""Functions on their way to kernels: pickled with what they refer to, or as their source."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.wire.bulk.codec import Dump, pack_pickled
from rpyc_kernel.wire.bulk.parts import Parcel
from rpyc_kernel.wire.bulk.sent_calls import write_call

_SHOWN_CHARS = 200


class Shipment(Frozen):
    """A call that can be sent.

    Attributes:
        sent: the whole call as text, where it is small enough to go with its execution; else None.
        parcel: the function, its arguments and its keywords, pickled.
        source: that of the function, which then is only a name in the parcel; None where it is pickled.
        is_map: whether the arguments are sequences, and it is called with each of their items.
        shown: what people see in the queue and in the journal.
    """

    sent: str | None
    parcel: Parcel
    source: str | None
    is_map: bool
    shown: str


def pack_call(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    by_source: bool = False,
    is_map: bool = False,
) -> Shipment:
    """Make a call ready to be sent.

    Args:
        function: what is called.
        arguments: its own; or if it ``is_map`` sequences, with each of whose items it is called.
        keywords: its own.
        by_source: whether its source is sent.
        is_map: see above.

    Raises:
        RequestError: the function, or what it is called with, cannot be pickled; or it has no source.
    """
    if not callable(function):
        raise RequestError(f"the function has to be callable, and not {type(function).__name__}")
    name = getattr(function, "__qualname__", type(function).__name__)
    source = _source_of(function) if by_source else None
    sent: Any = function if source is None else function.__name__
    parcel = pack_pickled((sent, tuple(arguments), dict(keywords)), dump)
    return Shipment(write_call(parcel, source, is_map=is_map), parcel, source, is_map, f"# {name}(…)"[:_SHOWN_CHARS])


def dump(value: Any, **options: Any) -> bytes:
    """Pickle a value: by cloudpickle where it is installed.

    Raises:
        RequestError: it is not, and this function needs it.
    """
    try:
        dumps: Dump = importlib.import_module("cloudpickle").dumps
    except ImportError:
        dumps = pickle.dumps
        functions = [value, *value] if isinstance(value, tuple) else [value]
        for each in functions:
            if isinstance(each, FunctionType) and not _can_be_imported(each):
                raise RequestError(
                    f"{each.__qualname__} cannot be imported by the kernels, and is sent by cloudpickle, which is not "
                    "installed: pip install 'rpyc-kernel[group]'; or send its source: by_source=True"
                ) from None
    return dumps(value, **options)


def _can_be_imported(function: FunctionType) -> bool:
    module = sys.modules.get(function.__module__)
    return function.__module__ != "__main__" and getattr(module, function.__qualname__, None) is function


def _source_of(function: Callable[..., Any]) -> str:
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise RequestError(
            f"only functions that were defined by 'def' can be sent by their source, and not {function!r}"
        )
    if function.__closure__:
        raise RequestError(f"{function.__qualname__} uses variables around it, which its source does not bring along")
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise RequestError(f"the source of {function.__qualname__} is not known here: {error}") from None
