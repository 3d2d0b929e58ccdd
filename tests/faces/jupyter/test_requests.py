"""Requests that are answered beside the queue, asked of a kernel that is none."""

from types import SimpleNamespace
from typing import Any

import pytest

from rpyc_kernel.core.introspection import Completion, Completions
from rpyc_kernel.faces.jupyter import requests

LATE = Completions(2, 3, (Completion("upper", "function"),))
NOTHING_SO_FAR = Completions(2, 3, (), is_whole=False)


class FakeKernel:
    """Answers in turn, the last answer for ever."""

    def __init__(self, *answers: Completions) -> None:
        self.answers = [*answers]
        self.asked = 0

    def complete(self, _code: str, _cursor: int) -> Completions:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def history(self, **_: Any) -> list[Any]:
        return [SimpleNamespace(execution=number, code=f"x{number}") for number in range(1, 6)]


def complete(kernel: FakeKernel) -> Any:
    return requests.complete(kernel, {"code": "x.u"})["matches"]  # type: ignore[arg-type] # as much as is asked


def test_a_completion_that_takes_its_time_is_waited_for() -> None:
    assert complete(FakeKernel(NOTHING_SO_FAR, NOTHING_SO_FAR, LATE)) == ["upper"]


def test_a_completion_that_never_comes_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_COMPLETE_S", 0.0)
    assert complete(FakeKernel(NOTHING_SO_FAR)) == []


@pytest.mark.parametrize("known", [LATE, Completions(2, 3), Completions(2, 3, LATE.items, is_whole=False)])
def test_what_is_known_is_answered_at_once(known: Completions) -> None:
    kernel = FakeKernel(known)
    complete(kernel)
    assert kernel.asked == 1


@pytest.mark.parametrize(
    ("start", "stop", "numbers"),
    [(2, 4, [2, 3]), (3, None, [3, 4, 5]), (-2, None, [4, 5]), (-3, -1, [3, 4]), (None, 2, [1]), (4, 99, [4, 5])],
)
def test_a_range_of_the_history_may_count_from_its_end(start: Any, stop: Any, numbers: list[int]) -> None:
    asked = {"hist_access_type": "range", "session": 0, "start": start, "stop": stop}
    found = requests.history(FakeKernel(), asked)["history"]  # type: ignore[arg-type]
    assert [number for _, number, _ in found] == numbers
