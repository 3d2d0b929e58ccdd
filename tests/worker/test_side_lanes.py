"""What the worker does with executions beside the main lane: each is run once and said to be finished."""

import threading

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.system import ring
from rpyc_kernel.system.threads import KernelThread
from rpyc_kernel.worker import side_lanes
from tests.support.waiting import wait_until


def test_a_side_lane_runs_in_a_thread_of_its_own_under_its_own_number(worker):
    worker.loop.sides.start(3, "code", None)
    worker.wait_for_end(1)
    assert worker.engine.runs == [(3, "code", 3, "side-3")]
    assert worker.output.finished == [(3, Outcome.OK)]


def test_a_side_lane_handed_over_again_by_the_next_hub_does_not_run_again(worker):
    worker.loop.sides.start(3, "code", None)
    worker.wait_for_end(1)
    worker.loop.sides.start(3, "code", None)
    worker.loop.sides.start(2, "other", None)
    worker.wait_for_end(2)
    assert [run[0] for run in worker.engine.runs] == [3, 2]


def test_side_lanes_that_have_ended_for_the_hub_are_forgotten_and_still_not_run_again(worker):
    for number in range(1, 101):
        worker.loop.sides.start(number, "code", None, None, number)
        worker.wait_for_end(number)
    assert worker.loop.sides._received == {100}
    for number in (99, 100):
        worker.loop.sides.start(number, "again", None, None, 99)
    assert worker.loop.last_execution == 100
    worker.loop.sides.start(101, "code", None, None, 100)
    worker.wait_for_end(101)
    assert [run[1] for run in worker.engine.runs] == ["code"] * 101


def test_side_lanes_run_at_the_same_time(worker):
    together = threading.Barrier(3)
    worker.engine.behave = lambda code: together.wait(60) and None
    for number in (1, 2, 3):
        worker.loop.sides.start(number, "", None)
    worker.wait_for_end(3)
    assert {outcome for _, outcome in worker.output.finished} == {Outcome.OK}


def test_the_hub_sees_how_many_side_lanes_run_without_asking(worker):
    both, go_on = threading.Barrier(3), threading.Event()
    worker.engine.behave = lambda code: (both.wait(10), go_on.wait(10), None)[-1]
    for number in (1, 2):
        worker.loop.sides.start(number, "code", None)
    both.wait(10)
    words = worker.loop._interrupts._words
    assert words[ring.WORD_SIDES] == 2
    go_on.set()
    wait_until(lambda: words[ring.WORD_SIDES] == 0)
    assert len(worker.output.finished) == 2


def test_an_interrupted_side_lane_is_said_to_be_interrupted(worker):
    def raise_interrupt(code):
        raise KeyboardInterrupt

    worker.engine.behave = raise_interrupt
    worker.loop.sides.start(1, "", None)
    worker.wait_for_end(1)
    assert worker.output.finished == [(1, Outcome.INTERRUPTED)]


def test_a_side_lane_that_a_hook_of_user_code_keeps_from_starting_says_why(worker, monkeypatch):
    def fail():
        raise ValueError("the hook's own")

    told = []
    emit = worker.output.emit
    monkeypatch.setattr(side_lanes, "follow_tracers", fail)
    monkeypatch.setattr(worker.output, "emit", lambda *event: (told.append(event), emit(*event)))
    worker.loop.sides.start(1, "code", None)
    worker.wait_for_end(1)
    assert worker.engine.runs == []
    assert worker.output.finished == [(1, Outcome.ERROR)]
    assert [payload["evalue"] for kind, _, payload in told if kind == Kind.ERROR] == ["the hook's own"]


def test_a_side_lane_that_has_ended_is_not_interrupted(worker):
    worker.loop.sides.start(1, "", None)
    worker.wait_for_end(1)
    assert not worker.loop.sides.interrupt(1)
    assert not worker.loop.sides.interrupt(99)


def test_what_c_code_has_printed_in_a_side_lane_is_out_before_its_end(worker, written_by_c):
    worker.loop.sides.start(1, "", None)
    worker.wait_for_end(1)
    assert written_by_c == ["c"]


@pytest.mark.parametrize("failing_start", [1, 2])
def test_a_side_lane_for_which_there_is_no_thread_left_fails(worker, monkeypatch, failing_start):
    starts = []
    start = KernelThread.start

    def start_some(thread):
        starts.append(thread.name)
        if len(starts) == failing_start:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(KernelThread, "start", start_some)
    emit, told = worker.output.emit, []

    def emit_and_look(kind, execution, payload):
        # Where the ring is full this waits, and others need the lock.
        told.append((kind, worker.loop.sides._lock.locked()))
        emit(kind, execution, payload)

    worker.output.emit = emit_and_look
    worker.loop.sides.start(1, "code", None)
    worker.wait_for_end(1)
    assert (worker.output.finished, worker.engine.runs) == ([(1, Outcome.ERROR)], [])
    assert told == [(Kind.ERROR, False), (Kind.FINISHED, False)]
