"""The line below the prompt: which kernel, what it does for whom, who waits, who is there, and whether it is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import State
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.state import TalkState

_MAX_NAMES = 5


class StatusLine:
    """What the line says. It shows moments, not durations, so that it changes only when something happens.

    Attributes:
        is_completing: whether the user waits for what could stand at the cursor.
        status: what the kernel did when it was asked last; None before that.

    Args:
        state: knows whether the kernel is in reach.
        host: the machine where the kernel is, "" for this one.
        is_viewer: whether the user only looks on.
    """

    def __init__(self, state: TalkState, *, host: str = "", is_viewer: bool = False) -> None:
        self._state = state
        self._where = f" on {host}" if host else ""
        self.is_completing = False
        self._is_viewer = is_viewer
        self.status: dict[str, Any] | None = None

    def take(self, status: dict[str, Any]) -> None:
        """Know what the kernel does now."""
        self.status = status

    def text(self, width: int, measure: Callable[[str], int] = len) -> str:
        """The line, with as many names as there is room for; "" before anything is known.

        Args:
            width: how wide it may be.
            measure: tells how wide a text is.
        """
        if self.status is None:
            return ""
        kernel, *parts = self._describe_kernel(self.status)
        shown = f"{kernel}{self._where}"
        if not self._state.is_connected:
            return " | ".join([shown, *parts])
        names = [sanitize_line(session["name"]) for session in self.status["sessions"] if session["connections"]]
        lines = [
            " | ".join([shown, *parts, _count_present(names, most)])
            for most in range(min(len(names), _MAX_NAMES), -1, -1)
        ]
        least = " | ".join([kernel, *parts, f"{len(names)} here"])
        return next((line for line in lines if measure(line) <= width), least)

    def _describe_kernel(self, status: dict[str, Any]) -> list[str]:
        parts = [sanitize_line(status["kernel"]), f"generation {status['generation']}"]
        if self._is_viewer:
            parts.append("read-only")
        if not self._state.is_connected:
            return [*parts, "connection lost, reconnecting"]
        if self.is_completing:
            parts.append("looking for completions …")
        parts.append(_describe_state(status))
        held = status.get("held", 0)
        if status["queue_length"] > held:
            parts.append(f"{status['queue_length'] - held} queued")
        if held:
            parts.append(f"{held} to approve")
        return parts


def _describe_state(status: dict[str, Any]) -> str:
    running = status["running"]
    if running is None or status["state"] != State.BUSY:
        return str(status["state"])
    since = time.strftime("%H:%M:%S", time.localtime(status["busy_since"] or status["time"]))
    asks = any(prompt["execution"] == running["execution"] for prompt in status["prompts"])
    what = "asking" if asks else "busy"
    return f"{what} since {since}: [{running['execution']}] of {sanitize_line(running['name'])}"


def _count_present(names: list[str], most: int) -> str:
    if not most:
        return f"{len(names)} here"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{len(names)} here: {', '.join(names[:most])}{more}"
