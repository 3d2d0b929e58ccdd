"""What stands on a terminal of a transcript, and what of it user code shows anew: cleared and updated output.

What changes is rewritten in its place as long as all of it is in sight. Where it is not, the new version is shown
below, with a mark, and from then on that one is rewritten. Of output that changes and is taller than the window only
the beginning is shown until its execution ends. So nothing that changes all the time floods a terminal.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rpyc_kernel.faces.console.screen import Screen
from rpyc_kernel.faces.console.text_width import count_rows, cut_rows
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.overwriting import settle
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import OUTPUT, Added, Change, Cleared, Ended, Extended, Item, Updated

_MAX_KEPT_CHARS, _MAX_CHANGING_CHARS = 20_000, 200_000
"""Of a piece; more is in sight on no terminal."""
_MAX_KEPT_PIECES = 200
_MAX_FINISHED = 2000
_CLEARED = "[output cleared]"
_UPDATED = "[display updated]"
_CUT = "[more of this at its end]\n"


@dataclass(eq=False)
class _Piece:
    """Some output, from the beginning of a line on.

    Attributes:
        execution: whose it is; None for what is never cleared.
        display: the id under which it can be updated.
        text: all of it.
        shown: what of it is on the screen.
    """

    execution: int | None
    display: str | None
    text: str = ""
    shown: str = ""

    def extend(self, text: str) -> None:
        """Add to the text."""
        done, newline, rest = self.text.rpartition("\n")
        self.text = done + newline + settle(rest + text)


class ConsoleView:
    """A `View` on a screen that takes text.

    Args:
        screen: shows text, reads code and answers.
        renderer: knows how each change looks.
    """

    def __init__(self, screen: Screen, renderer: Renderer) -> None:
        self._screen = screen
        self._renderer = renderer
        self.is_interactive = screen.is_interactive
        self.keys = screen.keys
        self.is_too_long = screen.is_too_long
        self.propose = screen.propose
        self.refresh = screen.refresh
        self.interrupt = screen.interrupt
        self.withdraw = screen.withdraw
        self._pieces: list[_Piece] = []
        self._changing: set[int] = set()
        self._out_of_sight: set[int] = set()
        self._finished: OrderedDict[int, None] = OrderedDict()

    # ------------------------------------------------------------------ reading

    @property
    def is_reading(self) -> bool:
        """See `View`."""
        return self._screen.is_reading

    async def read_code(self) -> str:
        """See `View`."""
        if not self.is_interactive:
            return await self._screen.read_code()
        self._end_line()
        try:
            return await self._screen.read_code()
        finally:
            self._line_was_ended()

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """See `View`."""
        try:
            return await self._screen.ask(question, is_password=is_password, execution=execution)
        finally:
            self._line_was_ended()

    async def page(self, text: str) -> bool:
        """See `View`."""
        self._end_line()
        return await self._screen.page(self._renderer.keep_colours(text))

    def end_line_of_ctrl_c(self) -> None:
        """Go on below the ^C that the terminal shows."""
        self._screen.write("\n")
        self._line_was_ended()

    def _end_line(self) -> None:
        self._screen.end_line()
        self._line_was_ended()

    def _line_was_ended(self) -> None:
        """The terminal is at the beginning of a line again."""
        if self._pieces and self._pieces[-1].shown and not self._pieces[-1].shown.endswith("\n"):
            self._pieces[-1].text += "\n"
            self._pieces[-1].shown += "\n"
        self._renderer.line_was_ended()

    # ------------------------------------------------------------------ changes

    def show(self, changes: Sequence[Change]) -> None:
        """See `View`."""
        for change in changes:
            if self._screen.room is not None:
                self._show(change)
            elif not self.is_interactive and isinstance(change, Added) and _is_own_trouble(change.item):
                print(change.item.text, file=sys.stderr)
            else:
                self._screen.write(self._renderer.render(change))

    def _show(self, change: Change) -> None:
        match change:
            case Cleared(execution=number):
                self._clear(number)
            case Ended(number):
                self._finish(number)
            case Updated([*_, item]):
                self._update(item, change)
            case Added(item) if item.is_update:
                self._show_as_updated(item, change)
            case Added(item) | Extended(item):
                is_output = item.shown in OUTPUT
                text = self._renderer.render(change)
                self._append(text, item.execution if is_output else None, item.display if is_output else None)

    # ------------------------------------------------------------------ what comes below

    def _append(self, text: str, execution: int | None = None, display: str | None = None) -> None:
        if self._screen.room is None:
            self._screen.write(text)
            return
        if text.startswith("\n") and self._pieces and not self._pieces[-1].text.endswith("\n"):
            self._extend(self._pieces[-1], "\n")
            text = text[1:]
        if not text:
            return
        last = self._pieces[-1] if self._pieces else None
        if last is None or display is not None or (last.execution, last.display) != (execution, display):
            last = _Piece(execution, display)
            self._pieces.append(last)
        self._extend(last, text)
        self._forget_too_much()

    def _extend(self, last: _Piece, text: str) -> None:
        """Add text to the last piece, and show it unless there is more than fits already."""
        was_whole = last.shown == last.text
        last.extend(text)
        if was_whole and (self._fit(last) == last.text or not self._rewrite(len(self._pieces) - 1)):
            self._screen.write(text)
            last.shown = last.text

    def _fit(self, piece: _Piece, used: int | None = None) -> str:
        """As much of a piece as leaves all that changes in sight.

        Args:
            piece: the piece.
            used: how many rows are taken by others that change; those that are on the screen if it is not given.
        """
        if self._screen.room is None or piece.execution not in self._changing:
            return piece.text
        rows, columns = self._screen.room
        if used is None:
            used = sum(count_rows(other.shown, columns) for other in self._pieces if self._changes(other, piece))
        if used + count_rows(piece.text, columns) <= rows:
            return piece.text
        return (cut_rows(piece.text, rows - used - 1, columns) + _CUT) if used < rows else ""

    def _changes(self, piece: _Piece, other_than: _Piece) -> bool:
        return piece is not other_than and piece.execution in self._changing

    def _forget_too_much(self) -> None:
        last = self._pieces[-1]
        if len(last.text) > (_MAX_CHANGING_CHARS if last.execution in self._changing else _MAX_KEPT_CHARS):
            if last.execution is not None:
                self._changing.discard(last.execution)
            if last.shown != last.text and not self._rewrite(len(self._pieces) - 1):
                self._screen.write(last.text)
            self._lose(self._pieces)
        self._lose(self._pieces[:-_MAX_KEPT_PIECES])

    def _lose(self, pieces: Iterable[_Piece]) -> None:
        """Give up what nobody can see any more."""
        for piece in list(pieces):
            self._pieces.remove(piece)
            if piece.execution is not None and piece.execution not in self._finished:
                self._out_of_sight.add(piece.execution)

    # ------------------------------------------------------------------ what changes

    def _clear(self, number: int) -> None:
        own = [piece for piece in self._pieces if piece.execution == number]
        was_in_sight = number not in self._out_of_sight
        self._out_of_sight.discard(number)
        if not own and was_in_sight:
            return
        self._begin_changing(number)
        for piece in own:
            piece.text = ""
        if was_in_sight and self._rewrite(self._pieces.index(own[0])):
            self._renderer.forget_line(number)
            return
        for piece in own:
            piece.execution, piece.display, piece.text = None, None, piece.shown
        self._say(_CLEARED)

    def _update(self, item: Item, change: Change) -> None:
        """Change a display in its place, or show it below if it is out of sight."""
        piece = next((piece for piece in reversed(self._pieces) if piece.display == item.display), None)
        if piece is not None:
            if piece.execution is not None:
                self._begin_changing(piece.execution)
            piece.text = settle(self._renderer.describe(item))
            number = self._pieces.index(piece)
            if self._rewrite(number):
                return
            self._lose(self._pieces[: number + 1])
        self._show_as_updated(item, change)

    def _show_as_updated(self, item: Item, change: Change) -> None:
        self._say(_UPDATED)
        if item.execution is not None:
            self._begin_changing(item.execution)
        self._append(self._renderer.render(change), item.execution, item.display)

    def _say(self, text: str) -> None:
        self._append(("\n" if self._renderer.is_mid_line else "") + text + "\n")
        self._renderer.line_was_ended()

    def _begin_changing(self, number: int) -> None:
        if number not in self._finished:
            self._changing.add(number)

    def _finish(self, number: int) -> None:
        """Show all of what was shown in part."""
        self._changing.discard(number)
        self._out_of_sight.discard(number)
        self._finished[number] = None
        if len(self._finished) > _MAX_FINISHED:
            self._finished.popitem(last=False)
        cut = [piece for piece in self._pieces if piece.execution == number and piece.shown != piece.text]
        if cut and not self._rewrite(self._pieces.index(cut[0])):
            self._lose(cut)
            self._append("".join(piece.text for piece in cut), number)

    def _rewrite(self, first: int) -> bool:
        """Bring the screen up to date from a piece on; False if that is out of sight, and nothing is done."""
        new: list[str] = []
        used = 0
        columns = self._screen.room[1] if self._screen.room is not None else 0
        for number, piece in enumerate(self._pieces):
            wanted = piece.shown if number < first else self._fit(piece, used)
            if piece.execution in self._changing:
                used += count_rows(wanted, columns)
            if number >= first:
                new.append(wanted)
        changed = self._pieces[first:]
        if not self._screen.replace("".join(piece.shown for piece in changed), "".join(new)):
            return False
        for piece, wanted in zip(changed, new, strict=True):
            piece.shown = wanted
        self._pieces = [piece for piece in self._pieces if piece.text]
        return True


def _is_own_trouble(item: Item) -> bool:
    """Whether the front end itself has something to complain of."""
    return item.seq == 0 and item.tone is Tone.TROUBLE
