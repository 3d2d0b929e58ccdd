"""What the kernel knows of what is being typed: the signature of what is called, and what a chosen completion is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Inspection, Signature
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_TIMEOUT_S = 1.0
_MAX_ASKED_CHARS = 100_000


class Hints:
    """One line about the place of the cursor. There is one question at a time, and of those that wait only the last.

    Args:
        get_kernel: whom to ask.
    """

    def __init__(self, get_kernel: Callable[[], KernelClient]) -> None:
        self.line: StyleAndTextTuples = []
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
            line: StyleAndTextTuples = []
            if len(code) <= _MAX_ASKED_CHARS and (is_choosing or "(" in code[:cursor]):
                line = await asyncio.to_thread(self._look, code, cursor, is_choosing)
            if line != self.line:
                self.line = line
                self._redraw()

    def _look(self, code: str, cursor: int, is_choosing: bool) -> StyleAndTextTuples:
        kernel = self._get_kernel()
        try:
            if is_choosing:
                return _describe(kernel.inspect(code, cursor, timeout=_TIMEOUT_S))
            signatures = kernel.signatures(code, cursor, timeout=_TIMEOUT_S)
        except (KernelError, TimeoutError):
            return []
        return _write_signature(signatures[0]) if signatures else []


def _describe(found: Inspection) -> StyleAndTextTuples:
    if not found:
        return []
    what = found.signature or f" = {found.preview}"
    return [("", _join(f"{found.name}{what}", found.doc))]


def _write_signature(signature: Signature) -> StyleAndTextTuples:
    """The signature, with the parameter that the cursor is in made to stand out."""
    text = sanitize_line(signature.text)
    active = signature.parameters[signature.active].text if signature.active is not None else ""
    place = re.search(rf"(?<![\w.]){re.escape(sanitize_line(active))}(?!\w)", text) if active else None
    if place is None:
        return [("", _join(signature.name + text, signature.doc))]
    return [
        ("", signature.name + text[: place.start()]),
        ("bold underline", place[0]),
        ("", _join(text[place.end() :], signature.doc)),
    ]


def _join(what: str, doc: str) -> str:
    first = sanitize_line(doc.strip().partition("\n")[0])
    return sanitize_line(what) + (f"  {first}" if first else "")
