import asyncio
import os
import signal

import pytest

from rpyc_kernel.system import suspending
from rpyc_kernel.system.suspending import Suspending


def test_going_on_after_a_stop_that_was_asked_for_is_no_surprise_however_late_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(suspending, "_NOTICE_S", 0)  # over by the time the loop hears of the SIGCONT
    monkeypatch.setattr(os, "kill", lambda pid, number: signal.raise_signal(signal.SIGCONT))
    surprises = []

    async def run() -> None:
        stopping = Suspending(lambda stop: stop(), lambda: surprises.append("resumed"))
        stopping.stop()
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert surprises == []
