"""What clients pass to the hub is checked before anything is done with it."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.errors import RequestError


def require(value: Any, kind: type, what: str, *, or_none: bool = False) -> None:
    """Refuse a value of another type.

    Raises:
        RequestError: it is of another type.
    """
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) and not (or_none and value is None):
        raise RequestError(f"{what} must be {kind.__name__}, not {type(value).__name__}")
