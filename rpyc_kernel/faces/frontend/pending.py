"""What a window has still to draw: changes that have come faster than it draws are joined to few.

Items change in the loop of the conversation, so that the thread that draws them gets copies.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from rpyc_kernel.faces.frontend.transcript import Added, Change, Cleared, Extended, Forgotten, Item, Updated


@dataclass(eq=False)
class Step:
    """Something to draw.

    Attributes:
        item: which one, by identity.
        look: how it is now; None if it is gone.
        kept: how many characters of what was drawn still hold; 0 for none.
        is_new: it was not drawn before.
    """

    item: Item
    look: Item | None
    kept: int = 0
    is_new: bool = False


class Pending:
    """Steps that wait to be drawn, one for each item at most."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._steps: dict[Item, Step] = {}

    def add(self, changes: Sequence[Change]) -> bool:
        """Add changes; whether there was nothing to draw before, and is now."""
        with self._lock:
            was_empty = not self._steps
            for change in changes:
                self._add(change)
            return was_empty and bool(self._steps)

    def take(self) -> list[Step]:
        """What is to be drawn, in this order."""
        with self._lock:
            steps, self._steps = list(self._steps.values()), {}
            return steps

    def _add(self, change: Change) -> None:
        match change:
            case Added(item):
                self._steps[item] = Step(item, copy.copy(item), is_new=True)
            case Extended(item, _, kept):
                step = self._steps.setdefault(item, Step(item, item, kept))
                step.look, step.kept = copy.copy(item), min(step.kept, kept)
            case Updated(items):
                for item in items:
                    step = self._steps.setdefault(item, Step(item, item))
                    step.look, step.kept = copy.copy(item), 0
            case Cleared(items=items) | Forgotten(items):
                for item in items:
                    gone = self._steps.pop(item, None)
                    if gone is None or not gone.is_new:
                        self._steps[item] = Step(item, None)
