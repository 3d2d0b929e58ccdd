"""What is done about code whose time is over, rung by rung, by a kernel that says what became of each."""

import asyncio
import signal
import threading
from typing import Any

import pytest

from rpyc_kernel.cli.showing import Show, TimeLimit, advise_force
from rpyc_kernel.client.execution import Interruption
from rpyc_kernel.errors import NotQueued


class Kernel:
    """Answers interrupts with these, one after the other, and what waits can be cancelled."""

    name = "demo"

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


class Queue:
    """A kernel that takes code, and says that it waits until it is taken out."""

    name = "demo"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.cancelled = threading.Event()
        self.closed = threading.Event()

    def enqueue(self, source: str) -> int:
        self.taken.append(source)
        return 7

    def watch(self, _: int, *, execution: int) -> int:
        signal.raise_signal(signal.SIGINT)
        return execution

    def interrupt(self, execution: int, *, force: str, wait: float) -> Interruption:
        return Interruption(NOT_RUNNING, execution)

    def cancel(self, _: int) -> None:
        self.cancelled.set()
        self.was_closed_before_the_answer = self.closed.wait(0.2)  # which comes after the news of what it has done

    def close(self) -> None:
        self.closed.set()


def test_ctrl_c_before_anything_can_pass_it_on_hands_nothing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    add_signal_handler = asyncio.SelectorEventLoop.add_signal_handler

    def strike_before(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        add_signal_handler(*arguments)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", strike_before)
    kernel = Queue()
    with pytest.raises(KeyboardInterrupt):
        Show(kernel, shows_values=True).run("1")  # type: ignore[arg-type]
    assert kernel.taken == []


def test_the_answer_to_a_ctrl_c_is_heard_before_the_kernel_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = Queue()

    async def show(self: Show, _: object) -> None:
        await asyncio.to_thread(kernel.cancelled.wait, 30.0)
        self._exit_status = 130

    monkeypatch.setattr(Show, "_show", show)
    assert Show(kernel, shows_values=True).run("1") == 130  # type: ignore[arg-type]
    assert kernel.was_closed_before_the_answer is False
    assert capsys.readouterr().err == ""


def test_what_goes_further_is_advised_and_nothing_where_nothing_does() -> None:
    assert advise_force("signal") == "; try --force exception, or terminate"
    assert advise_force("exception") == "; try --force terminate"
    assert advise_force("terminate") == ""
