"""Expressions that are looked at after each execution: when to look, what is news, and what is told at the end."""

from __future__ import annotations

import ast
import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rpyc_kernel.client.events import WAIT_S
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import RequestError

if TYPE_CHECKING:  # loaded with the first answer
    from rpyc_kernel.core.introspection import Watched

_CHANGES: Final = frozenset({Kind.FINISHED, Kind.WORKER_STARTED})
_SYNTAX: Final = "SyntaxError: "
_BUSY_S: Final = 1.0
"""When a worker that answers nothing is asked again, if nothing happens."""


class Watching:
    """What was found last, and whether to look again.

    Args:
        expressions: to be evaluated.
        limit_s: how long each may take.
        within_s: how long to go on.

    Attributes:
        is_due: whether to look.
        has_ended: whether the kernel has stopped.
    """

    def __init__(self, expressions: Sequence[str], limit_s: float, within_s: float = math.inf) -> None:
        self.is_due = True
        self.has_ended = False
        self._expressions = expressions
        self._asking_s = 4.0 + 4.0 * limit_s
        self._within_s = within_s
        self._deadline = time.monotonic() + within_s
        self._last: list[Watched] | None = None

    def asking_s(self) -> float:
        """How long to wait for what they are."""
        return min(self._left_s(), self._asking_s)

    def waiting_s(self) -> float:
        """How long to wait for events."""
        return min(self._left_s(), _BUSY_S if self.is_due else WAIT_S)

    def is_news(self, found: list[Watched]) -> bool:
        """Take what they are; whether anything is other than before."""
        self.is_due = False
        before, self._last = self._last, found
        return found != before

    def take(self, events: Iterable[Event]) -> None:
        """Take what has happened."""
        for event in events:
            self.is_due |= event.kind in _CHANGES
            self.has_ended |= event.kind == Kind.HUB_STOPPED

    def _left_s(self) -> float:
        """How much time is left.

        Raises:
            TimeoutError: none is.
        """
        left_s = self._deadline - time.monotonic()
        if left_s > 0:
            return left_s
        seen = "; the worker has not answered" if self._last is None else "".join(map(tell_value, self._last))
        raise TimeoutError(f"{self._expressions[0]!r} is not true after {show_seconds(self._within_s)} s{seen}")


def tell_value(watched: Watched) -> str:
    """What an expression is, for the end of a sentence."""
    return f"; it raises {watched.error}" if watched.error else f"; it is {watched.preview}"


def refuse_malformed(watched: Watched) -> None:
    """See that something can become true: what raises a SyntaxError here, too, is never read any further.

    Raises:
        RequestError: it is no expression.
    """
    if watched.error.startswith(_SYNTAX):  # which what is evaluated may raise as well
        try:
            ast.parse(watched.expression.strip(), mode="eval")
        except SyntaxError:
            reason = watched.error.removeprefix(_SYNTAX)
            raise RequestError(f"{watched.expression!r} is no expression: {reason}") from None
