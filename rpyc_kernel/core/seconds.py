"""Limits of time that callers give."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.errors import RequestError

LONGEST_S = 2_000_000.0
"""The longest that the system can wait for a socket is 2**31 milliseconds. Nobody sees the end of this, either."""


def read_seconds(value: Any, what: str, *, may_be_past: bool = False) -> float:
    """Return a limit of time, which the caller calls ``what``, as a number.

    Where it ``may_be_past``, less than nothing is as good as nothing.

    Raises:
        RequestError: it is no number, or none that can be waited for.
    """
    try:
        seconds = value if type(value) is float else float(value) if hasattr(value, "__float__") else float("nan")
    except (TypeError, ValueError, OverflowError):  # such as an array of several, or an int of 400 digits
        seconds = float("nan")
    if seconds >= 0:
        return seconds
    if may_be_past and seconds < 0:
        return 0.0
    raise RequestError(f"{what} must be a number of seconds, 0 or more, not {_show(value)}")


def show_seconds(seconds: float) -> str:
    """A limit as people are told it, which may be what was left of one: no digits that mean nothing."""
    return f"{round(seconds, 2 if seconds < 1 else 1):g}"


def _show(value: Any) -> str:
    """A short and harmless value itself, else its type."""
    is_short = (
        type(value) is float
        or (type(value) is int and value.bit_length() <= 64)  # Python refuses to write out very long ones
        or (type(value) is str and len(value) <= 40)
    )
    return repr(value) if is_short else type(value).__name__
