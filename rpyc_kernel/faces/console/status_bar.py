"""The line below the prompt: which kernel, what it does for whom, who waits, who is there, and whether it is lost."""

from __future__ import annotations

import time
from typing import Any

from rpyc_kernel.core.contract import State
from rpyc_kernel.faces.console.console_state import ConsoleState
from rpyc_kernel.faces.console.control_characters import sanitize_line

_MAX_NAMES = 5


class StatusBar:
    """What the line says. It shows moments, not durations, so that it changes only when something happens.

    Attributes:
        is_completing: whether the user waits for what could stand at the cursor.

    Args:
        state: knows whether the kernel is in reach.
        is_viewer: whether the user only looks on.
    """

    def __init__(self, state: ConsoleState, *, is_viewer: bool = False) -> None:
        self._state = state
        self.is_completing = False
        self._is_viewer = is_viewer
        self._status: dict[str, Any] | None = None

    def take(self, status: dict[str, Any]) -> None:
        """Know what the kernel does now."""
        self._status = status

    @property
    def text(self) -> str:
        """The line; "" before anything is known."""
        if self._status is None:
            return ""
        parts = [sanitize_line(self._status["kernel"]), f"generation {self._status['generation']}"]
        if self._is_viewer:
            parts.append("read-only")
        if not self._state.is_connected:
            return " | ".join([*parts, "connection lost, reconnecting"])
        if self.is_completing:
            parts.append("looking for completions …")
        parts.append(_describe_state(self._status))
        if self._status["queue"]:
            parts.append(f"{self._status['queue_length']} queued")
        return " | ".join([*parts, _describe_present(self._status["sessions"])])


def _describe_state(status: dict[str, Any]) -> str:
    running = status["running"]
    if running is None or status["state"] != State.BUSY:
        return str(status["state"])
    since = time.strftime("%H:%M:%S", time.localtime(status["busy_since"] or status["time"]))
    asks = any(prompt["execution"] == running["execution"] for prompt in status["prompts"])
    what = "asking" if asks else "busy"
    return f"{what} since {since}: [{running['execution']}] of {sanitize_line(running['name'])}"


def _describe_present(sessions: list[dict[str, Any]]) -> str:
    names = [sanitize_line(session["name"]) for session in sessions if session["connections"]]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
