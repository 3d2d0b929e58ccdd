"""One line below the prompt about what is being typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.faces.frontend.hints import NO_HINT, find_hint


class Hints:
    """One line about the place of the cursor. There is one question at a time, and of those that wait only the last.

    Args:
        get_kernel: whom to ask.
    """

    def __init__(self, get_kernel: Callable[[], KernelClient]) -> None:
        self.line: StyleAndTextTuples = []
        self._hint = NO_HINT
        self._get_kernel = get_kernel
        self._wanted: Buffer | None = None
        self._asking: asyncio.Task[None] | None = None
        self._redraw: Callable[[], object] = lambda: None

    def watch(self, buffer: Buffer, redraw: Callable[[], object]) -> None:
        """Begin to give hints about what is typed here."""
        self._redraw = redraw
        buffer.on_text_changed += self._notice
        buffer.on_cursor_position_changed += self._notice

    def _notice(self, buffer: Buffer) -> None:
        self._wanted = buffer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        while (buffer := self._wanted) is not None:
            self._wanted = None
            state = buffer.complete_state
            is_choosing = state is not None and state.current_completion is not None
            code, cursor = buffer.text, buffer.cursor_position
            hint = NO_HINT
            if is_choosing or "(" in code[:cursor]:
                look = partial(find_hint, self._get_kernel(), code, cursor, is_choosing=is_choosing)
                hint = await asyncio.to_thread(look)
            if hint != self._hint:
                self._hint, (before, active, after) = hint, hint
                self.line = [("", before), ("bold underline", active), ("", after)] if any(hint) else []
                self._redraw()
