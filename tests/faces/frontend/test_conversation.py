"""A conversation in a view that is no terminal."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.frontend.conversation import LEFT, Conversation
from rpyc_kernel.faces.frontend.transcript import Added, Change
from tests.faces.frontend.events import ME, make_event, make_status
from tests.faces.frontend.watches import FakeWatch

TIMEOUT_S = 30


class Handed:
    """Code that has its number at once."""

    def exception(self, timeout: float) -> None:
        """It was taken."""

    def result(self) -> int:
        return 4


class Kernel:
    """Has a page to show, and ends with it, in one batch with the number of the execution."""

    session, name, last_seen = ME, "demo", None

    def __init__(self, page: str) -> None:
        self._watch = FakeWatch()
        self._events: list[Event] = [
            make_event(Kind.QUEUED, 4, ME, 1, code="help()", name="me"),
            make_event(Kind.STARTED, 4, ME, 2, generation=1, count=1),
            make_event(Kind.PAGE, 4, ME, 3, data={"text/plain": page}),
            make_event(Kind.FINISHED, 4, ME, 4, outcome="ok"),
        ]

    def status(self) -> dict[str, Any]:
        return make_status()

    def queue(self) -> list[Any]:
        return []

    def watch(self, since: int, on_loss: object) -> FakeWatch:
        return self._watch

    def hand_in(self, code: str) -> Handed:
        for event in self._events:
            self._watch.put(event)
        return Handed()

    def acknowledge(self, seq: int) -> None:
        """Nobody asks."""

    def close(self) -> None:
        self._watch.put(None)


class Window:
    """A view whose user asks for help, reads it, and leaves.

    Attributes:
        log: what was done, in order.
    """

    is_interactive = True
    is_reading = False

    def __init__(self) -> None:
        self.log: list[str] = []
        self._codes = ["help()"]

    def show(self, changes: Sequence[Change]) -> None:
        self.log += [f"shown {change.item.text}" for change in changes if isinstance(change, Added)]

    async def read_code(self) -> str:
        self.log.append("prompt")
        if not self._codes:
            raise EOFError
        return self._codes.pop()

    def is_too_long(self, text: str) -> bool:
        return True

    async def page(self, text: str) -> bool:
        self.log.append(f"page {text!r}")
        for _ in range(100):  # whatever could come meanwhile has its turn
            await asyncio.sleep(0)
        self.log.append("page was read")
        return True

    def refresh(self) -> None:
        """Nothing stands around the prompt."""

    withdraw = refresh


def converse(page: str) -> list[str]:
    async def run() -> list[str]:
        window = Window()
        conversation = Conversation(Kernel(page))  # type: ignore[arg-type]
        assert await asyncio.wait_for(conversation.run(window), TIMEOUT_S) == LEFT  # type: ignore[arg-type]
        return window.log

    return asyncio.run(run())


def test_no_prompt_is_shown_while_the_user_reads_a_page_that_came_with_the_end():
    for _ in range(20):  # whichever of the two that wait for the number goes on first
        assert converse("help\n") == ["prompt", "page 'help\\n'", "page was read", "prompt"]


def test_a_page_that_the_user_reads_cannot_speak_to_the_terminal():
    assert "page '42\\n'" in converse("\x1b[2J4\x1b]0;title\x072")


class AskedWindow(Window):
    """A view that notes what its user is asked."""

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        self.log.append(question)
        return ""


def test_what_code_asks_cannot_speak_to_the_terminal():
    async def run() -> list[str]:
        window = AskedWindow()
        conversation = Conversation(Kernel(""))  # type: ignore[arg-type]
        await asyncio.wait_for(conversation.run(window), TIMEOUT_S)  # type: ignore[arg-type]
        await conversation.ask("\x1b]52;c;x\x07\x1b[31mname\x1b[0m? ")
        return window.log

    assert asyncio.run(run())[-1] == "\x1b[31mname\x1b[0m? "


class SlowKernel(Kernel):
    """Begins to be watched only when the conversation is over."""

    def __init__(self) -> None:
        super().__init__("")
        self.is_asked, self.is_over = threading.Event(), threading.Event()

    def watch(self, since: int, on_loss: object) -> FakeWatch:
        self.is_asked.set()
        self.is_over.wait(TIMEOUT_S)
        return self._watch

    def close(self) -> None:
        self.is_over.set()

    @property
    def is_watched(self) -> bool:
        return not self._watch.is_closed


class HastyWindow(Window):
    """A view whose user leaves at once."""

    def __init__(self, kernel: SlowKernel) -> None:
        super().__init__()
        self._kernel = kernel

    async def read_code(self) -> str:
        await asyncio.to_thread(self._kernel.is_asked.wait, TIMEOUT_S)
        raise EOFError


def test_what_is_watched_only_when_the_user_has_left_is_closed():
    async def run(kernel: SlowKernel) -> None:
        conversation = Conversation(kernel)  # type: ignore[arg-type]
        assert await asyncio.wait_for(conversation.run(HastyWindow(kernel)), TIMEOUT_S) == LEFT  # type: ignore[arg-type]

    kernel = SlowKernel()
    asyncio.run(run(kernel))
    assert not kernel.is_watched
