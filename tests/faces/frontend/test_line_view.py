"""A view with one line: what is typed goes to who waits, and nobody else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rpyc_kernel.frontend import Interrupted, LineView, Withdrawn


def _read(ask: Callable[[LineView], Awaitable[str]], act: Callable[[LineView], object]) -> tuple[Any, list[Any]]:
    """What comes of reading, where something happens meanwhile; and how the line was prompted."""
    prompts: list[Any] = []

    async def run() -> Any:
        view = LineView(lambda changes: None, lambda *told: prompts.append(told))
        assert not view.is_reading
        asyncio.get_running_loop().call_soon(act, view)
        try:
            return await ask(view)
        except (EOFError, Interrupted, Withdrawn) as error:
            return type(error)
        finally:
            assert not view.is_reading

    return asyncio.run(run()), prompts


def test_an_answer_goes_to_the_question_and_the_prompt_is_taken_away():
    answer = _read(lambda view: view.ask("secret? ", is_password=True), lambda view: view.enter("four"))
    assert answer == ("four", [("secret? ", True, ""), ("", False, "")])


def test_proposed_code_stands_in_the_next_line_alone():
    async def read_twice(view: LineView) -> str:
        view.propose("x = 1")
        return await view.read_code()

    assert _read(read_twice, lambda view: view.enter("x = 2")) == ("x = 2", [(">>> ", False, "x = 1"), ("", False, "")])


@pytest.mark.parametrize(
    ("act", "error"), [(LineView.leave, EOFError), (LineView.interrupt, Interrupted), (LineView.withdraw, Withdrawn)]
)
def test_reading_can_end_without_a_line(act: Callable[[LineView], object], error: type):
    assert _read(LineView.read_code, act)[0] is error


def test_what_is_typed_while_nobody_waits_is_not_taken():
    view = LineView(lambda changes: None, lambda *told: None)
    assert not view.enter("x")
    assert not view.leave()
    view.interrupt()
