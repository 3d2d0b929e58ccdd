"""What the user waits for: an execution until it ends, and the questions it asks meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.faces.console.control_characters import sanitize_line
from rpyc_kernel.faces.console.screen import Interrupted, Withdrawn
from rpyc_kernel.faces.console.summaries import is_waiting, summarise_place

if TYPE_CHECKING:
    from rpyc_kernel.faces.console.console import Console

_PATIENCE_S = 0.5


class Foreground:
    """Waits on behalf of a console.

    Args:
        console: whose user waits.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._asked: Event | None = None
        self._withdrawn_because = ""

    async def wait(self, number: int) -> bool:
        """Show an execution's output bare until it ends, and ask what it asks. False if Ctrl-C ended that."""
        self._console.renderer.foreground = number
        explaining = asyncio.ensure_future(self._explain_delay(number))
        try:
            while (job := self._console.jobs.find(number)) is not None:
                if job.question is not None:
                    await self._ask_user(job.question)
                else:
                    await self._console.next_change()
            return True
        except asyncio.CancelledError:
            if not self._console.take_interrupt():
                raise
            self._console.skip_line()
            self._console.say(f"execution {number} goes on in the background; Ctrl-C again offers to interrupt it")
            return False
        finally:
            explaining.cancel()
            self._console.renderer.foreground = None

    async def _explain_delay(self, number: int) -> None:
        """If an execution does not start soon, say what it waits for."""
        await asyncio.sleep(_PATIENCE_S)
        if not self._is_queued(number):
            return
        try:
            status = await self._console.ask_kernel(self._console.kernel.status)
        except KernelError:
            return  # whoever follows events will say so
        # It may have begun although the event of that is still on its way here.
        if self._is_queued(number) and is_waiting(status, number):
            self._console.say(summarise_place(status, number))

    def _is_queued(self, number: int) -> bool:
        job = self._console.jobs.find(number)
        return job is not None and job.started is None

    # ------------------------------------------------------------------ questions of the code

    async def answer(self, number: int | None) -> None:
        """Ask the user what an execution asks, and pass the answer on."""
        job = self._console.jobs.find(number) if number is not None else None
        waiting = [job] if job is not None else [job for job in self._console.jobs.list() if number is None]
        question = next((job.question for job in waiting if job.question is not None), None)
        if question is not None:
            await self._ask_user(question)
        else:
            text = await self._console.screen.ask("answer: ")
            await self._console.ask_kernel(self._console.kernel.answer_input, text, number)

    async def _ask_user(self, question: Event) -> None:
        text: str | None = None
        self._asked = question
        try:
            text = await self._console.screen.ask(
                question.prompt, is_password=question.password, execution=question.execution
            )
        except EOFError:
            pass
        except Interrupted:
            self._asked = None
            await self._console.interrupting.interrupt(question.execution)
        except Withdrawn:
            self._console.say(self._withdrawn_because)
            return
        finally:
            self._console.output.line_was_ended()
        if self._asked is not None:
            self._asked = None
            try:
                await self._console.reconnecting.wait()
                await self._console.ask_kernel(self._console.kernel.answer_input, text, question.execution)
            except RequestError as error:
                self._console.complain(str(error))  # somebody else was faster
        while self._is_open(question):
            await self._console.next_change()

    def _is_open(self, question: Event) -> bool:
        job = self._console.jobs.find(question.execution or 0)
        return job is not None and job.question is question

    def withdraw_question(self, event: Event) -> None:
        """Stop asking what somebody else has answered, or what is asked no longer."""
        if self._asked is None or self._is_open(self._asked):
            return
        self._asked = None
        by = event.payload.get("by") if event.kind == Kind.INPUT_ANSWERED else None
        self._withdrawn_because = f"[answered by {sanitize_line(by)}]" if by else "[no longer asked]"
        self._console.screen.withdraw()
