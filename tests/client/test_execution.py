"""An execution as people meet it: a future, of which they see what is for them."""

import asyncio
import concurrent.futures
import itertools
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from rpyc_kernel.client.execution import Execution
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import CallTimeout, ConnectionLost, ExecutionError, KernelError

OF_A_FUTURE = {"add_done_callback", "cancel", "cancelled", "done", "exception", "result", "running"}
OWN = {"count", "duration_s", "events", "interrupt", "outputs", "status", "stderr", "stdout", "value"}


@pytest.fixture
def execution() -> Execution:
    return Execution(None, 1)  # type: ignore[arg-type]  # its kernel is asked for nothing


def _public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_what_completes_it_is_not_listed_with_what_people_use(execution: Execution):
    assert _public(Execution) == OF_A_FUTURE | OWN
    assert _public(execution) == _public(Execution) | {"id"}
    assert "__repr__" in dir(execution)


def test_it_is_a_future_to_the_standard_library(execution: Execution):
    execution._lose(ValueError("lost"))
    assert concurrent.futures.wait([execution], 0).done == {execution}

    async def wait_for_it() -> object:
        return await asyncio.wait_for(asyncio.wrap_future(execution), 5)

    with pytest.raises(ValueError, match="lost"):
        asyncio.run(wait_for_it())


class Journal:
    """A kernel that is asked for nothing but events, of which one answer holds so many."""

    def __init__(self, *events: Event, page: int = 2) -> None:
        self.events = events
        self.page = page
        self.asked: list[tuple[int, bool]] = []
        self.failure: Exception | None = None

    def _follow(
        self, execution: int, cursor: int, wait_s: float, limit_s: float | None = None, within_s: float | None = None
    ) -> tuple[int, list[Event]]:
        if self.failure is not None:
            raise self.failure
        found = [event for event in self.events if event.seq > cursor][: self.page]
        return max([cursor, *(event.seq for event in found)]), found

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
    execution = Execution(kernel, 1, keep_output=keep_output)
    execution._take(events, events[-1].seq)
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
        conclude(QUEUED, error, make(9, Kind.FINISHED, outcome="error", reason="", duration_s=0.5)).result()
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
    execution._take((QUEUED,), 1)  # by another thread
    journal.page = 0
    seen = [(event.seq, execution.stdout, execution.status, execution.count) for event in execution.events()]
    assert seen == [(1, "", "queued", None), (2, "x", "queued", None), (3, "x", "running", 7)]
    execution._take((printed(2, "x"),), 2)
    assert execution.stdout == "x"


def test_a_gap_is_not_taken_for_all_that_was_printed():
    journal = Journal(printed(2, "first"), printed(7, "later"))
    execution = Execution(journal, 1)
    assert [event.seq for event in execution.events(since=6)] == [2, 7]  # the fake knows no cursor
    assert not execution._events
    assert execution.stdout == "firstlater"


def test_whoever_looks_finds_it_as_far_as_it_is():
    journal = Journal(QUEUED, make(2, Kind.STARTED, count=7), printed(3, "x"), printed(4, "y"), printed(5, "z"))
    execution = Execution(journal, 1)
    assert execution.stdout == "xyz"
    assert (execution.status, execution.count, execution.duration_s) == ("running", 7, None)
    assert execution.running()
    assert not execution.done()
    journal.events += (FINISHED,)
    assert execution.done()
    assert (execution.status, execution.duration_s) == ("ok", 0.5)


def test_who_waits_reads_to_the_end_and_no_further():
    journal = Journal(QUEUED, printed(2, "x"), SHOWN, FINISHED, printed(10, "of nobody"))
    execution = Execution(journal, 1)
    assert execution.result() == 6
    assert execution._cursor == FINISHED.seq


def test_a_limit_is_kept_also_where_nothing_answers():
    execution = Execution(Journal(QUEUED), 1)
    with pytest.raises(TimeoutError, match=r"not done within 0 s; it goes on"):
        execution.result(timeout=0)
    execution._kernel.failure = CallTimeout("no answer came")  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError, match=r"not done within 0 s; it goes on"):
        execution.result(timeout=0)
    with pytest.raises(CallTimeout):
        execution.result()
    assert (execution.status, execution.done()) == ("queued", False)


def test_when_the_connection_is_lost_it_is_done_with_that():
    execution = Execution(journal := Journal(QUEUED, printed(2, "x")), 1)
    assert execution.stdout == "x"
    journal.failure = ConnectionLost("gone")
    assert execution.done()
    assert execution.stdout == "x"
    assert execution.exception() is journal.failure
    with pytest.raises(ConnectionLost, match="gone"):
        execution.result()


def test_an_end_that_tells_too_little_is_an_end_all_the_same():
    execution = Execution(Journal(make(1, Kind.FINISHED, outcome="lost")), 1)
    assert isinstance(execution.exception(), KernelError)
    assert execution.duration_s is None
    assert concurrent.futures.wait([execution]).done == {execution}


def test_ctrl_c_anywhere_in_what_is_taken_in_loses_and_repeats_nothing():
    """An interrupt comes at each line of it in turn, and then it is read again."""
    events = (QUEUED, make(2, Kind.STARTED, count=7), printed(3, "x"), SHOWN, printed(5, "y"), FINISHED)
    for stop in itertools.count(1):
        execution, lines = Execution(Journal(*events, page=10), 1), iter(range(1, stop + 1))

        def interrupt(frame: FrameType, what: str, _: Any, lines: Iterator[int] = lines) -> Any:
            if what == "line" and frame.f_code.co_name in ("_take", "_note", "_has_room") and next(lines, 0) == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return interrupt

        sys.settrace(interrupt)
        was_interrupted = False
        try:
            execution.result()
        except KeyboardInterrupt:
            was_interrupted = True
        finally:
            sys.settrace(None)
        assert execution.result() == 6
        assert execution.stdout == "xy"
        assert [event.seq for event in execution._events] == [1, 2, 3, 4, 5, 9]
        if not was_interrupted:
            break
    assert stop > 20
