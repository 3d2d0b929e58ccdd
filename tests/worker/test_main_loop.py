"""What the worker does with executions that it is handed: each is run once and said to be finished."""

import threading

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.worker.capture import current_execution
from rpyc_kernel.worker.debug_server import DebugServer
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.main_loop import MainLoop
from tests.support.waiting import wait_until


class FakeEngine:
    """Runs functions instead of code; the outcome is what they return."""

    def __init__(self):
        self.runs = []

    def run(self, execution, code, form=None):
        self.runs.append((execution, code, current_execution.get(), threading.current_thread().name))
        return self.behave(code) or Outcome.OK

    def behave(self, code):
        return None


class FakeOutput:
    def __init__(self):
        self.finished = []

    def emit(self, kind, execution, payload):
        if kind == Kind.FINISHED:
            self.finished.append((execution, payload["outcome"]))


class Worker:
    def __init__(self):
        self.engine, self.output = FakeEngine(), FakeOutput()
        self.loop = MainLoop(self.engine, self.output, Interrupts(), None, DebugServer("", Interrupts()))

    def wait_for_end(self, count):
        wait_until(lambda: len(self.output.finished) >= count, what=f"{count} ends")


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.loop.loop.close()


def test_a_side_lane_runs_in_a_thread_of_its_own_under_its_own_number(worker):
    worker.loop.start_side(3, "code", None)
    worker.wait_for_end(1)
    assert worker.engine.runs == [(3, "code", 3, "side-3")]
    assert worker.output.finished == [(3, Outcome.OK)]


def test_a_side_lane_handed_over_again_by_the_next_hub_does_not_run_again(worker):
    worker.loop.start_side(3, "code", None)
    worker.wait_for_end(1)
    worker.loop.start_side(3, "code", None)
    worker.loop.start_side(2, "other", None)
    worker.wait_for_end(2)
    assert [run[0] for run in worker.engine.runs] == [3, 2]


def test_side_lanes_run_at_the_same_time(worker):
    together = threading.Barrier(3)
    worker.engine.behave = lambda code: together.wait(60) and None
    for number in (1, 2, 3):
        worker.loop.start_side(number, "", None)
    worker.wait_for_end(3)
    assert {outcome for _, outcome in worker.output.finished} == {Outcome.OK}


def test_an_interrupted_side_lane_is_said_to_be_interrupted(worker):
    def raise_interrupt(code):
        raise KeyboardInterrupt

    worker.engine.behave = raise_interrupt
    worker.loop.start_side(1, "", None)
    worker.wait_for_end(1)
    assert worker.output.finished == [(1, Outcome.INTERRUPTED)]


def test_a_side_lane_that_has_ended_is_not_interrupted(worker):
    worker.loop.start_side(1, "", None)
    worker.wait_for_end(1)
    assert not worker.loop.interrupt_side(1)
    assert not worker.loop.interrupt_side(99)
