"""The `View` of a conversation that widgets show: it lives in the conversation's loop, and never waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.faces.frontend.pending import Pending
from rpyc_kernel.faces.frontend.plots import Picture, Plots
from rpyc_kernel.faces.frontend.transcript import Change, Ended, Item
from rpyc_kernel.faces.frontend.view import Interrupted, Withdrawn


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is being read.

    Attributes:
        question: stands before it; None where code is typed.
        is_password: hide what is typed.
        execution: asks.
        proposed: what code begins as.
    """

    question: str | None = None
    is_password: bool = False
    execution: int | None = None
    proposed: str = ""


class WidgetView:
    """A `View`; see there. All of it is called in the loop.

    Args:
        conversation: whose.
        post: has a call made in the thread of the widgets.
        widget: what shows it, called only there: ``draw(steps)``, ``show_plots(pictures)``, ``note_end()``,
            ``show_prompt(prompt)`` and ``show_status()``.
        keys: what the keys of the widget do, in lines, for the help.

    Attributes:
        pictures: at least those of all items that the widget is to draw; replaced, not changed, so for any thread.
    """

    is_interactive = True

    def __init__(
        self, conversation: Conversation, post: Callable[[Callable[[], object]], None], widget: Any, keys: str
    ) -> None:
        self.keys = keys
        self._conversation = conversation
        self._post = post
        self._widget = widget
        self._pending = Pending()
        self._plots = Plots()
        self.pictures: Mapping[Item, Picture] = {}
        self._proposed = ""
        self._is_seen = False
        self._prompt: Prompt | None = None
        self._reading: asyncio.Future[str] | None = None

    @property
    def is_reading(self) -> bool:
        """See `View`."""
        return self._reading is not None

    def is_too_long(self, text: str) -> bool:
        """See `View`: what there is to read stands in the transcript, which can be scrolled."""
        return False

    async def page(self, text: str) -> bool:
        """See `View`."""
        return False

    def show(self, changes: Sequence[Change]) -> None:
        """See `View`."""
        is_other = sum(self._plots.take(change) for change in changes) > 0
        if is_other:
            self.pictures = dict(self._plots.pictures)
        if self._pending.add(changes):
            self._post(lambda: self._widget.draw(self._pending.take()))
        if is_other:
            pictures = self.pictures
            self._post(lambda: self._widget.show_plots(pictures))
        if any(isinstance(change, Ended) for change in changes):
            self._post(self._widget.note_end)

    def refresh(self) -> None:
        """See `View`."""
        self._is_seen = True
        self._post(self._widget.show_status)

    def propose(self, text: str) -> None:
        """See `View`."""
        self._proposed = text

    async def read_code(self) -> str:
        """See `View`."""
        proposed, self._proposed = self._proposed, ""
        code = await self._read(Prompt(proposed=proposed))
        if code.strip():
            self.show(self._conversation.transcript.echo(code.rstrip()))
        return code

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """See `View`."""
        answer = ""
        try:
            answer = await self._read(Prompt(question, is_password, execution))
            return answer
        finally:
            self.show(self._conversation.transcript.say(question + ("•••" if is_password and answer else answer)))

    async def _read(self, prompt: Prompt) -> str:
        self._prompt, self._reading = prompt, asyncio.get_running_loop().create_future()
        self._post(lambda: self._widget.show_prompt(prompt))
        try:
            return await self._reading
        finally:
            self._prompt = self._reading = None
            self._post(lambda: self._widget.show_prompt(None))

    def answer(self, prompt: Prompt, text: str | None) -> None:
        """What was typed at a prompt; None: the user leaves, or has no answer."""
        if self._reading is None or self._prompt is not prompt or self._reading.done():
            return  # it is not wanted any more
        if text is None:
            self._reading.set_exception(EOFError())
        else:
            self._reading.set_result(text)

    def ctrl_c(self) -> None:
        """There was a Ctrl-C; it is nothing before there is anything to see."""
        if self._is_seen:
            self._conversation.interrupt()

    def explain(self) -> None:
        """Help is wanted, whatever goes on."""
        if self._is_seen:
            self._conversation.explain()

    def interrupt(self) -> None:
        """See `View`."""
        self._stop(Interrupted())

    def withdraw(self) -> None:
        """See `View`."""
        self._stop(Withdrawn())

    def _stop(self, reason: Exception) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_exception(reason)
