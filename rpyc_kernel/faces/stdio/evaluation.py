"""What became of one execution, put together from its events."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.stdio.answers import describe_event
from rpyc_kernel.faces.stdio.methods import MAX_PART


class Evaluation:
    """One execution.

    Args:
        number: its number.
        max_chars: how much of what it prints to keep.
    """

    def __init__(self, number: int, max_chars: int) -> None:
        self.has_ended = False
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

    def take(self, event: Event) -> None:
        """See one of its events, in order."""
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

    def describe_progress(self, event: Event) -> str:
        """What to say of an event while it is waited for, "" for nothing."""
        if event.kind == Kind.QUEUED:
            return f"execution {self._told['execution']} is queued"
        if event.kind == Kind.STARTED:
            return f"execution {self._told['execution']} runs"
        return ""

    def describe(self) -> dict[str, Any]:
        """All of it."""
        return {**self._told, "text": "".join(self._text)}
