"""A view where all is typed into one line: how changes are shown, and the line, is left to who has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rpyc_kernel.faces.frontend.transcript import Change
from rpyc_kernel.faces.frontend.view import Interrupted, Withdrawn

CODE_PROMPT = ">>> "


class LineView:
    """A `View` with one line of input, which the user can type into all the time.

    Args:
        show: shows changes, in this order.
        prompt: called when something is to be typed, or nothing any more: with what to show before the line, "" for
            nothing; whether to hide what is typed; and what to put into the line, "" to leave it as it is.
        keys: what the keys do, in lines, for the help.

    Attributes:
        is_interactive: whether a person types: always.
        show, keys: what was given.

    Example:
        >>> import asyncio
        >>> from rpyc_kernel.frontend import LineView
        >>> async def read():
        ...     view = LineView(print, lambda question, is_password, text: print(repr(question)))
        ...     asyncio.get_running_loop().call_soon(view.enter, "6 * 7")
        ...     return await view.read_code()
        >>> asyncio.run(read())
        '>>> '
        ''
        '6 * 7'
    """

    is_interactive = True

    def __init__(
        self,
        show: Callable[[Sequence[Change]], None],
        prompt: Callable[[str, bool, str], object],
        keys: str = "",
    ) -> None:
        self.show = show
        self.keys = keys
        self._prompt = prompt
        self._proposed = ""
        self._reading: asyncio.Future[str] | None = None

    # ------------------------------------------------------------------ for who shows the line

    def enter(self, text: str) -> bool:
        """This was typed, with Enter at its end; False if nobody waits for it."""
        return self._settle(lambda reading: reading.set_result(text))

    def leave(self) -> bool:
        """The user leaves, or has no answer; False if nobody waits for it."""
        return self._settle(lambda reading: reading.set_exception(EOFError()))

    # ------------------------------------------------------------------ for the conversation

    @property
    def is_reading(self) -> bool:
        """See `View`."""
        return self._reading is not None

    async def read_code(self) -> str:
        """See `View`."""
        proposed, self._proposed = self._proposed, ""
        return await self._read(CODE_PROMPT, False, proposed)

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """See `View`."""
        return await self._read(question or "? ", is_password, "")

    def interrupt(self) -> None:
        """See `View`."""
        self._settle(lambda reading: reading.set_exception(Interrupted()))

    def withdraw(self) -> None:
        """See `View`."""
        self._settle(lambda reading: reading.set_exception(Withdrawn()))

    def propose(self, text: str) -> None:
        """See `View`."""
        self._proposed = text

    def is_too_long(self, text: str) -> bool:
        """See `View`; nothing is."""
        return False

    async def page(self, text: str) -> bool:
        """See `View`; there is no pager."""
        return False

    def refresh(self) -> None:
        """See `View`; nothing stands around the line."""

    async def _read(self, question: str, is_password: bool, text: str) -> str:
        self._reading = asyncio.get_running_loop().create_future()
        self._prompt(question, is_password, text)
        try:
            return await self._reading
        finally:
            self._reading = None
            self._prompt("", False, "")

    def _settle(self, how: Callable[[asyncio.Future[str]], object]) -> bool:
        reading = self._reading
        if reading is None or reading.done():
            return False
        how(reading)
        return True
