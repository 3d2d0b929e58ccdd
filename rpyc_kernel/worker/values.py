"""The last values of executions: for `run.value`, and those of inputs as `Out`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any

from rpyc_kernel.errors import NotAvailable

_KEPT_COUNTS = 1000
_MISSING = object()
_UNREAD_CALLS = 1000
_UNREAD_BYTES = 256 * 1024 * 1024
_SIZES = ("nbytes", "memory_usage", "estimated_size")
"""What arrays, tensors and Arrow's tables, tables of pandas, and tables of Polars call it."""


class Values(dict[int, Any]):
    """The values of inputs by their count, of which only the last ones are kept; beside them as many of calls.

    Who calls a function hands in many before the first result is read: so results that nobody has read are kept longer,
    as long as there are not too many of them, nor too many bytes in arrays, tables and texts.

    Attributes:
        forgotten: called with each input whose value is let go.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.forgotten: Callable[[int], None] = lambda _: None
        self._counts: dict[int, int] = {}
        self._unread: dict[int, Any] = {}  # results of calls
        self._unread_bytes: dict[int, int] = {}
        self._read: dict[int, Any] = {}

    def __setitem__(self, count: int, value: Any) -> None:
        super().__setitem__(count, value)
        for forgotten in _trim(self, self.limit):
            self.forgotten(forgotten)

    def clear(self) -> None:
        """Let all of them go, also those of calls, which nobody can name."""
        super().clear()
        self._unread.clear()
        self._unread_bytes.clear()
        self._read.clear()

    def expect(self, execution: int, count: int) -> None:
        """This execution is the input of this count."""
        self._counts[execution] = count
        _trim(self._counts, max(_KEPT_COUNTS, self.limit))

    def count_of(self, execution: int) -> int | None:
        """Which input an execution is, None if it is none."""
        return self._counts.get(execution)

    def keep(self, execution: int, value: Any) -> None:
        """Keep the value of an execution."""
        count = self._counts.get(execution)
        if count is not None:
            self[count] = value
            return
        self._unread[execution], self._unread_bytes[execution] = value, _count_bytes(value)
        for oldest in _trim(self._unread, max(self.limit, self._count_unread_that_fit())):
            self._unread_bytes.pop(oldest, None)

    def _count_unread_that_fit(self) -> int:
        if sum(self._unread_bytes.values()) <= _UNREAD_BYTES:
            return _UNREAD_CALLS
        sizes = itertools.accumulate(reversed(list(self._unread_bytes.values())))
        return min(_UNREAD_CALLS, sum(size <= _UNREAD_BYTES for size in sizes))

    def of(self, execution: int) -> Any:
        """Return the value of an execution; raises `NotAvailable` where it had none, or it is not kept any more."""
        count = self._counts.get(execution)
        try:
            return self._read_call(execution) if count is None else self[count]
        except KeyError:
            raise NotAvailable(
                f"the worker does not hold a value of execution {execution} (any more); of live objects it keeps "
                f"the last {self.limit}, and of results of calls that nobody has read {_UNREAD_CALLS:,}, up to "
                f"{_UNREAD_BYTES >> 20} MB: take them as executions end, or give them names"
            ) from None

    def _read_call(self, execution: int) -> Any:
        """On any thread: at each moment it is in one of the two."""
        value = self._unread.get(execution, _MISSING)
        if value is _MISSING:
            value = self._read[execution]
        self._read[execution] = value
        self._unread.pop(execution, None)
        self._unread_bytes.pop(execution, None)
        _trim(self._read, self.limit)
        return value


def _count_bytes(value: Any) -> int:
    """What a value takes, or what is in a list, a tuple or a dict; about, and not what lies deeper."""
    kind = type(value)
    if kind in (list, tuple):
        return sum(map(_count_own_bytes, value))
    return sum(map(_count_own_bytes, list(value.values()))) if kind is dict else _count_own_bytes(value)


def _count_own_bytes(value: Any) -> int:
    """What arrays and tables say of themselves, or else what Python does; 0 where that fails."""
    kind = type(value)
    try:
        for name in _SIZES:
            if hasattr(kind, name):
                size = getattr(value, name)
                size = size() if callable(size) else size
                return int(size.sum() if hasattr(size, "sum") else size)  # of columns
        return sys.getsizeof(value)
    except Exception:  # noqa: BLE001 - it is the user's
        return 0


def _trim(kept: dict[int, Any], limit: int) -> list[int]:
    """Let the oldest go; returns which."""
    oldest = list(itertools.islice(kept, max(0, len(kept) - limit)))
    for key in oldest:
        kept.pop(key, None)
    return oldest
