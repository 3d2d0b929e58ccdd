"""A Ctrl-C where nothing is waited for: it may be meant for what runs, so the user is asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rpyc_kernel.core.contract import Force
from rpyc_kernel.faces.console.control_characters import sanitize_line
from rpyc_kernel.faces.console.jobs import Job
from rpyc_kernel.faces.console.render import first_line
from rpyc_kernel.faces.console.screen import Interrupted

if TYPE_CHECKING:
    from rpyc_kernel.faces.console.console import Console


class Interrupting:
    """Stops executions on behalf of a console.

    Args:
        console: whose user wants something stopped.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    async def offer(self) -> None:
        """Offer to stop the user's own, or else what runs."""
        if not self._console.reconnecting.is_connected:
            self._console.say("there is no connection, so nothing can be interrupted; Ctrl-D leaves")
            return
        # What the events have told so far may be behind by now.
        status = await self._console.ask_kernel(self._console.kernel.status)
        running = status["running"]
        target = self._find_own_target()
        if target is not None and await self._console.ask_kernel(self._console.kernel.is_queued, target.number):
            if await self.confirm(f"execution {target.number} is still queued; cancel it?", is_likely=True):
                await self._console.ask_kernel(self._console.kernel.cancel, target.number)
            return
        if target is not None:
            await self._offer(target.number, f"interrupt execution {target.number}?", is_likely=True)
        elif running is not None:
            whose, code = sanitize_line(running["name"]), first_line(running["code"])
            question = f"interrupt execution {running['execution']} of {whose} ({code})?"
            await self._offer(running["execution"], question, is_likely=False)
        else:
            self._console.say("nothing is running; Ctrl-D leaves")

    def _find_own_target(self) -> Job | None:
        jobs = self._console.jobs.list()
        return next((job for job in jobs if job.started is not None), jobs[-1] if jobs else None)

    async def _offer(self, number: int, question: str, *, is_likely: bool) -> None:
        if await self.confirm(question, is_likely=is_likely):
            await self.interrupt(number)

    async def confirm(self, question: str, *, is_likely: bool) -> bool:
        """Ask for yes or no; ``is_likely`` is what Enter alone means, and a further Ctrl-C."""
        try:
            answer = await self._console.screen.ask(f"{question} [{'Y/n' if is_likely else 'y/N'}] ")
        except EOFError:
            return False
        except Interrupted:
            return is_likely  # who wants own code stopped presses it again and again
        return is_likely if not answer.strip() else answer.strip().lower().startswith("y")

    async def interrupt(self, number: int | None, force: str = Force.SIGNAL) -> None:
        """Interrupt an execution, or what runs; what comes of it is told by events."""
        result = await self._console.ask_kernel(partial(self._console.kernel.interrupt, number, force=force, wait=0))
        if result.status == "not-running":
            self._console.say("nothing is running" if number is None else f"execution {number} is not running")
