"""When somebody is told that a kernel's history has moved on: once, and again when it has been read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.mcp.agent import Agent


class HistoryWatch:
    """Looks for the next event only where what was told before has been read: so no flood of output is told, or read.

    Args:
        tell: called when there is news.
    """

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._agent: Agent | None = None
        self._cursor = 0
        self._is_read = anyio.Event()

    async def begin(self, agent: Agent) -> None:
        """Watch from now on, by the connection of an agent who wants to be told.

        Raises:
            KernelError: there is no kernel.
        """
        self._cursor = (await (await agent.kernel()).status())["last"]
        self._agent = agent
        self._is_read.set()

    def note_read(self, cursor: int) -> None:
        """Somebody has read so far."""
        self._cursor = cursor
        self._is_read.set()

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            await self._is_read.wait()
            if self._agent is None:  # read, and wanted by nobody
                self._is_read = anyio.Event()
                continue
            came = self._agent.came
            try:
                kernel = await self._agent.kernel()
                came = self._agent.came
                cursor = min(self._cursor, (await kernel.status())["last"])
                has_news = await anext(kernel.events(cursor), None) is not None
            except KernelError:
                has_news = False
            if has_news:
                self._is_read = anyio.Event()
                await self._tell()
            else:  # the connection is gone; who brings it back is whoever calls next
                await came.wait()
