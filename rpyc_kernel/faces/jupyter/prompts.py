"""InputRequests of user code: asked of the client whose code it is, and of another when that one is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.sockets import Sockets

_END_OF_FILE = "\x04"
"""What clients send for it, as a terminal does."""

_log = logging.getLogger(__name__)


@dataclass
class Prompt:
    """A line of text that user code waits for.

    Attributes:
        execution: whose code waits.
        text: what to show.
        password: whether the answer is to be hidden.
        asked: the cell whose client was asked, None while there is nobody to ask.
        msg_id: of the message that asked.
    """

    execution: int
    text: str
    password: bool
    asked: BridgedExecution | None = None
    msg_id: str | None = None


class InputRequests:
    """The prompts of this bridge's clients. All others are of no concern here: their faces see to them.

    Args:
        channels: where to ask.
        cells: whom.
        answer: passes an answer on, and whether it is that nobody can be asked; None is end-of-file.
    """

    def __init__(
        self, channels: Sockets, cells: BridgedExecutions, answer: Callable[[int, str | None, bool], None]
    ) -> None:
        self._channels = channels
        self._cells = cells
        self._answer = answer
        self._waiting: dict[int, Prompt] = {}

    def add(self, event: Event) -> None:
        """User code asks."""
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is None or cell.request is None:
            return
        if not cell.may_ask:
            self._answer(cell.number, None, True)
            return
        self._waiting[event.token] = Prompt(cell.number, event.prompt, event.password)
        self.look_after()

    def remove(self, event: Event) -> None:
        """Somebody has answered, or the code waits no longer."""
        self._waiting.pop(event.token, None)

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self._waiting.clear()

    def take_reply(self, reply: Request) -> None:
        """A client answers; one that was not asked is not heard. Some do not say to which of its prompts."""
        asked = [
            prompt
            for prompt in self._waiting.values()
            if prompt.asked is not None and prompt.asked.request and prompt.asked.request.identity == reply.identity
        ]
        answered = [prompt for prompt in asked if prompt.msg_id == reply.parent.get("msg_id")] or asked
        if not answered:
            _log.info("an answer came that nothing waits for")
            return
        text = str(reply.content.get("value", ""))
        self._answer(answered[0].execution, None if text == _END_OF_FILE else text, False)

    def look_after(self) -> None:
        """Ask whoever is there, where nobody was asked or who was is gone."""
        for prompt in self._waiting.values():
            if prompt.asked is None or not self._is_there(prompt.asked):
                prompt.asked = next((cell for cell in self._candidates(prompt) if self._ask(prompt, cell)), None)

    def _candidates(self, prompt: Prompt) -> list[BridgedExecution]:
        """Whose code waits, then those who wait behind it: their cells are where they can be asked."""
        cells = [cell for cell in self._cells.unfinished.values() if cell.request is not None and cell.may_ask]
        return sorted(cells, key=lambda cell: cell.number != prompt.execution)

    def _ask(self, prompt: Prompt, cell: BridgedExecution) -> bool:
        if not self._is_there(cell):
            return False
        assert cell.request is not None
        content = {"prompt": prompt.text, "password": prompt.password}
        prompt.msg_id = self._channels.send("stdin", "input_request", content, cell.header, cell.request.identity)
        return prompt.msg_id is not None

    def _is_there(self, cell: BridgedExecution) -> bool:
        return cell.request is not None and self._channels.is_there(cell.request.identity)
