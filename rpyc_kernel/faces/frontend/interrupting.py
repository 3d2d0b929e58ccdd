"""A Ctrl-C where nothing is waited for: it may be meant for what runs, so the user is asked."""

from __future__ import annotations

from functools import partial

from rpyc_kernel.core.contract import Force, Role
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.frontend.kernel_link import KernelLink
from rpyc_kernel.faces.frontend.speaker import Speaker
from rpyc_kernel.faces.frontend.state import TalkState
from rpyc_kernel.faces.frontend.view import Interrupted

_NO_CONNECTION = "there is no connection, so nothing can be interrupted; Ctrl-D leaves"


class Interrupting:
    """Stops executions on behalf of a console.

    Args:
        link: leads to the kernel.
        speaker: asks the user.
        state: knows the user's jobs.
    """

    def __init__(self, link: KernelLink, speaker: Speaker, state: TalkState) -> None:
        self._link = link
        self._speaker = speaker
        self._state = state

    async def offer(self) -> None:
        """Offer to stop the user's own, or else what runs."""
        if not self._may_stop():
            return
        # What the events have told so far may be behind by now.
        status = await self._link.ask(self._link.kernel.status)
        own = self._state.own_target
        is_queued = own is not None and await self._link.ask(self._link.kernel.is_queued, own.number)
        offer = self._state.offer(own, status["running"], is_queued=is_queued)
        if offer is None:
            self._speaker.say("nothing is running; Ctrl-D leaves")
        elif await self.confirm(offer.question, is_likely=offer.is_likely):
            if offer.cancels:
                await self._link.ask(self._link.kernel.cancel, offer.number)
            else:
                await self.interrupt(offer.number)

    async def stop(self, number: int) -> None:
        """Take an execution out of the queue, or interrupt it if it runs."""
        if not self._may_stop():
            return
        if await self._link.ask(self._link.kernel.is_queued, number):
            await self._link.ask(self._link.kernel.cancel, number)
        else:
            await self.interrupt(number)

    def _may_stop(self) -> bool:
        if not self._state.is_connected:
            self._speaker.say(_NO_CONNECTION)
        elif not Role.allows(self._link.kernel.role, Role.ASKER):
            self._speaker.say("who looks on cannot interrupt what runs; Ctrl-D leaves")
        else:
            return True
        return False

    async def confirm(self, question: str, *, is_likely: bool) -> bool:
        """Ask for yes or no; ``is_likely`` is what Enter alone means, and a further Ctrl-C."""
        try:
            answer = await self._speaker.ask(f"{question} [{'Y/n' if is_likely else 'y/N'}] ")
        except EOFError:
            return False
        except Interrupted:
            return is_likely  # who wants own code stopped presses it again and again
        return is_likely if not answer.strip() else answer.strip().lower().startswith("y")

    async def interrupt(self, number: int | None, force: str = Force.SIGNAL) -> None:
        """Interrupt an execution, or what runs; what comes of it is told by events."""
        if not self._state.is_connected:  # and nobody wants to interrupt what runs when it is there again
            raise ConnectionLost(_NO_CONNECTION)
        result = await self._link.ask(partial(self._link.kernel.interrupt, number, force=force, wait=0))
        if result.status == "not-running":
            self._speaker.say("nothing is running" if number is None else f"execution {number} is not running")
