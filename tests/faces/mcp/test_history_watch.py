"""When is told that a history has moved on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.faces.mcp.history_watch import HistoryWatch


class Kernel:
    """A kernel with so many events, and no more to come."""

    def __init__(self, last: int) -> None:
        self.last = last

    async def status(self) -> dict[str, int]:
        return {"last": self.last}

    async def events(self, since: int) -> Any:
        for number in range(since, self.last):
            yield number + 1


class Agent:
    """An agent that is connected, or is to no kernel."""

    def __init__(self) -> None:
        self.came = anyio.Event()
        self.there: Kernel | None = None
        self.asked = 0

    async def kernel(self) -> Kernel:
        self.asked += 1
        if self.there is None:
            raise NoSuchKernel("there is none")
        return self.there

    def come(self, kernel: Kernel) -> None:
        self.there = kernel
        self.came.set()
        self.came = anyio.Event()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_kernel_that_has_gone_is_looked_for_by_whoever_calls_and_not_by_the_watch(is_gone: bool) -> None:
    told = []

    async def tell() -> None:
        told.append(agent.there and agent.there.last)

    async def run() -> None:
        watch = HistoryWatch(tell)
        agent.come(Kernel(3))
        await watch.begin(agent)
        if is_gone:
            agent.there = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.run)
            for _ in range(20):
                await checkpoint()
            assert (told, agent.asked) == ([], 2)
            agent.come(Kernel(5))
            for _ in range(20):
                await checkpoint()
            assert told == [5]
            watch.note_read(4)
            for _ in range(20):
                await checkpoint()
            assert told == [5, 5]
            tasks.cancel_scope.cancel()

    agent = Agent()
    anyio.run(run)
