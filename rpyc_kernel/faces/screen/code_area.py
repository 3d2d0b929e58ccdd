"""Where code is typed on a full screen: lines that grow until they are complete, history, completion."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence

from textual import events
from textual.document._document import Document
from textual.message import Message
from textual.widgets import TextArea

from rpyc_kernel.core.introspection import Completions
from rpyc_kernel.faces.frontend.completing import complete
from rpyc_kernel.faces.frontend.conversation import Conversation

_INDENT = "    "


class CodeArea(TextArea):
    """Types code.

    Args:
        conversation: knows whether code is complete, and what could stand at the cursor.
    """

    class Entered(Message):
        """Complete code was entered."""

        def __init__(self, code: str) -> None:
            super().__init__()
            self.code = code

    class Left(Message):
        """Ctrl-D on an empty line."""

    class Offered(Message):
        """This could stand at the cursor; nothing, where there is nothing to choose from."""

        def __init__(self, texts: Sequence[str]) -> None:
            super().__init__()
            self.texts = texts

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(id="code", soft_wrap=True, show_line_numbers=False, tab_behavior="indent", compact=True)
        self._conversation = conversation
        self._past: list[str] = []
        self._place: int | None = None
        self._draft = ""
        self._choices: list[str] = []
        self._start = 0
        self._is_entering = False
        self._ahead: deque[events.Key] = deque()  # typed since

    def remember(self, codes: Sequence[str]) -> None:
        """Know earlier code, oldest first."""
        self._past += codes

    def propose(self, code: str) -> None:
        """Begin as this."""
        if code and not self.text:
            self.load_text(code)
            self.move_cursor(self.document.end)

    def take_back(self, code: str) -> None:
        """Go on with this in place of what is typed."""
        self.load_text(code)
        self.move_cursor(self.document.end)

    def clear_line(self) -> bool:
        """Give up what is typed; whether there was anything."""
        had_text = bool(self.text)
        self.load_text("")
        self._offer([])
        return had_text

    async def _on_key(self, event: events.Key) -> None:
        taken = True
        match event.key:
            case _ if self._is_entering:
                self._ahead.append(event)
            case "enter":
                self._is_entering = True
                self.run_worker(self._enter(self.text), group="enter")
            case "shift+enter" | "alt+enter" | "ctrl+j":
                self.insert("\n")
            case "tab":
                self._complete()
            case "up" if self.cursor_location[0] == 0:
                self._recall(-1)
            case "down" if self.cursor_location[0] == self.document.line_count - 1 and self._place is not None:
                self._recall(1)
            case "ctrl+d" if not self.text:
                self.post_message(self.Left())
            case _:
                taken = False
                if event.key != "tab":
                    self._offer([])
        if taken:
            event.stop()
            event.prevent_default()
        else:
            await super()._on_key(event)

    # ------------------------------------------------------------------ entering

    async def _enter(self, code: str) -> None:
        """Find out whether the code is complete; what is typed meanwhile comes after that."""
        try:
            indent = await asyncio.to_thread(self._conversation.find_indent, code) if code.strip() else None
        finally:
            self._is_entering = False
        if indent is None:
            self._hand_over(code)
        else:
            self.insert("\n" + indent)
        while self._ahead and not self._is_entering:
            await self._on_key(self._ahead.popleft())

    def _hand_over(self, code: str) -> None:
        self.load_text("")
        self._place = None
        self._offer([])
        if code.strip():
            self._past.append(code.rstrip())
        self.post_message(self.Entered(code))

    def _recall(self, step: int) -> None:
        if self._place is None:
            self._place, self._draft = len(self._past), self.text
        place = self._place + step
        if place < 0:
            return
        if place >= len(self._past):
            self._place = None
            self.load_text(self._draft)
        else:
            self._place = place
            self.load_text(self._past[place])
        self.move_cursor(self.document.end)

    # ------------------------------------------------------------------ completing

    @property
    def _lines(self) -> Document:
        assert isinstance(self.document, Document)
        return self.document

    @property
    def _cursor(self) -> int:
        return int(self._lines.get_index_from_location(self.cursor_location))

    def _complete(self) -> None:
        row, column = self.cursor_location
        if not self.document.get_line(row)[:column].strip():
            self.insert(_INDENT)
        else:
            self.run_worker(self._ask(self.text, self._cursor), exclusive=True, group="complete")

    async def _ask(self, code: str, cursor: int) -> None:
        self._choices = []
        async for found in complete(
            lambda: self._conversation.kernel,
            code,
            cursor,
            commands=self._conversation.commands,
            is_wanted=lambda: self.text == code and self._cursor == cursor,
        ):
            if self.text != code or self._cursor != cursor:
                return
            self._take(found, cursor)
            if self.text != code:
                return

    def _take(self, found: Completions, cursor: int) -> None:
        self._start = found.start
        self._choices += [item.text for item in found.items]
        common = os.path.commonprefix(self._choices)  # noqa: RUF071 - of any texts
        if not self._choices:
            return
        if len(self._choices) == 1 or len(common) > cursor - found.start:
            self._put(common)
        self._offer(self._choices if len(self._choices) > 1 else [])

    def choose(self, text: str) -> None:
        """Put this at the cursor, instead of what is there of it."""
        self._put(text)
        self._offer([])

    def _put(self, text: str) -> None:
        start = self._lines.get_location_from_index(self._start)
        self.replace(text, start, self.cursor_location)

    def _offer(self, texts: Sequence[str]) -> None:
        if texts or self._choices:
            self.post_message(self.Offered(texts))
        if not texts:
            self._choices = []
