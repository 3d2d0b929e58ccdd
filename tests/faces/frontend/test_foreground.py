import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.faces.frontend import foreground
from rpyc_kernel.faces.frontend.foreground import Foreground
from rpyc_kernel.faces.frontend.state import TalkState
from tests.faces.frontend.events import ALICE, ME, make_event, make_item, make_status

TIMEOUT_S = 30
NUMBER = 4


class Surroundings:
    """What a `Foreground` needs, on a kernel with a given status."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.said: list[str] = []
        self.state = TalkState(ME)
        self.kernel = SimpleNamespace(status=lambda: status)
        self._changed = asyncio.Event()

    async def ask(self, function: Callable[[], Any]) -> Any:
        # Whoever asked is back before the execution ends.
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, self._finish)
        return function()

    def _finish(self) -> None:
        self.state.jobs.take(make_event(Kind.FINISHED, NUMBER, outcome="ok"))
        self._changed.set()

    async def next_change(self) -> None:
        await self._changed.wait()

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a delay explained at once."""
    monkeypatch.setattr(foreground, "_PATIENCE_S", 0)


def hear_of_delay(status: dict[str, Any]) -> list[str]:
    """What is said of an execution of which no event has come yet."""

    async def run() -> list[str]:
        around: Any = Surroundings(status)
        around.state.jobs.expect(NUMBER, "work()")
        waiting = Foreground(around, around, around.state, SimpleNamespace(foreground=None), None)  # type: ignore[arg-type]
        await asyncio.wait_for(waiting.wait(NUMBER), TIMEOUT_S)
        return list(around.said)

    return asyncio.run(run())


def test_who_waits_is_told_for_what():
    status = make_status(running=make_item(3, ALICE, "slow()"), queue=[make_item(NUMBER)])
    assert hear_of_delay(status) == ["[4] is queued; it waits for [3] of alice (slow())"]


def test_what_runs_already_is_not_said_to_wait():
    assert hear_of_delay(make_status(running=make_item(NUMBER))) == []
