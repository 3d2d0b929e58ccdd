"""What the user waits for: an execution until it ends, and the questions it asks meanwhile."""

from __future__ import annotations

import asyncio

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.faces.frontend.attribution import Attribution
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.interrupting import Interrupting
from rpyc_kernel.faces.frontend.kernel_link import KernelLink
from rpyc_kernel.faces.frontend.speaker import Speaker
from rpyc_kernel.faces.frontend.state import TalkState
from rpyc_kernel.faces.frontend.summaries import is_waiting, summarise_place
from rpyc_kernel.faces.frontend.view import Interrupted, Withdrawn

_PATIENCE_S = 0.5


class Foreground:
    """Waits on behalf of a console.

    Args:
        link: leads to the kernel.
        speaker: asks the user, and tells.
        state: knows the user's jobs.
        whose: is told what is waited for.
        interrupting: stops what the user wants stopped instead of answering.
    """

    def __init__(
        self,
        link: KernelLink,
        speaker: Speaker,
        state: TalkState,
        whose: Attribution,
        interrupting: Interrupting,
    ) -> None:
        self._link = link
        self._speaker = speaker
        self._state = state
        self._whose = whose
        self._interrupting = interrupting
        self._asked: Event | None = None
        self._withdrawn_because = ""

    async def wait(self, number: int) -> bool:
        """Show an execution's output bare until it ends, and ask what it asks. False if Ctrl-C ended that."""
        self._whose.foreground = number
        explaining = asyncio.ensure_future(self._explain_delay(number))
        try:
            while (job := self._state.jobs.find(number)) is not None:
                if job.question is not None:
                    await self._ask_user(job.question)
                else:
                    await self._speaker.next_change()
            return True
        except asyncio.CancelledError:
            if not self._state.take_interrupt():
                raise
            self.let_go(number)
            return False
        finally:
            explaining.cancel()
            self._whose.foreground = None

    def let_go(self, number: int) -> None:
        """Say that an execution is not waited for any more."""
        self._speaker.say(f"execution {number} goes on in the background; Ctrl-C again offers to interrupt it")

    async def _explain_delay(self, number: int) -> None:
        """If an execution does not start soon, say what it waits for."""
        await asyncio.sleep(_PATIENCE_S)
        if not self._is_queued(number):
            return
        try:
            status = await self._link.ask(self._link.kernel.status)
        except KernelError:
            return  # whoever follows events will say so
        # It may have begun although the event of that is still on its way here.
        if self._is_queued(number) and is_waiting(status, number):
            self._speaker.say(summarise_place(status, number))

    def _is_queued(self, number: int) -> bool:
        job = self._state.jobs.find(number)
        return job is not None and job.started is None and not job.is_held  # of what is held an event tells at once

    # ------------------------------------------------------------------ questions of the code

    async def answer(self, number: int | None) -> None:
        """Ask the user what an execution asks, and pass the answer on."""
        job = self._state.jobs.find(number) if number is not None else None
        waiting = [job] if job is not None else [job for job in self._state.jobs.list() if number is None]
        question = next((job.question for job in waiting if job.question is not None), None)
        if question is not None:
            await self._ask_user(question)
        else:
            text = await self._speaker.ask("answer: ")
            await self._link.ask(self._link.kernel.answer_input, text, number)

    async def _ask_user(self, question: Event) -> None:
        text: str | None = None
        self._asked = question
        try:
            text = await self._speaker.ask(question.prompt, is_password=question.password, execution=question.execution)
        except EOFError:
            pass
        except Interrupted:
            self._asked = None
            await self._interrupting.interrupt(question.execution)
        except Withdrawn:
            self._speaker.say(self._withdrawn_because)
            return
        if self._asked is not None:
            self._asked = None
            try:
                await self._link.wait()
                await self._link.ask(self._link.kernel.answer_input, text, question.execution)
            except RequestError as error:
                self._speaker.complain(str(error))  # somebody else was faster
        while self._is_open(question):
            await self._speaker.next_change()

    def _is_open(self, question: Event) -> bool:
        job = self._state.jobs.find(question.execution or 0)
        return job is not None and job.question is question

    def withdraw_question(self, event: Event) -> None:
        """Stop asking what somebody else has answered, or what is asked no longer."""
        if self._asked is None or self._is_open(self._asked):
            return
        self._asked = None
        by = event.payload.get("by") if event.kind == Kind.INPUT_ANSWERED else None
        self._withdrawn_because = f"[answered by {sanitize_line(by)}]" if by else "[no longer asked]"
        self._speaker.withdraw_question()
