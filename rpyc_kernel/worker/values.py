"""The last values of executions: for `run.value`, and those of inputs as `Out`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from rpyc_kernel.errors import NotAvailable

_KEPT_COUNTS = 1000


class Values(dict[int, Any]):
    """The values of inputs by their count, of which only the last ones are kept; beside them as many of calls.

    Attributes:
        forgotten: called with each input whose value is let go.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.forgotten: Callable[[int], None] = lambda _: None
        self._counts: dict[int, int] = {}
        self._of_calls: dict[int, Any] = {}

    def __setitem__(self, count: int, value: Any) -> None:
        super().__setitem__(count, value)
        for forgotten in _trim(self, self.limit):
            self.forgotten(forgotten)

    def clear(self) -> None:
        """Let all of them go, also those of calls, which nobody can name."""
        super().clear()
        self._of_calls.clear()

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
        self._of_calls[execution] = value
        _trim(self._of_calls, self.limit)

    def of(self, execution: int) -> Any:
        """Return the value of an execution; raises `NotAvailable` where it had none, or it is not kept any more."""
        count = self._counts.get(execution)
        try:
            return self._of_calls[execution] if count is None else self[count]
        except KeyError:
            raise NotAvailable(
                f"the worker does not hold a value of execution {execution} (any more); of live objects it keeps "
                f"the last {self.limit}: take them as executions end, or give them names"
            ) from None


def _trim(kept: dict[int, Any], limit: int) -> list[int]:
    """Let the oldest go; returns which."""
    oldest = list(itertools.islice(kept, max(0, len(kept) - limit)))
    for key in oldest:
        del kept[key]
    return oldest
