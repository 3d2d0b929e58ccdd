"""Answers leave in the order in which they were asked for, on each channel, however long each takes to find."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rpyc_kernel.faces.jupyter.messages import Request

Say = Callable[[], None]


@dataclass
class _Turn:
    request: Request
    say: Say | None = None


class Turns:
    """Who waits for an answer on each channel. Questions are dealt with side by side; only their answers wait.

    Some clients take the next answer for that to their last question. Code is not among these questions: its reply
    comes when it ends.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[_Turn]] = {}

    def enter(self, request: Request) -> None:
        """A question has come."""
        self._lines.setdefault(request.channel, deque()).append(_Turn(request))

    def answer(self, request: Request, say: Say) -> None:
        """Say this when all are answered that have entered before; nothing if the question has an answer already."""
        line = self._lines.get(request.channel, deque())
        turn = next((turn for turn in line if turn.request is request), None)
        if turn is None or turn.say is not None:
            return
        turn.say = say
        while line and (next_say := line[0].say) is not None:
            line.popleft()
            next_say()
