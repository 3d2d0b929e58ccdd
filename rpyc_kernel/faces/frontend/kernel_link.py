"""A console's way to its kernel. While that is out of reach it says so; the client makes the connection again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from rpyc_kernel.client.hub_connection import KeptCall
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import CallTimeout, KernelError
from rpyc_kernel.faces.frontend.speaker import Speaker
from rpyc_kernel.faces.frontend.state import TalkState
from rpyc_kernel.system.futures import NotDone

_T = TypeVar("_T")
_PATIENCE_S = 3.0


class KernelLink:
    """The kernel of a console, also while its connection is lost.

    Args:
        kernel: the kernel, connected.
        speaker: tells the user.
        state: knows whether there is a connection.

    Attributes:
        is_waiting: whether what the user wants done waits, and the kernel knows nothing of it.
    """

    def __init__(self, kernel: KernelClient, speaker: Speaker, state: TalkState) -> None:
        self.kernel = kernel
        self._speaker = speaker
        self._state = state
        self._connected = asyncio.Event()
        self._connected.set()
        self.is_waiting = False
        self._handed: KeptCall | None = None

    async def ask(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call what waits for the kernel, without holding up the screen."""
        return await asyncio.to_thread(function, *arguments)

    async def wait(self) -> None:
        """Wait until the kernel is in reach."""
        await self.wait_for(self._connected, "this waits for the connection")

    async def wait_for(self, event: asyncio.Event, words: str) -> None:
        """Wait until the kernel can be asked, and say so in these words where it cannot yet."""
        self.is_waiting = not event.is_set()
        if self.is_waiting:
            self._speaker.say(f"{words}; Ctrl-C takes it back")
            await event.wait()
            self.is_waiting = False

    async def hand_in(self, code: str) -> int:
        """Queue code, once, and return its number, however long that takes and whatever connections are lost meanwhile.

        Raises:
            KernelError: the kernel does not take it, or is not asked again.
        """
        self._handed = await self.ask(self.kernel.hand_in, code)
        if not await self.ask(_is_settled, self._handed):
            self._speaker.complain("the kernel has not answered yet; this waits for it, Ctrl-C breaks that off")
            while not await self.ask(_is_settled, self._handed):
                pass
        number: int = self._handed.result()
        return number

    def break_off(self) -> None:
        """Do not hand that in again."""
        if self._handed is not None:
            self._handed.ask_no_more()

    def lose(self, words: str) -> None:
        """There is no connection now, or something is in the way of the next one."""
        self._connected.clear()
        self._state.is_connected = False
        self._speaker.complain(words)

    def come_back(self, *, has_missed: bool) -> None:
        """The connection is there again."""
        self._speaker.say("connected again; this is what was missed:" if has_missed else "connected again")
        self._state.is_connected = True
        self._connected.set()


def _is_settled(handed: KeptCall) -> bool:
    """Wait a while; whether there is an answer."""
    try:
        handed.exception(_PATIENCE_S)
    except NotDone:
        return False
    return True


def describe_loss(error: KernelError) -> str:
    """Say how a connection was lost, or what else went wrong."""
    if isinstance(error, CallTimeout):
        return f"the kernel is there and does not answer: {error}"
    return str(error)
