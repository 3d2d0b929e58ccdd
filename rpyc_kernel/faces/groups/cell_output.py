"""What comes of a cell that runs in many kernels, shown in the one where it was typed."""

from __future__ import annotations

import html
import os
import queue
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any

from IPython.display import DisplayHandle, display

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import GroupFailed
from rpyc_kernel.faces.frontend.control_characters import is_colourful
from rpyc_kernel.faces.groups.arrivals import OVER, Loss, begin_reading
from rpyc_kernel.faces.groups.colours import Tags
from rpyc_kernel.faces.groups.folding import Folded, tell_failures
from rpyc_kernel.faces.groups.lines import Line, Lines
from rpyc_kernel.faces.groups.progress import Block, Progress, Row, choose, describe, tell_rest
from rpyc_kernel.groups.execution import GroupExecution

_LOOK_S = 0.25
_SLOWER_BY = 20
"""Progress is shown anew after this part of the time that it took so far: each time is an event in a journal."""
_MOST_S = 30.0
_MOST_ROWS = 100
_COLOUR_OF = {"running": "#06c", "asks": "#b60", "ok": "#080", "queued": "#888"}


class CellOutput:
    """Shows an execution of a group.

    Args:
        shell: IPython's, in which it was typed.
        names: of the kernels.
        is_folding: show nothing before the end, and then what is equal once.
        progress_after_s: when to show how far each is; never, if it is negative.
    """

    def __init__(
        self, shell: Any, names: Iterable[str], *, is_folding: bool = False, progress_after_s: float = 1.0
    ) -> None:
        self._names = tuple(names)
        self._is_notebook = type(shell).__name__ == "ZMQInteractiveShell"
        # A kernel's console may be read by a pipe as well.
        has_colours = self._is_notebook and not os.environ.get("NO_COLOR")
        self._tags = Tags(self._names, is_colourful=has_colours or is_colourful(sys.stdout))
        self._folded = Folded() if is_folding else None
        self._lines = Lines()
        self._progress = Progress(self._names, self._lines, time.monotonic)
        self._progress_after_s = progress_after_s
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._bar: _Bar = _TerminalBar() if sys.stdout.isatty() else _DisplayedBar()

    def lose(self, name: str, words: str) -> None:
        """Know, on any thread, what there is to say of a connection that is lost; "" where it is there again."""
        self._news.put(Loss(name, words))

    def show(self, execution: GroupExecution) -> None:
        """Show all of it, to its end; an interrupt is passed on, and a second one leaves it running.

        Raises:
            GroupFailed: some kernels have failed.
        """
        begin_reading(execution, self._news.put)
        was_interrupted = False
        try:
            while True:
                try:
                    if self._show_next():
                        break
                except KeyboardInterrupt:
                    if was_interrupted:
                        raise
                    was_interrupted = True
                    self._tell("interrupting it; once more leaves it running\n")
                    execution.cancel()
                    execution.interrupt(wait=0.0)
        finally:
            self._bar.end(self._progress)
        for name in self._names:
            self._write(self._lines.end(name))
        if self._folded is not None:
            print(self._folded.show(self._names, self._tags), end="")
        self._raise_failures(execution)

    def _show_next(self) -> bool:
        """Show what comes next, or how far they are; whether that was all."""
        with suppress(queue.Empty):
            arrived = self._news.get(timeout=_LOOK_S)
            if arrived is OVER:
                return True
            if isinstance(arrived, Loss):
                if said := self._progress.lose(arrived.name, arrived.words):
                    self._tell(f"{said}\n")
            else:
                self._take(*arrived)
        if 0 <= self._progress_after_s <= self._progress.seconds:
            self._bar.draw(self._progress)
        return False

    def _take(self, name: str, event: Event) -> None:
        self._progress.take(name, event)
        if event.kind in (Kind.DISPLAY, Kind.RESULT) and self._is_notebook and _is_rich(event.data):
            self._show_rich(name, event)
        else:
            self._write(self._lines.take(name, event))

    def _show_rich(self, name: str, event: Event) -> None:
        """Show a picture, a table and the like as it is shown where it was made; an update in its place."""
        display_id = event.payload.get("display_id")
        own_id = None if display_id is None else f"{name}/{event.execution}/{display_id}"
        is_update = bool(event.payload.get("is_update")) and own_id is not None
        if not is_update:
            self._write([*self._lines.end(name), Line(name, "")])
        display(event.data, raw=True, metadata=event.metadata, display_id=own_id, update=is_update)

    def _write(self, lines: list[Line]) -> None:
        if self._folded is not None:
            lines = self._folded.keep(lines)
        for is_error, several in groupby(lines, lambda line: line.is_error):
            self._bar.make_room()
            text = "".join(self._tags.line(line.who, line.text) for line in several)
            print(text, end="", file=sys.stderr if is_error else sys.stdout)

    def _tell(self, words: str) -> None:
        self._bar.make_room()
        print(words, end="", file=sys.stderr)

    def _raise_failures(self, execution: GroupExecution) -> None:
        failure = execution.exception()
        if not isinstance(failure, GroupFailed):
            return
        known = {row.who: row.words or row.state for row in self._progress.failures()}
        reasons = {name: known.get(name, str(error)) for name, error in failure.errors.items()}
        told = GroupFailed(tell_failures(reasons, len(self._names)), failure.errors, failure.results)
        # IPython asks for this. The frames are the magic's, which are of no interest.
        vars(told)["_render_traceback_"] = lambda: [f"GroupFailed: {told}"]
        raise told


