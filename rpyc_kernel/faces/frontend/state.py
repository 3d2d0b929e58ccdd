"""What a console is doing, and so what a Ctrl-C means now. Nothing in here knows a terminal, a loop or a connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.jobs import Job, Jobs
from rpyc_kernel.faces.frontend.words import first_line


class CtrlC(Enum):
    """What one means, where it comes."""

    PAGER = "it is the pager's, which has got it too"
    LEAVE = "there is nobody to ask what was meant: the console ends, and what it waits for is interrupted"
    LINE = "it ends the line that is being typed"
    BREAK_OFF = "what is being done for the user is broken off"
    NEXT = "it came between the Enter and what that begins, which is not begun"


@dataclass(frozen=True)
class Offer:
    """What the user is asked after a Ctrl-C at an empty prompt.

    Attributes:
        number: the execution that could be stopped.
        question: what to ask.
        is_likely: whether Enter alone means yes.
        cancels: whether the execution is taken out of the queue, instead of being interrupted.
    """

    number: int
    question: str
    is_likely: bool
    cancels: bool = False


class TalkState:
    """What one console is doing.

    Args:
        session: the session's id.

    Attributes:
        jobs: what the session has running or queued.
        is_connected: whether the kernel is in reach.
        is_paging: whether the user reads in a pager.
    """

    def __init__(self, session: str) -> None:
        self.jobs = Jobs(session)
        self.is_connected = True
        self.is_paging = False
        self._is_doing = False
        self._is_due = False
        self._was_broken_off = False

    # ------------------------------------------------------------------ Ctrl-C

    def interrupt(self, *, is_interactive: bool, is_reading: bool) -> CtrlC:
        """There was a Ctrl-C.

        Args:
            is_interactive: whether a person sits there.
            is_reading: whether something is being typed: code, or an answer.
        """
        if self.is_paging:
            return CtrlC.PAGER
        if not is_interactive:
            return CtrlC.LEAVE
        if is_reading:
            return CtrlC.LINE
        if self._is_doing:
            self._was_broken_off = True
            return CtrlC.BREAK_OFF
        self._is_due = True
        return CtrlC.NEXT

    def begin_line(self) -> None:
        """Code is about to be typed: what was meant for the line before is forgotten."""
        self._is_due = False

    def begin_doing(self) -> bool:
        """Something is about to be done that Ctrl-C may break off; False if one has come for it already."""
        if self._is_due:
            return False
        self._is_doing, self._was_broken_off = True, False
        return True

    def end_doing(self) -> None:
        """It is done, or was broken off."""
        self._is_doing = False

    def take_interrupt(self) -> bool:
        """Whether it was a Ctrl-C that broke off what is done; whoever asks has dealt with it."""
        was_broken_off, self._was_broken_off = self._was_broken_off, False
        return was_broken_off

    # ------------------------------------------------------------------ what could be stopped

    @property
    def own_target(self) -> Job | None:
        """What of the user's own a Ctrl-C at an empty prompt is meant for: what runs, else what came last."""
        jobs = self.jobs.list()
        return next((job for job in jobs if job.started is not None), jobs[-1] if jobs else None)

    def offer(self, own: Job | None, running: dict[str, Any] | None, *, is_queued: bool) -> Offer | None:
        """What to ask after a Ctrl-C at an empty prompt; None where nothing could be stopped.

        Args:
            own: the user's own target.
            running: what the kernel says it runs.
            is_queued: whether the kernel says that the target still waits for its turn.
        """
        if own is not None and is_queued:
            return Offer(own.number, f"execution {own.number} is still queued; cancel it?", True, cancels=True)
        if own is not None:
            return Offer(own.number, f"interrupt execution {own.number}?", True)
        if running is None:
            return None
        whose, code = sanitize_line(running["name"]), first_line(running["code"])
        return Offer(running["execution"], f"interrupt execution {running['execution']} of {whose} ({code})?", False)
