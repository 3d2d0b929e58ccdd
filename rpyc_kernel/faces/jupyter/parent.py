"""Whether the process that started this one is still there."""

from __future__ import annotations

import os


class Parent:
    """The notebook server or console that started the bridge, if it said so.

    Attributes:
        is_known: whether it did. It also starts the bridge again when that ends for a restart.
    """

    def __init__(self) -> None:
        told = os.environ.get("JPY_PARENT_PID", "")
        self.is_known = told.isdigit() and int(told) > 0
        self._first = os.getppid()
        # It may be gone before it could be seen: then this process is left to the first one already.
        self._was_gone = self._first == 1 and told != "1"

    @property
    def is_gone(self) -> bool:
        """Whether this process has been left to another parent."""
        return self.is_known and (self._was_gone or os.getppid() != self._first)
