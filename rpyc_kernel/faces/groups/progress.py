"""How far each kernel of a group is: a line for each, with its state, its time, and what it has printed last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TextIO

from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.core.text_columns import cut
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.summaries import format_duration
from rpyc_kernel.faces.groups.lines import Lines
from rpyc_kernel.frozen import Frozen

QUEUED, RUNNING, ASKING, AWAY, FAILED = "queued", "running", "asks", "away", "failed"
"""States of a kernel's part, beside the outcomes."""
_GOES_ON = (AWAY, RUNNING, ASKING, QUEUED)
"""Those that have not ended, in the order in which they are shown."""


class Row(Frozen):
    """How far one kernel is.

    Attributes:
        who: its label.
        state: one of those above, or the outcome.
        seconds: for how long it has run, None before it has.
        words: what it has printed last, or why it has failed.
    """

    who: str
    state: str
    seconds: float | None
    words: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in _GOES_ON


class Progress:
    """Knows how far each is, by the events of their executions.

    Args:
        labels: of the kernels, in the order in which they are shown.
        lines: knows what each has printed last.
        clock: in seconds.
    """

    def __init__(self, labels: Iterable[str], lines: Lines, clock: Callable[[], float]) -> None:
        self._lines = lines
        self._clock = clock
        self._begun = clock()
        self._states = dict.fromkeys(labels, QUEUED)
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._losses: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()
        self._away: set[str] = set()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock() - self._begun

    def take(self, who: str, event: Event) -> None:
        """Take an event of a kernel's execution."""
        match event.kind:
            case Kind.QUEUED:  # also where it is run again
                self._states[who] = QUEUED
                self._took.pop(who, None)
                self._reasons.pop(who, None)
            case Kind.STARTED:
                self._states[who], self._since[who] = RUNNING, self._clock()
            case Kind.INPUT_REQUESTED:
                self._states[who] = ASKING
            case Kind.INPUT_ANSWERED:
                self._states[who] = RUNNING
            case Kind.ERROR:
                self._reasons[who] = f"{event.ename}: {event.evalue}" if event.evalue else event.ename
            case Kind.FINISHED:
                self._end(who, str(event.outcome), event.payload.get("reason") or "")

    def lose(self, who: str, words: str) -> str:
        """A connection is lost, of which there is this to say; "" where it is there again.

        Returns:
            What to tell of it, once; a kernel has more than one connection, and each is lost by itself.
        """
        self._losses[who] = words
        if words and (who, words) not in self._said:
            self._said.add((who, words))
            self._away.add(who)
            return f"{who}: {words}"
        if not words and who in self._away:
            self._away.discard(who)
            return f"{who} is there again"
        return ""

    def fail(self, who: str, error: Exception) -> None:
        """A kernel is gone, or was never there."""
        self._end(who, FAILED, str(error))

    def _end(self, who: str, state: str, reason: str) -> None:
        self._states[who] = state
        if who in self._since:
            self._took[who] = self._clock() - self._since[who]
        if reason:
            self._reasons[who] = reason

    def rows(self) -> list[Row]:
        """How far each is."""
        return [self._row(who, state) for who, state in self._states.items()]

    def _row(self, who: str, state: str) -> Row:
        since = self._since.get(who)
        seconds = self._took.get(who, None if since is None else self._clock() - since)
        words = self._lines.last_of(who)
        if state in _GOES_ON and self._losses.get(who):
            return Row(who, AWAY, seconds, sanitize_line(self._losses[who]))
        if state not in (*_GOES_ON, Outcome.OK):
            words = sanitize_line(self._reasons.get(who, words))
        return Row(who, state, None if state == QUEUED else seconds, words)

    def failures(self) -> list[Row]:
        """Those that have not ended well."""
        return [row for row in self.rows() if row.has_ended and row.state != Outcome.OK]


def describe(rows: list[Row], seconds: float, *, most: int | None = None) -> list[str]:
    """Lines for people: how many have ended, and one for each kernel, of which at most so many are shown.

    Where not all are, those that go on come first, and a last line says how many are left out.
    """
    ended = sum(row.has_ended for row in rows)
    badly = sum(row.has_ended and row.state != Outcome.OK for row in rows)
    head = f"{ended} of {len(rows)} have ended{f', {badly} of them badly' if badly else ''}, {format_duration(seconds)}"
    shown = rows if most is None else choose(rows, most)
    cells = [(row.who, row.state, "" if row.seconds is None else format_duration(row.seconds)) for row in shown]
    widths = [max((len(each[column]) for each in cells), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(each, widths, strict=True)), row.words]).rstrip()
        for each, row in zip(cells, shown, strict=True)
    ]
    return [head, *lines, *tell_rest(rows, shown)]


def choose(rows: list[Row], most: int) -> list[Row]:
    """Those that so many lines have room for, of which one says how many are left out, where some are."""
    if len(rows) <= most:
        return rows
    ranks = [*_GOES_ON, FAILED]
    ordered = sorted(rows, key=lambda row: ranks.index(row.state) if row.state in ranks else len(ranks))
    return ordered[: max(0, most - 1)]


def tell_rest(rows: list[Row], shown: list[Row]) -> list[str]:
    """Say how many are not shown, if there are any."""
    return [f"and {rest} more"] if (rest := len(rows) - len(shown)) else []


class Block:
    """Lines at the end of what a terminal shows, which change in place.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[str] = []

    @property
    def rows(self) -> int:
        """How many lines there is room for, one of which the cursor takes."""
        return max(1, self._size().lines - 1)

    def draw(self, lines: list[str]) -> None:
        """Show these in place of those before."""
        width = max(1, self._size().columns - 1)
        lines = [cut(line, width) for line in lines]
        if lines != self._drawn:
            self._write(self._up() + "".join(f"{line}\x1b[K\n" for line in lines))
            self._drawn = lines

    def clear(self) -> None:
        """Take them away: what is written next stands where they did."""
        if self._drawn:
            self._write(self._up())
            self._drawn = []

    def _up(self) -> str:
        return f"\x1b[{len(self._drawn)}F\x1b[J" if self._drawn else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _size(self) -> os.terminal_size:
        try:
            return os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):  # no terminal, as in a test
            return os.terminal_size((80, 24))
