"""What is done about code whose time is over, rung by rung, by a kernel that says what became of each."""

import asyncio

import pytest

from rpyc_kernel.cli.showing import Show, TimeLimit
from rpyc_kernel.client.execution import Interruption
from rpyc_kernel.errors import NotQueued


class Kernel:
    """Answers interrupts with these, one after the other, and what waits can be cancelled."""

    def __init__(self, *answers: str, is_queued: bool = False) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        self._is_queued = is_queued

    def interrupt(self, execution: int, *, force: str, wait: float) -> Interruption:
        self.asked.append(force)
        return Interruption(self._answers.pop(0), execution)

    def cancel(self, execution: int) -> None:
        self.asked.append("cancel")
        if not self._is_queued:
            raise NotQueued("it runs")


def end(kernel: Kernel, force: str) -> bool:
    """Have the time of an execution be over; whether it was left running."""

    async def keep() -> bool:
        show = Show(kernel, shows_values=True)  # type: ignore[arg-type]
        show._execution = 7
        show._left = asyncio.get_running_loop().create_future()
        await show._keep(TimeLimit(0.0, force), 0.0)
        return show._left.done()

    return asyncio.run(keep())


UNANSWERED, STOPPED, NOT_RUNNING = "unanswered", "stopped", "not-running"


@pytest.mark.parametrize(
    ("force", "answers", "asked", "goes_on"),
    [
        ("terminate", [STOPPED], ["signal"], False),
        ("terminate", [UNANSWERED, STOPPED], ["signal", "exception"], False),
        ("terminate", [UNANSWERED, UNANSWERED, STOPPED], ["signal", "exception", "terminate"], False),
        ("exception", [UNANSWERED, UNANSWERED], ["signal", "exception"], True),
        ("signal", [UNANSWERED], ["signal"], True),
        ("", [], [], True),
        # It has begun, or has ended, meanwhile.
        ("signal", [NOT_RUNNING, STOPPED], ["signal", "cancel", "signal"], False),
        ("signal", [NOT_RUNNING, NOT_RUNNING], ["signal", "cancel", "signal", "cancel"], False),
    ],
)
def test_code_is_ended_rung_by_rung_as_far_as_is_asked_for(
    force: str, answers: list[str], asked: list[str], goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = Kernel(*answers)
    assert end(kernel, force) is goes_on
    assert kernel.asked == asked
    words = {"signal": "it is interrupted", "exception": "an exception is raised", "terminate": "its worker is ended"}
    said = capsys.readouterr().err.splitlines()
    rungs = list(dict.fromkeys(rung for rung in asked if rung != "cancel"))
    assert len(said) == len(rungs)
    assert all(words[rung] in line for rung, line in zip(rungs, said, strict=True))


def test_code_that_still_waits_for_its_turn_is_taken_out_of_the_queue() -> None:
    kernel = Kernel(NOT_RUNNING, is_queued=True)
    assert end(kernel, "terminate") is False
    assert kernel.asked == ["signal", "cancel"]
