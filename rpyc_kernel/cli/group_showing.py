"""Code that runs for the command line in many kernels: what it prints is shown, Ctrl-C passed on, its end told."""

from __future__ import annotations

import json
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any

from rpyc_kernel.cli.application import INTERRUPTED, OK, TIMED_OUT, status_of, tell
from rpyc_kernel.cli.showing import LADDER, TimeLimit, status_of_exit, status_of_outcome
from rpyc_kernel.core.contract import Event, Force, Kind, Outcome
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import is_colourful
from rpyc_kernel.faces.groups.arrivals import OVER, Loss, begin_reading
from rpyc_kernel.faces.groups.colours import Tags
from rpyc_kernel.faces.groups.folding import Folded, tell_failures
from rpyc_kernel.faces.groups.lines import Line, Lines
from rpyc_kernel.faces.groups.progress import Block, Progress, describe
from rpyc_kernel.groups.execution import GroupExecution
from rpyc_kernel.groups.labels import describe as describe_names
from rpyc_kernel.groups.labels import shorten
from rpyc_kernel.system.own_command import own_command
from rpyc_kernel.system.threads import make_thread, start_threads

_PROGRESS_AFTER_S = 1.0
_REDRAW_S = 0.1
_RUNG_S = 3.0
"""How long each way to end code may take, as of one kernel."""
_CTRL_C = object()