def _is_rich(data: Any) -> bool:
    return isinstance(data, dict) and any(mime != "text/plain" for mime in data)


class _Bar:
    """Shows how far each kernel is."""

    def draw(self, progress: Progress) -> None:
        """Show it, if it is time to."""

    def make_room(self) -> None:
        """Something else is about to be written."""

    def end(self, progress: Progress) -> None:
        """Nothing changes any more."""


class _TerminalBar(_Bar):
    """At the end of what a terminal shows."""

    def __init__(self) -> None:
        self._block = Block(sys.stdout)

    def draw(self, progress: Progress) -> None:
        self._block.draw(describe(progress.rows(), progress.seconds, most=self._block.rows - 2))

    def make_room(self) -> None:
        self._block.clear()

    def end(self, progress: Progress) -> None:
        self._block.clear()


class _DisplayedBar(_Bar):
    """As a display that is updated in place, in a notebook as in a console."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._next_s = 0.0

    def draw(self, progress: Progress) -> None:
        if progress.seconds < self._next_s:
            return
        self._next_s = progress.seconds + min(_MOST_S, max(2 * _LOOK_S, progress.seconds / _SLOWER_BY))
        shown = describe_in_full(progress)
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def end(self, progress: Progress) -> None:
        if self._handle is not None:
            self._handle.update(describe_in_full(progress), raw=True)


def describe_in_full(progress: Progress) -> dict[str, str]:
    """As text, and as a table."""
    rows = progress.rows()
    lines, shown = describe(rows, progress.seconds, most=_MOST_ROWS), choose(rows, _MOST_ROWS)
    return {"text/plain": "\n".join(lines), "text/html": _as_html(lines[0], shown, tell_rest(rows, shown))}


def _as_html(head: str, rows: list[Row], rest: list[str]) -> str:
    cells = "".join(
        f"<tr><td style='text-align:left'><b>{html.escape(row.who)}</b></td>"
        f"<td style='text-align:left;color:{_COLOUR_OF.get(row.state, '#c00')}'>{html.escape(row.state)}</td>"
        f"<td>{'' if row.seconds is None else f'{row.seconds:.1f} s'}</td>"
        f"<td style='text-align:left'><code>{html.escape(row.words)}</code></td></tr>"
        for row in rows
    )
    return f"<div><b>{html.escape(head)}</b><table>{cells}</table>{''.join(rest)}</div>"
