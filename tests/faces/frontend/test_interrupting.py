"""What a console offers after a Ctrl-C, by what its user may do; without a kernel or a terminal."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rpyc_kernel.core.contract import Role
from rpyc_kernel.faces.frontend.interrupting import Interrupting
from rpyc_kernel.faces.frontend.state import TalkState
from tests.faces.frontend.events import ALICE, ME, make_item


class Speaker:
    """Notes what is said and asked, and hears no."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        return "n"


async def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    return call(*arguments)


@pytest.mark.parametrize(
    ("role", "said", "asked"),
    [
        (Role.VIEWER, ["who looks on cannot interrupt what runs; Ctrl-D leaves"], 0),
        (Role.EDITOR, [], 1),
        (Role.OWNER, [], 1),
    ],
)
def test_an_interrupt_is_offered_to_those_who_may(role: str, said: list[str], asked: int) -> None:
    running = make_item(3, ALICE, "slow()")
    kernel = SimpleNamespace(role=role, status=lambda: {"running": running})
    speaker = Speaker()
    interrupting = Interrupting(SimpleNamespace(kernel=kernel, ask=ask), speaker, TalkState(ME))  # type: ignore[arg-type]
    asyncio.run(interrupting.offer())
    assert (speaker.said, len(speaker.asked)) == (said, asked)


@pytest.mark.parametrize(
    ("role", "is_queued", "done"),
    [
        (Role.VIEWER, True, "said who looks on cannot interrupt what runs; Ctrl-D leaves"),
        (Role.EDITOR, True, "cancelled 3"),
        (Role.EDITOR, False, "interrupted 3"),
    ],
)
def test_an_execution_is_stopped_by_those_who_may(role: str, is_queued: bool, done: str) -> None:
    log: list[str] = []

    def interrupt(number: int, **_: Any) -> SimpleNamespace:
        log.append(f"interrupted {number}")
        return SimpleNamespace(status="unanswered")

    kernel = SimpleNamespace(
        role=role,
        is_queued=lambda number: is_queued,
        cancel=lambda number: log.append(f"cancelled {number}"),
        interrupt=interrupt,
    )
    speaker = SimpleNamespace(say=lambda text: log.append(f"said {text}"))
    interrupting = Interrupting(SimpleNamespace(kernel=kernel, ask=ask), speaker, TalkState(ME))  # type: ignore[arg-type]
    asyncio.run(interrupting.stop(3))
    assert log == [done]
