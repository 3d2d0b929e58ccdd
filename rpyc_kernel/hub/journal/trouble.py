"""What the disk refuses: held in memory until it can be written, and told once, as is that it is written again."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub.journal.store import Row
from rpyc_kernel.hub.journal.tail import cost_of

_log = logging.getLogger(__name__)
_RETRY_S = 0.5


class Trouble:
    """Whether a journal can be written, and what it owes its file; of too much, the oldest is given up for the newest.

    Attributes:
        message: what everybody was told; None while all is well.
        held: what is to be written, in order.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self.message: str | None = None
        self.held: list[Row] = []
        self._bytes = 0
        self._dropped = 0
        self._next_try = 0.0

    @property
    def first_held(self) -> int | None:
        """The number of the oldest event that stands nowhere else."""
        return self.held[0][0] if self.held else None

    @property
    def may_try(self) -> bool:
        """Whether it is time to try the file again."""
        return not self.held or time.monotonic() >= self._next_try

    def hold(self, rows: list[Row]) -> None:
        """Keep what could not be written."""
        self.held += rows
        self._bytes += sum(cost_of(row[5]) for row in rows)
        drop = 0
        while self._bytes > self._max_bytes and drop < len(self.held) - 1:
            self._bytes -= cost_of(self.held[drop][5])
            drop += 1
        del self.held[:drop]
        self._dropped += drop

    def begin(self, what: str) -> list[Record]:
        """It cannot be written; returns what everybody is to be told."""
        self._next_try = time.monotonic() + _RETRY_S
        if self.message is not None:
            return []
        self.message = (
            f"the journal {self._path} {what}; code goes on, "
            "and what it prints is held in memory until it can be written"
        )
        _log.error("%s", self.message)
        return [Record(Kind.JOURNAL_TROUBLE, None, None, {"message": self.message})]

    def end(self, message: str = "the journal is written again") -> list[Record]:
        """All is written; returns what everybody is to be told."""
        if self.message is None:
            return []
        dropped, self._dropped = self._dropped, 0
        self.message, self.held, self._bytes = None, [], 0
        message += f"; {dropped} events were too many to hold" if dropped else ""
        return [Record(Kind.JOURNAL_RECOVERED, None, None, {"message": message, "dropped": dropped})]
