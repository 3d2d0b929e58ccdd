"""A console's way to its kernel. Where that is out of reach it says so, tries again and again, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import CallTimeout, ConnectionFailed, ConnectionLost, KernelError, NoSuchKernel
from rpyc_kernel.faces.console.console_state import ConsoleState
from rpyc_kernel.faces.console.speaker import Speaker

_T = TypeVar("_T")
_PAUSE_S = 0.5


class KernelLink:
    """The kernel of a console, also after its connection was lost.

    Args:
        kernel: the kernel, connected.
        connect: connects to it once more, as the same session.
        speaker: tells the user.
        state: knows whether there is a connection.

    Attributes:
        kernel: the client that is connected, or was.
    """

    def __init__(
        self, kernel: KernelClient, connect: Callable[[], KernelClient], speaker: Speaker, state: ConsoleState
    ) -> None:
        self.kernel = kernel
        self._connect = connect
        self._speaker = speaker
        self._state = state
        self._connected = asyncio.Event()
        self._connected.set()
        self._obstacle = ""

    async def ask(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call what waits for the kernel, without holding up the screen."""
        return await asyncio.to_thread(function, *arguments)

    async def wait(self) -> None:
        """Wait until the kernel is in reach."""
        if not self._state.is_connected:
            self._speaker.say("this waits for the connection; Ctrl-C takes it back")
            await self._connected.wait()

    def lose(self, error: KernelError) -> None:
        """The connection is gone."""
        self._connected.clear()
        self._state.is_connected = False
        self._speaker.complain(f"{describe_loss(error)}; this console comes back when the kernel does, Ctrl-D leaves")

    async def come_back(self, seen: int) -> int:
        """Try to connect until it works or the user has had enough.

        Args:
            seen: the last event that was shown.

        Returns:
            The event to go on behind.
        """
        while (last := await self._try_to_connect()) is None:
            await asyncio.sleep(_PAUSE_S)
        if last < seen:
            self._speaker.say("connected to a kernel that knows nothing of the one before")
            self._state.jobs.forget()
        else:
            self._speaker.say("connected again; this is what was missed:" if last > seen else "connected again")
        self._state.is_connected = True
        self._connected.set()
        return min(last, seen)

    async def _try_to_connect(self) -> int | None:
        """Return the kernel's last event, None if there is no connection."""
        try:
            self.kernel = await self.ask(self._connect)
            last = int((await self.ask(self.kernel.status))["last"])
        except (ConnectionFailed, NoSuchKernel) as error:
            await self.ask(self.kernel.close)
            # What else goes wrong goes wrong because hubs come and go; these say what the user can do.
            if isinstance(error, (NoSuchKernel, CallTimeout)) and str(error) != self._obstacle:
                self._obstacle = str(error)
                self._speaker.complain(describe_loss(error))
            return None
        self._obstacle = ""
        return last


def describe_loss(error: KernelError) -> str:
    """Say how a connection was lost, or what else went wrong."""
    if isinstance(error, CallTimeout):
        return f"the kernel is there and does not answer: {error}"
    return "the connection is lost" if isinstance(error, ConnectionLost) else str(error)
