"""Threads of an event loop's client."""

import threading

import anyio
import pytest

from rpyc_kernel.aio import loop as loops
from rpyc_kernel.aio.loop import Loop
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio


async def test_what_ends_the_waiting_of_all_threads_needs_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_THREADS", 1)
    loop, is_over, has_begun = Loop(), threading.Event(), threading.Event()

    def wait() -> None:
        has_begun.set()
        assert is_over.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(loop.in_thread, wait)
        await wait_until_async(has_begun.is_set, what="the thread")
        await loop.beside(is_over.set)
