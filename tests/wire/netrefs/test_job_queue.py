import threading

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.wire.netrefs import job_queue
from rpyc_kernel.wire.netrefs.job_queue import JobQueue
from tests.wire.peers import DEADLINE_S, Serving
from tests.wire.stages import wait_until_blocked


@pytest.fixture
def jobs():
    queue = no_reading()
    running = Serving(queue.run)
    yield queue
    queue.put(queue.finish)
    running.join()
    assert running.error is None


class NoChannel:
    has_more = False
    readiness = None


def no_reading():
    """A queue whose thread never reads: all that comes is put."""
    queue = JobQueue(NoChannel(), lambda: pytest.fail("nobody is to read"))
    queue.reading.stop()
    return queue


def do(jobs, job):
    """Have the job done and wait for it."""
    done = Latch()
    jobs.put(lambda: (job(), done.set()))
    assert done.wait(DEADLINE_S)


def test_jobs_are_done_in_order_on_one_thread(jobs):
    seen = []
    for number in range(100):
        jobs.put(lambda number=number: seen.append((number, threading.get_ident())))
    do(jobs, lambda: None)
    assert [number for number, _ in seen] == list(range(100))
    assert len({ident for _, ident in seen}) == 1
    assert not jobs.is_in_job
    do(jobs, lambda: seen.append(jobs.is_in_job))
    assert seen[-1] is True


def test_a_job_that_raises_is_logged_and_the_next_is_done(jobs, caplog):
    def fail():
        raise SystemExit("from a job")

    jobs.put(fail)
    do(jobs, lambda: None)
    assert "from a job" in caplog.text


def test_a_job_that_does_not_nest_waits_until_no_other_waits(jobs):
    latch, seen = Latch(), []

    def wait():
        jobs.wait_for(latch, None)
        seen.append("waited")

    jobs.put(wait)
    for number in range(3):
        jobs.put(lambda number=number: seen.append(number), nests=False)
    do(jobs, lambda: seen.append("nested"))
    latch.set()
    jobs.wake()
    last = Latch()
    jobs.put(last.set, nests=False)
    assert last.wait(DEADLINE_S)
    assert seen == ["nested", "waited", 0, 1, 2]


def test_a_waiting_job_does_the_others_meanwhile(jobs):
    latch, seen = Latch(), []

    def wait():
        jobs.wait_for(latch, None)
        seen.append("first")

    jobs.put(wait)
    do(jobs, lambda: seen.append("second"))
    latch.set()
    jobs.wake()
    do(jobs, lambda: None)
    assert seen == ["second", "first"]


def test_waiting_jobs_nest_and_end_from_the_inside(jobs):
    outer, inner, seen = Latch(), Latch(), []
    jobs.put(lambda: (jobs.wait_for(outer, None), seen.append("outer")))
    jobs.put(lambda: (jobs.wait_for(inner, None), seen.append("inner")))
    outer.set()
    jobs.wake()
    inner.set()
    jobs.wake()
    do(jobs, lambda: None)
    assert seen in (["inner", "outer"], ["outer", "inner"])  # the first may be over before the second begins


def test_waiting_ends_with_its_time(jobs):
    seen = []
    do(jobs, lambda: seen.append(jobs.wait_for(Latch(), 0.01)))
    assert seen == [None]
    assert jobs._waits == 0


def test_finishing_inside_a_waiting_job_ends_the_queue():
    jobs, latch = no_reading(), Latch()
    running = Serving(jobs.run)
    jobs.put(lambda: jobs.wait_for(latch, None))
    jobs.put(lambda: (jobs.finish(), latch.set()))
    running.join()


def test_too_much_is_held_back_until_it_is_done(jobs, monkeypatch):
    monkeypatch.setattr(job_queue, "LIMIT_BYTES", 100)
    gate = threading.Event()
    jobs.put(gate.wait)
    jobs.put(lambda: None, 101)
    feeding = Serving(lambda: jobs.hold_back(lambda: True, bool))
    wait_until_blocked(feeding)
    gate.set()
    feeding.join()
    assert feeding.error is None


def test_nothing_is_held_back_where_that_could_lead_to_a_standstill(jobs, monkeypatch):
    monkeypatch.setattr(job_queue, "LIMIT_BYTES", 100)
    monkeypatch.setattr(job_queue, "_CUT_BYTES", 1000)
    gate = threading.Event()
    jobs.put(gate.wait)
    jobs.put(lambda: None, 101)
    jobs.hold_back(lambda: False, bool)
    jobs.put(lambda: None, 1000)
    with pytest.raises(ConnectionLost, match="1101 bytes of requests"):
        jobs.hold_back(lambda: False, bool)
    gate.set()
