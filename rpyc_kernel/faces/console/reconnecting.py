"""A console whose kernel is out of reach: it says so, tries again and again, and tells what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import CallTimeout, ConnectionFailed, ConnectionLost, KernelError, NoSuchKernel

if TYPE_CHECKING:
    from rpyc_kernel.faces.console.console import Console

_PAUSE_S = 0.5


class Reconnecting:
    """Connects on behalf of a console.

    Args:
        console: what is to come back.
        connect: connects to the kernel once more, as the same session.
    """

    def __init__(self, console: Console, connect: Callable[[], KernelClient]) -> None:
        self._console = console
        self._connect = connect
        self._connected = asyncio.Event()
        self._connected.set()
        self._obstacle = ""

    @property
    def is_connected(self) -> bool:
        """Whether the kernel is in reach."""
        return self._connected.is_set()

    async def wait(self) -> None:
        """Wait until the kernel is in reach."""
        if not self.is_connected:
            self._console.say("this waits for the connection; Ctrl-C takes it back")
            await self._connected.wait()

    async def come_back(self, error: KernelError, seen: int) -> int:
        """Try to connect until it works or the user has had enough.

        Args:
            error: how the connection was lost.
            seen: the last event that was shown.

        Returns:
            The event to go on behind.
        """
        self._connected.clear()
        self._console.bar.is_connected = False
        self._console.complain(f"{describe_loss(error)}; this console comes back when the kernel does, Ctrl-D leaves")
        await self._console.hang_up()
        while (last := await self._try_to_connect()) is None:
            await asyncio.sleep(_PAUSE_S)
        if last < seen:
            self._console.say("connected to a kernel that knows nothing of the one before")
            self._console.jobs.forget()
        else:
            self._console.say("connected again; this is what was missed:" if last > seen else "connected again")
        self._console.bar.is_connected = True
        self._connected.set()
        return min(last, seen)

    async def _try_to_connect(self) -> int | None:
        """Return the kernel's last event, None if there is no connection."""
        try:
            kernel = await asyncio.to_thread(self._connect)
            self._console.kernel = kernel
            last = int((await asyncio.to_thread(kernel.status))["last"])
        except (ConnectionFailed, NoSuchKernel) as error:
            await asyncio.to_thread(self._console.kernel.close)
            # What else goes wrong goes wrong because hubs come and go; these say what the user can do.
            if isinstance(error, (NoSuchKernel, CallTimeout)) and str(error) != self._obstacle:
                self._obstacle = str(error)
                self._console.complain(describe_loss(error))
            return None
        self._obstacle = ""
        return last


def describe_loss(error: KernelError) -> str:
    """Say how a connection was lost, or what else went wrong."""
    if isinstance(error, CallTimeout):
        return f"the kernel is there and does not answer: {error}"
    return "the connection is lost" if isinstance(error, ConnectionLost) else str(error)
