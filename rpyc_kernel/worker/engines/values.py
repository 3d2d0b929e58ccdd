"""The last values of executions: for `run.value`, and as `Out`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class Values(OrderedDict[int, Any]):
    """Values by execution, of which only the last ones are kept.

    Args:
        limit: how many.

    Attributes:
        forgotten: told of each execution whose value is let go.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.forgotten: Callable[[int], None] = _do_nothing

    def __setitem__(self, execution: int, value: Any) -> None:
        super().__setitem__(execution, value)
        while len(self) > self.limit:
            self.forgotten(self.popitem(last=False)[0])


def _do_nothing(execution: int) -> None:
    pass