class GroupShow:
    """Shows one execution of a group.

    Args:
        names: of the kernels.
        news: where a `Loss` may come from.
        shows_values: also the values of last expressions.
        as_json: write events, one JSON object a line.
        is_folding: show nothing before the end, and then what is equal once.
        limit: how long it may take, None for as long as it does.
    """

    def __init__(
        self,
        names: Iterable[str],
        news: queue.SimpleQueue[Any],
        *,
        shows_values: bool,
        as_json: bool = False,
        is_folding: bool = False,
        limit: TimeLimit | None = None,
    ) -> None:
        self._names = tuple(names)
        self._shows_values = shows_values
        self._as_json = as_json
        self._limit = limit
        self._folded = {False: Folded(), True: Folded()} if is_folding else {}
        self._tags = {
            True: Tags(self._names, is_colourful=is_colourful(sys.stderr)),
            False: Tags(self._names, is_colourful=is_colourful(sys.stdout)),
        }
        self._lines = Lines()
        self._progress = Progress(self._names, self._lines, time.monotonic)
        self._block = Block(sys.stderr) if sys.stderr.isatty() else None
        self._drawn = 0.0
        self._news = news
        self._statuses: dict[str, int] = {}
        self._executions: dict[str, int] = {}
        self._interrupts = 0
        self._is_late = False

    def run(self, hand_in: Callable[[], GroupExecution]) -> int:
        """Hand it in, show everything up to its end, and return the exit status.

        The first Ctrl-C interrupts the executions, the second leaves them running.
        """
        before = signal.signal(signal.SIGINT, lambda *_: self._news.put(_CTRL_C))
        try:
            self._run = hand_in()
            begin_reading(self._run, self._news.put)
            has_ended = self._show()
        finally:
            signal.signal(signal.SIGINT, before)
            self._clear()
        for name in self._names:
            self._write(self._lines.end(name))
        for is_error, folded in self._folded.items():
            stream = sys.stderr if is_error else sys.stdout
            stream.write(folded.show(self._names, self._tags[is_error]))
            stream.flush()
        if not has_ended:
            self._tell_goodbye()
            return TIMED_OUT if self._is_late else INTERRUPTED
        self._tell_failures()
        if self._is_late:
            return TIMED_OUT
        return next((status for name in self._names if (status := self._statuses.get(name, OK)) != OK), OK)

    # ------------------------------------------------------------------ showing

    def _show(self) -> bool:
        """Show what comes; whether it has ended."""
        deadline = None if self._limit is None else time.monotonic() + self._limit.seconds
        while True:
            news = None
            with suppress(queue.Empty):
                news = self._news.get(timeout=self._wait_s(deadline))
            if news is OVER:
                return True
            if news is _CTRL_C:
                self._interrupts += 1
                if self._interrupts > 1:
                    return False
                self._tell("interrupting it; Ctrl-C again leaves it running")
                start_threads(make_thread(self._strike_once, "rpyc_kernel-group"))
            elif isinstance(news, tuple):
                self._take(*news)
            elif isinstance(news, Loss):
                if said := self._progress.lose(news.name, news.words):
                    self._tell(said)
            elif isinstance(news, str):
                self._tell(news)
            elif news is False:  # it goes on in spite of all
                return False
            if deadline is not None and time.monotonic() >= deadline:
                deadline, self._is_late = None, True
                start_threads(make_thread(self._climb, "rpyc_kernel-group"))
            self._draw()

    def _wait_s(self, deadline: float | None) -> float | None:
        waits = [_REDRAW_S] if self._block is not None else []
        if deadline is not None:
            waits.append(max(0.0, deadline - time.monotonic()))
        return min(waits, default=None)

    def _take(self, name: str, event: Event) -> None:
        if event.kind == Kind.QUEUED and self._executions.get(name, event.execution) != event.execution:
            self._tell(f"{name} was lost, and is run again")
            self._statuses.pop(name, None)
        self._executions[name] = event.execution or 0
        self._note_status(name, event)
        self._progress.take(name, event)
        if self._as_json:
            print(json.dumps({"kernel": name, **event.as_dict()}), flush=True)
        elif event.kind != Kind.RESULT or self._shows_values:
            self._write(self._lines.take(name, event))

    def _note_status(self, name: str, event: Event) -> None:
        if event.kind == Kind.ERROR and "exit_code" in event.payload:
            self._statuses[name] = status_of_exit(event.exit_code)
        elif event.kind == Kind.FINISHED:
            status = status_of_outcome(event.outcome)
            if event.outcome == Outcome.CANCELLED and self._interrupts:
                status = INTERRUPTED
            self._statuses.setdefault(name, status)

    def _write(self, lines: list[Line]) -> None:
        for is_error, several in groupby(lines, lambda line: line.is_error):
            shown = [*several]
            if self._folded and not (shown := self._folded[is_error].keep(shown)):
                continue
            stream, tags = sys.stderr if is_error else sys.stdout, self._tags[is_error]
            if self._block is not None and stream.isatty():
                self._block.clear()
            stream.write("".join(tags.line(line.who, line.text) for line in shown))
            stream.flush()

    def _draw(self) -> None:
        now = time.monotonic()
        if self._block is None or self._progress.seconds < _PROGRESS_AFTER_S or now - self._drawn < _REDRAW_S:
            return
        self._drawn = now
        self._block.draw(describe(self._progress.rows(), self._progress.seconds, most=self._block.rows - 2))

    def _clear(self) -> None:
        if self._block is not None:
            self._block.clear()

    def _tell(self, words: str) -> None:
        self._clear()
        tell(words)

    # ------------------------------------------------------------------ stopping

    def _strike_once(self) -> None:
        self._strike(Force.SIGNAL, 0.0)

    def _strike(self, force: str, wait_s: float) -> None:
        """Interrupt what runs, and take the others out of their queues."""
        try:
            self._run.cancel()
            self._run.interrupt(force=force, wait=wait_s)
        except KernelError as error:
            self._news.put(str(error))

    def _climb(self) -> None:
        """End the code when its time is over, by one way after the other."""
        assert self._limit is not None
        what = f"it has taken {self._limit.seconds:g} s"
        for force, word in LADDER.items():
            self._news.put(f"{what} in {describe_names(self._run.pending)}; {word}")
            self._strike(force, _RUNG_S)
            if self._run.wait(_RUNG_S):
                return
            what = "it goes on"
            if force == self._limit.force:
                break
        self._news.put(False)

    # ------------------------------------------------------------------ the end

    def _tell_goodbye(self) -> None:
        names = [name for name in self._names if name not in self._statuses]
        tell(f"it goes on in {describe_names(names)}; to stop it: {own_command()} group interrupt {_as_words(names)}")

    def _tell_failures(self) -> None:
        """Say who has failed, and why: what was shown of it may be far above, or nothing."""
        unheard = {name: error for name, error in self._run.errors.items() if name not in self._statuses}
        for name, error in unheard.items():
            self._statuses[name] = status_of(error)
            self._progress.fail(name, error)
            if self._as_json:
                print(json.dumps({"kernel": name, "error": type(error).__name__, "message": str(error)}))
        reasons = {row.who: row.words or row.state for row in self._progress.failures()}
        if reasons and not self._as_json and (unheard or len(self._names) > 1):
            tell(tell_failures(reasons, len(self._names)))


def _as_words(names: Iterable[str]) -> str:
    """Names for a command line, as patterns in quotes."""
    return " ".join(f"'{word}'" if "{" in word else word for word in shorten(names))
