"""What a conversation asks and tells its kernel beside what is typed misses nothing that happens meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rpyc_kernel.faces.frontend import conversation as module
from rpyc_kernel.faces.frontend.conversation import Conversation
from tests.faces.frontend.events import ME, make_item, make_status

TIMEOUT_S = 30


class Kernel:
    """A kernel to which something happens while it answers.

    Attributes:
        happen: has the conversation show the event of it.
    """

    session = ME
    name = "demo"

    def __init__(self) -> None:
        self.happen: Callable[[], Any] = lambda: None
        self.acknowledged: list[int] = []
        self.answers = [make_status(), make_status(running=make_item(4), state="busy", busy_since=90.0)]

    def acknowledge(self, seq: int) -> None:
        self.acknowledged.append(seq)
        self.happen()

    def status(self) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.happen()
        return answer


class View:
    is_interactive = True

    def refresh(self) -> None:
        """Nothing is drawn."""


def keep_up(follow: Callable[[Conversation], Awaitable[None]], is_done: Callable[[Conversation, Kernel], bool]) -> None:
    """Have a conversation follow a kernel in one way, until it has noticed the event."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        kernel = Kernel()
        conversation = Conversation(kernel)
        conversation._view = View()
        conversation._changed = loop.create_future()

        async def show() -> None:
            conversation._seen = 1
            conversation._changed.set_result(None)
            conversation._changed = loop.create_future()

        def happen() -> None:
            kernel.happen = lambda: None
            asyncio.run_coroutine_threadsafe(show(), loop).result(TIMEOUT_S)

        kernel.happen = happen

        async def wait() -> None:
            while not is_done(conversation, kernel):
                await asyncio.sleep(0)

        following = asyncio.ensure_future(follow(conversation))
        try:
            await asyncio.wait_for(wait(), TIMEOUT_S)
        finally:
            following.cancel()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the pauses."""
    for name in ("_BAR_S", "_ACKNOWLEDGE_S"):
        monkeypatch.setattr(module, name, 0)


def test_what_was_shown_while_the_kernel_was_told_is_told_too():
    keep_up(Conversation._remember, lambda _, kernel: kernel.acknowledged[-1:] == [1])


def test_the_bar_shows_what_happened_while_the_kernel_was_asked():
    keep_up(Conversation._observe, lambda talk, _: "busy since" in talk.status_line.text(80))
