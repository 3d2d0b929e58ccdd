"""An execution as people meet it: a future, of which they see what is for them."""

import asyncio
import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest

from rpyc_kernel.client.execution import Execution
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ExecutionError

OF_A_FUTURE = {"add_done_callback", "cancel", "cancelled", "done", "exception", "result", "running"}
OWN = {"events", "interrupt", "outputs", "stderr", "stdout", "value"}


@pytest.fixture
def execution() -> Execution:
    return Execution(None, 1)  # type: ignore[arg-type]  # its kernel is asked for nothing


def _public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_what_completes_it_is_not_listed_with_what_people_use(execution: Execution):
    assert _public(Execution) == OF_A_FUTURE | OWN
    assert _public(execution) == _public(Execution) | {name for name in vars(execution) if not name.startswith("_")}
    assert "__repr__" in dir(execution)


def test_it_is_a_future_to_the_standard_library(execution: Execution):
    execution._lose(ValueError("lost"))
    assert concurrent.futures.wait([execution], 0).done == {execution}

    async def wait_for_it() -> object:
        return await asyncio.wait_for(asyncio.wrap_future(execution), 5)

    with pytest.raises(ValueError, match="lost"):
        asyncio.run(wait_for_it())


class Journal:
    """A kernel that is asked for nothing but events."""

    def __init__(self, *events: Event) -> None:
        self.events = events
        self.asked: list[tuple[int, bool]] = []

    def _read_execution(
        self, execution: int, since: int, *, waits: bool, limit_s: float | None = None
    ) -> Iterator[Event]:
        self.asked.append((since, waits))
        return iter(self.events)


def make(seq: int, kind: str, **payload: Any) -> Event:
    return Event(seq, 0.0, kind, 1, "me", payload)


def printed(seq: int, text: str) -> Event:
    return make(seq, Kind.STREAM, name="stdout", text=text)


QUEUED = make(1, Kind.QUEUED, code="x", name="me")
SHOWN = make(4, Kind.RESULT, data={"text/plain": "6"}, metadata={}, literal="6")
FINISHED = make(9, Kind.FINISHED, outcome="ok", reason="", duration_s=0.5)


def conclude(*events: Event, kernel: Any = None, keep_output: int = 10_000) -> Execution:
    execution = Execution._unwaited(kernel, keep_output)
    for event in events:
        execution._take(event)
    execution._conclude("")
    return execution


def test_one_that_has_ended_when_it_is_made_is_a_future_all_the_same():
    execution, called = conclude(QUEUED, printed(2, "x"), SHOWN, FINISHED), []
    assert (execution.id, execution.status, execution.stdout, execution.duration_s) == (1, "ok", "x", 0.5)
    assert concurrent.futures.wait([execution]).done == {execution}
    assert list(concurrent.futures.as_completed([execution], 5)) == [execution]
    execution.add_done_callback(called.append)
    assert called == [execution]
    assert execution.done()
    assert not execution.cancelled()
    assert execution.exception() is None
    assert execution.result(timeout=1) == 6

    async def wait_for_it() -> object:
        return await execution

    assert asyncio.run(wait_for_it()) == 6


def test_one_that_has_failed_when_it_is_made_raises():
    error = make(3, Kind.ERROR, ename="E", evalue="e", traceback="E: e", notes=["note"])
    with pytest.raises(ExecutionError, match="E: e") as caught:
        conclude(QUEUED, error, make(9, Kind.FINISHED, outcome="error", reason="", duration_s=0.5))
    assert caught.value.execution == 1


def test_what_was_kept_is_read_nowhere_else():
    journal = Journal()
    execution = conclude(QUEUED, printed(2, "x"), SHOWN, FINISHED, kernel=journal)
    assert [event.seq for event in execution.events(since=1)] == [2, 4, 9]
    assert execution.outputs == [SHOWN]
    assert not journal.asked


def test_too_much_output_is_let_go_and_read_again_when_it_is_asked_for():
    events = (QUEUED, printed(2, "a" * 600), printed(3, "b" * 600), SHOWN, printed(5, "c"), FINISHED)
    journal = Journal(*events)
    execution = conclude(*events, kernel=journal, keep_output=2000)
    assert [event.seq for event in execution._events] == [1, 4, 9]
    assert execution.value == 6
    assert not journal.asked
    assert execution.stdout == "a" * 600 + "b" * 600 + "c"
    assert execution.outputs == [SHOWN]
    assert list(execution.events()) == [*events]
    assert journal.asked == [(0, False), (0, False), (0, True)]


def test_displays_count_as_output():
    shown = make(2, Kind.DISPLAY, data={"image/png": "x" * 3000}, metadata={}, display_id=None, is_update=False)
    journal = Journal(QUEUED, shown, FINISHED)
    assert conclude(*journal.events, kernel=journal, keep_output=2000).outputs == [shown]
    assert journal.asked


def test_whoever_iterates_finds_in_it_what_was_yielded():
    journal = Journal(QUEUED, printed(2, "x"), make(3, Kind.STARTED, count=7))
    execution = Execution(journal, 1)
    execution._take(QUEUED)  # by the thread that completes it
    seen = [(event.seq, execution.stdout, execution.status, execution.count) for event in execution.events()]
    assert seen == [(1, "", "queued", None), (2, "x", "queued", None), (3, "x", "running", 7)]
    execution._take(printed(2, "x"))
    assert execution.stdout == "x"


def test_a_gap_is_not_taken_for_all_that_was_printed():
    execution = Execution(Journal(printed(7, "later")), 1)
    assert [event.seq for event in execution.events(since=6)] == [7]
    assert execution.stdout == ""
    execution._take(printed(2, "first"))
    execution._take(printed(7, "later"))
    assert execution.stdout == "firstlater"
