"""What runs and what waits, each of which a key can stop, or let go if it is held."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.words import first_line


class QueuePane(OptionList):
    """Lists executions, the running ones first."""

    BINDINGS: ClassVar = [Binding("x,delete", "stop", "Stop it"), Binding("a", "approve", "Let it go")]

    class Stop(Message):
        """This one is to be cancelled, or interrupted.

        Args:
            number: of the execution.
            whose: the name of its session, "" where it is the user's own.
        """

        def __init__(self, number: int, whose: str) -> None:
            self.number = number
            self.whose = whose
            super().__init__()

    class Approve(Message):
        """This one is to be let go.

        Args:
            number: of the execution.
        """

        def __init__(self, number: int) -> None:
            self.number = number
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id="queue", markup=False)
        self._items: list[dict[str, Any]] = []
        self._session = ""

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(str(option.prompt) for option in self.options)

    def show(self, status: dict[str, Any], session: str) -> None:
        """Show what a status says of it; the mark stays at its execution as long as that is there."""
        marked = self._marked
        running = [item for item in (status["running"], *status["side"]) if item]
        self._items, self._session = [*running, *status["queue"]], session
        lines = _describe_queue(status, running)
        if lines != [str(option.prompt) for option in self.options]:
            self.set_options(Option(line) for line in lines)
        numbers = [item["execution"] for item in self._items]
        if marked in numbers:
            self.highlighted = numbers.index(marked)
        elif self._items and self.highlighted is None:
            self.highlighted = 0

    @property
    def _marked(self) -> int | None:
        place = self.highlighted
        return None if place is None or place >= len(self._items) else self._items[place]["execution"]

    def action_stop(self) -> None:
        """Have the marked one stopped."""
        marked = self._marked
        for item in self._items:
            if item["execution"] == marked:
                is_own = item["session"] == self._session
                self.post_message(self.Stop(item["execution"], "" if is_own else sanitize_line(item["name"])))

    def action_approve(self) -> None:
        """Have the marked one let go, if it is held."""
        marked = self._marked
        if any(item["execution"] == marked and item.get("is_held") for item in self._items):
            self.post_message(self.Approve(marked or 0))


def _describe_queue(status: dict[str, Any], running: list[dict[str, Any]]) -> list[str]:
    asking = {prompt["execution"] for prompt in status["prompts"]}
    lines = [f"▶ {_describe(item)}{', asks' if item['execution'] in asking else ''}" for item in running]
    lines += [f"{'?' if item.get('is_held') else ' '} {_describe(item)}" for item in status["queue"]]
    more = status["queue_length"] - len(status["queue"])
    lines += [f"  {more:,} more"] if more > 0 else []
    return lines or ["nothing runs"]


def _describe(item: dict[str, Any]) -> str:
    return f"[{item['execution']}] {sanitize_line(item['name'])}: {first_line(item['code'])}"
