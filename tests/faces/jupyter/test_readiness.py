"""Questions that come before the worker wait for it, and no longer than there is something to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.jupyter.readiness import Readiness

PATIENCE_S = 30.0
STARTING = {"state": "starting", "engine": ""}
UP = {"state": "idle", "engine": "ipython"}
DEAD = {"state": "dead", "engine": ""}


class FakeKernel:
    """A kernel that stands as it is told, and counts who asks.

    Attributes:
        answers: what to say, one after the other.
    """

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)
        self.before_answering: Callable[[], None] = lambda: None

    def status(self) -> dict[str, Any]:
        answer = self.answers.pop(0)
        self.before_answering()
        self.asked.release()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def ask() -> Any:
    with ThreadPoolExecutor(1) as pool:
        yield lambda standing, kernel: pool.submit(standing.ask, kernel)


@pytest.mark.parametrize("status", [UP, DEAD])
def test_what_is_known_is_told_at_once(status: dict[str, Any]) -> None:
    assert Readiness().ask(FakeKernel(status)) == status  # type: ignore[arg-type] # as much of it as is used


@pytest.mark.parametrize("then", [UP, DEAD])
def test_a_change_ends_the_waiting_for_a_worker(ask: Callable[..., Future[Any]], then: dict[str, Any]) -> None:
    standing, kernel = Readiness(), FakeKernel(STARTING, then)
    asked = ask(standing, kernel)
    assert kernel.asked.acquire(timeout=PATIENCE_S)
    standing.note_change()
    assert asked.result(PATIENCE_S) == then


def test_a_change_that_comes_with_the_answer_is_not_missed(ask: Callable[..., Future[Any]]) -> None:
    standing, kernel = Readiness(), FakeKernel(STARTING, UP)
    kernel.before_answering = standing.note_change
    assert ask(standing, kernel).result(PATIENCE_S) == UP


def test_who_waits_goes_on_waiting_through_a_change_to_nothing(ask: Callable[..., Future[Any]]) -> None:
    standing, kernel = Readiness(), FakeKernel(STARTING, STARTING, UP)
    asked = ask(standing, kernel)
    for _ in range(2):
        assert kernel.asked.acquire(timeout=PATIENCE_S)
        standing.note_change()
    assert asked.result(PATIENCE_S) == UP


def test_who_waits_learns_that_the_hub_is_gone(ask: Callable[..., Future[Any]]) -> None:
    standing, kernel = Readiness(), FakeKernel(STARTING, ConnectionLost("gone"))
    asked = ask(standing, kernel)
    assert kernel.asked.acquire(timeout=PATIENCE_S)
    standing.note_change()
    with pytest.raises(ConnectionLost):
        asked.result(PATIENCE_S)
