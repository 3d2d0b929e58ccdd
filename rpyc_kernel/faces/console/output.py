"""What a console shows of events, in their order, and what of it user code shows anew: cleared and updated output.

What changes is rewritten in its place as long as all of it is in sight. Where it is not, the new version is shown
below, with a mark, and from then on that one is rewritten. Of output that changes and is taller than the window only
the beginning is shown until its execution ends. So nothing that changes all the time floods a terminal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.console.render import Renderer
from rpyc_kernel.faces.console.screen import Screen
from rpyc_kernel.faces.console.text_width import count_rows, cut_rows, settle

_OUTPUT = frozenset({Kind.STREAM, Kind.DISPLAY, Kind.RESULT, Kind.ERROR})
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


class Transcript:
    """Shows events on a screen.

    Args:
        screen: where.
        renderer: knows how each looks.
    """

    def __init__(self, screen: Screen, renderer: Renderer) -> None:
        self._screen = screen
        self._renderer = renderer
        self._pieces: list[_Piece] = []
        self._to_be_cleared: set[int] = set()
        self._changing: set[int] = set()
        self._out_of_sight: set[int] = set()
        self._finished: OrderedDict[int, None] = OrderedDict()

    def take(self, event: Event) -> None:
        """Show an event."""
        number = event.execution
        if self._screen.room is None or number is None:
            self._append(self._renderer.render(event))
        elif event.kind == Kind.CLEAR_OUTPUT:
            self._to_be_cleared.add(number)
            if not event.wait:
                self._clear(number)
        elif event.kind in _OUTPUT:
            self._take_output(event, number)
        else:
            if event.kind == Kind.FINISHED:
                self._finish(number)
            self._append(self._renderer.render(event))

    def say(self, text: str) -> None:
        """Show a line of the console's own."""
        self._append(("\n" if self._renderer.is_mid_line else "") + text + "\n")
        self._renderer.line_was_ended()

    def end_line(self) -> None:
        """Go to the beginning of a line."""
        self._screen.end_line()
        self.line_was_ended()

    def line_was_ended(self) -> None:
        """The terminal is at the beginning of a line again."""
        if self._pieces and self._pieces[-1].shown and not self._pieces[-1].shown.endswith("\n"):
            self._pieces[-1].text += "\n"
            self._pieces[-1].shown += "\n"
        self._renderer.line_was_ended()

    # ------------------------------------------------------------------ what comes below

    def _take_output(self, event: Event, number: int) -> None:
        if number in self._to_be_cleared:
            self._clear(number)
        display = event.display_id if event.kind == Kind.DISPLAY else None
        if display is not None and event.is_update:
            if self._update(display, event):
                return
            self.say(_UPDATED)
            self._begin_changing(number)
        self._append(self._renderer.render(event), number, display)

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
        self._to_be_cleared.discard(number)
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
        self.say(_CLEARED)

    def _update(self, display: str, event: Event) -> bool:
        """Change a display in its place; False if it is out of sight."""
        piece = next((piece for piece in reversed(self._pieces) if piece.display == display), None)
        if piece is None:
            return False
        if piece.execution is not None:
            self._begin_changing(piece.execution)
        piece.text = settle(self._renderer.describe(event))
        number = self._pieces.index(piece)
        if self._rewrite(number):
            return True
        self._lose(self._pieces[: number + 1])
        return False

    def _begin_changing(self, number: int) -> None:
        if number not in self._finished:
            self._changing.add(number)

    def _finish(self, number: int) -> None:
        """Show all of what was shown in part."""
        self._to_be_cleared.discard(number)
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


def find_superseded(events: Iterable[Event]) -> set[int]:
    """The numbers of those events whose output a later one of them clears or updates."""
    superseded: set[int] = set()
    cleared: set[int | None] = {None}
    shown: set[int | None] = set()
    updated: set[str] = set()
    for event in reversed(list(events)):
        display = event.display_id if event.kind == Kind.DISPLAY else None
        if event.kind == Kind.CLEAR_OUTPUT:
            if event.execution in cleared - {None}:
                superseded.add(event.seq)
            elif not event.wait or event.execution in shown:
                cleared.add(event.execution)
        elif display is not None:
            if display in updated and event.is_update:
                superseded.add(event.seq)
            updated |= {display} if event.is_update else set()
        elif event.kind in _OUTPUT and event.execution in cleared - {None}:
            superseded.add(event.seq)
        if event.kind in _OUTPUT:
            shown.add(event.execution)
    return superseded
