"""Times as users write them, and read them: limits, terms, moments."""

from __future__ import annotations

import calendar
import contextlib
import re
import time

from rpyc_kernel.cli.application import UsageError

_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])")
_SPAN = re.compile(f"(?:{_PART.pattern})+")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY_S = 86_400
_LONGEST_TERM_S = 10 * 365 * _DAY_S
_NEVER = "never"
_CLOCKS = ("%H:%M", "%H:%M:%S")
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


def check_limit(limit_s: float | None, switch: str = "--timeout") -> float | None:
    """Return the limit of time that a switch says; raises `UsageError` where it is none."""
    if limit_s is not None and not limit_s >= 0:  # also NaN
        raise UsageError(f"{switch} {limit_s:g}: use a number of seconds, 0 or more")
    return limit_s


def read_term(text: str) -> float | None:
    """Read for how long something is to hold, in seconds; None is for ever. `UsageError` where it is neither."""
    if text == _NEVER:
        return None
    seconds = _read_span(text)
    if seconds is None or not 1 <= seconds <= _LONGEST_TERM_S:
        raise UsageError(f"--expires {text[:50]}: use a time such as 90s, 1h30m, 7d or 2w, up to ten years, or never")
    return seconds


def read_when(text: str, now: float) -> int | float:
    """Read the number of an event, an int, or a time, in seconds since the epoch as a float.

    Raises:
        UsageError: it is neither.
    """
    if text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    if (ago_s := _read_span(text)) is not None:
        return now - ago_s
    in_utc, plain = text.endswith("Z"), text.removesuffix("Z").replace("T", " ")
    seconds_of = calendar.timegm if in_utc else time.mktime
    for form in (*_DATES, *_CLOCKS):
        with contextlib.suppress(ValueError, OverflowError):
            if form in _DATES:
                return float(seconds_of(time.strptime(plain, form)))
            today = time.strftime("%Y-%m-%d ", time.gmtime(now) if in_utc else time.localtime(now))
            moment = float(seconds_of(time.strptime(today + plain, f"%Y-%m-%d {form}")))
            return moment if moment <= now else moment - _DAY_S
    raise UsageError(
        f"--since {text}: use the number of an event, or a time such as 10m (ago), 13:45 or '2026-11-27 13:45'"
    )


def format_in_utc(moment: float) -> str:
    """A moment, for people whose clocks are set otherwise."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):  # no moment of this calendar: the record was damaged
        return "?"


def _read_span(text: str) -> float | None:
    """How many seconds a text such as ``2h`` or ``1h30m`` says, None where it says something else."""
    if not _SPAN.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
