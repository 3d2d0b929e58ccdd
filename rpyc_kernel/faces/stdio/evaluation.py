"""What became of one execution, put together from its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.stdio.answers import describe_event
from rpyc_kernel.faces.stdio.methods import MAX_PART

_PROGRESS: Final = {Kind.QUEUED: "is queued", Kind.STARTED: "runs"}


class Evaluation:
    """One execution.

    Args:
        number: its number.
        max_chars: how much of what it prints to keep.
        report: told how it goes on, if anybody wants to know.

    Attributes:
        number: as above.
        has_ended: whether all of it was seen.
        reports: whether somebody wants to know how it goes on.
    """

    def __init__(self, number: int, max_chars: int, report: Callable[[str], None] | None = None) -> None:
        self.number = number
        self.has_ended = False
        self.reports = report is not None
        self._report = report
        self._left_chars = max_chars
        self._text: list[str] = []
        self._told: dict[str, Any] = {
            "execution": number,
            "outcome": None,
            "reason": None,
            "duration_s": None,
            "omitted_chars": 0,
            "result": None,
            "displays": [],
            "error": None,
        }

    def take(self, events: Iterable[Event]) -> None:
        """See its next events."""
        for event in events:
            self._take(event)
            if self._report is not None and event.kind in _PROGRESS:
                self._report(f"execution {self.number} {_PROGRESS[event.kind]}")

    def _take(self, event: Event) -> None:
        if event.kind == Kind.STREAM:
            kept = event.text[: self._left_chars]
            self._left_chars -= len(kept)
            self._told["omitted_chars"] += len(event.text) - len(kept)
            self._text.append(kept)
        elif event.kind == Kind.RESULT:
            self._told["result"] = self._describe_output(event)
        elif event.kind == Kind.DISPLAY:
            self._told["displays"].append(self._describe_output(event))
        elif event.kind == Kind.ERROR:
            self._told["error"] = {name: event.payload.get(name) for name in ("ename", "evalue", "traceback")}
        elif event.kind == Kind.FINISHED:
            self.has_ended = True
            self._told |= {name: event.payload.get(name) for name in ("outcome", "reason", "duration_s")}

    def _describe_output(self, event: Event) -> dict[str, Any]:
        told = describe_event(event, MAX_PART)
        return {name: told.get(name, {}) for name in ("data", "metadata", "omitted")} | {"seq": event.seq}

    def describe(self) -> dict[str, Any]:
        """All of it."""
        return {**self._told, "text": "".join(self._text)}
