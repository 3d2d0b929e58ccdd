"""Text that waits a moment for the end of its line, so that a line written in pieces is shown as one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_PATIENCE_S = 0.1

Show = Callable[[int | None, str, str], None]
"""Shows text: execution, stream, text."""


@dataclass(frozen=True)
class _Begun:
    name: str
    text: str
    until: float


class Lines:
    """The line that each execution has begun. Whole lines are shown at once.

    Notebooks keep each message as an output of its own, so that a line in two messages is two outputs.

    Args:
        show: shows text.
        clock: tells the time in seconds.
    """

    def __init__(self, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._begun: dict[int | None, _Begun] = {}

    def take(self, execution: int | None, name: str, text: str) -> None:
        """An execution has written something."""
        now = self._clock()
        begun = self._begun.get(execution)
        if begun is not None and begun.name != name:
            self.end(execution)
            begun = None
        if begun is not None:
            text = begun.text + text
        whole, end, rest = text.rpartition("\n")
        if end:
            self._begun.pop(execution, None)
            self._show(execution, name, whole + end)
        if rest:
            self._begun[execution] = _Begun(name, rest, begun.until if begun and not end else now + _PATIENCE_S)

    def end(self, execution: int | None) -> None:
        """Show what an execution has begun: something else follows."""
        begun = self._begun.pop(execution, None)
        if begun is not None:
            self._show(execution, begun.name, begun.text)

    def end_all(self) -> None:
        """The same for all."""
        for execution in [*self._begun]:
            self.end(execution)

    def end_due(self) -> None:
        """Show what has waited long enough."""
        now = self._clock()
        for execution, begun in [*self._begun.items()]:
            if begun.until <= now:
                self.end(execution)

    @property
    def patience_s(self) -> float | None:
        """In how many seconds something will have waited long enough; None where nothing waits."""
        if not self._begun:
            return None
        return max(0.0, min(begun.until for begun in self._begun.values()) - self._clock())
