import concurrent.futures

import pytest

from rpyc_kernel import ExecutionDropped, ExecutionError, KernelClient, NotQueued
from rpyc_kernel.core.contract import Kind, Outcome
from tests.end_to_end.clients import PATIENCE_S, Connect

pytestmark = pytest.mark.shares_kernel

PREPARE = "import threading; gate = threading.Event(); ran = []"


@pytest.fixture
def ada(kernel: KernelClient) -> KernelClient:
    kernel.execute(PREPARE, timeout=PATIENCE_S)
    return kernel


@pytest.fixture
def bob(ada: KernelClient, connect: Connect) -> KernelClient:
    return connect(name="bob")


def open_gate(kernel: KernelClient) -> None:
    kernel.eval("gate.set()")


def ran(kernel: KernelClient) -> list[str]:
    return list(kernel.execute("tuple(ran)", timeout=PATIENCE_S).value)


def test_an_error_aborts_only_what_its_own_session_queued_behind_it(ada: KernelClient, bob: KernelClient):
    failing = ada.submit("gate.wait(); 1 / 0")
    bobs_first = bob.submit("ran.append('bob 1')")
    adas_first = ada.submit("ran.append('ada 1')")
    bobs_second = bob.submit("ran.append('bob 2')")
    adas_second = ada.submit("ran.append('ada 2')")
    open_gate(ada)
    assert isinstance(failing.exception(PATIENCE_S), ExecutionError)
    for aborted in (adas_first, adas_second):
        error = aborted.exception(PATIENCE_S)
        assert isinstance(error, ExecutionDropped)
        assert error.outcome == aborted.status == Outcome.ABORTED
        assert str(failing.id) in str(error)
        assert aborted.cancelled()
    for kept in (bobs_first, bobs_second):
        assert kept.exception(PATIENCE_S) is None
    assert ran(bob) == ["bob 1", "bob 2"]


def test_what_is_submitted_after_the_error_is_known_runs(ada: KernelClient):
    failing = ada.submit("1 / 0")
    assert isinstance(failing.exception(PATIENCE_S), ExecutionError)
    assert ada.execute("'still at work'", timeout=PATIENCE_S).value == "still at work"


def test_an_interrupt_aborts_what_the_same_session_queued_behind(ada: KernelClient, bob: KernelClient):
    running = ada.submit("print('begun')\nwhile True: pass")
    next(event for event in running.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    behind, bobs = ada.submit("ran.append('ada')"), bob.submit("ran.append('bob')")
    assert bob.interrupt(running.id, wait=PATIENCE_S)
    assert isinstance(behind.exception(PATIENCE_S), ExecutionDropped)
    assert bobs.exception(PATIENCE_S) is None
    assert ran(ada) == ["bob"]


def test_an_error_aborts_nothing_where_that_was_not_asked_for(ada: KernelClient):
    failing = ada.submit("gate.wait(); 1 / 0", stop_on_error=False)
    behind = ada.submit("ran.append('behind')")
    open_gate(ada)
    assert isinstance(failing.exception(PATIENCE_S), ExecutionError)
    assert behind.exception(PATIENCE_S) is None
    assert ran(ada) == ["behind"]


def test_one_queued_execution_is_cancelled_alone(ada: KernelClient, bob: KernelClient):
    running = ada.submit("gate.wait()")
    before, unwanted, after = (ada.submit(f"ran.append({name!r})") for name in ("before", "unwanted", "after"))
    bob.cancel(unwanted.id)
    error = unwanted.exception(PATIENCE_S)
    assert isinstance(error, ExecutionDropped)
    assert error.outcome == unwanted.status == Outcome.CANCELLED
    assert "bob" in str(error)
    assert [item["execution"] for item in ada.status()["queue"]] == [before.id, after.id]
    assert not running.done()
    open_gate(ada)
    assert after.exception(PATIENCE_S) is None
    assert ran(ada) == ["before", "after"]


def test_what_runs_or_has_finished_cannot_be_cancelled(ada: KernelClient):
    running = ada.submit("gate.wait()")
    assert not running.cancel()
    open_gate(ada)
    assert running.result(PATIENCE_S) is True
    with pytest.raises(NotQueued):
        ada.cancel(running.id)


def test_executions_of_all_sessions_run_in_the_order_of_their_submission(ada: KernelClient, bob: KernelClient):
    ada.submit("gate.wait()")
    submitted = [
        client.submit(f"ran.append('{name} {number}')")
        for number in range(50)
        for name, client in (("ada", ada), ("bob", bob))
    ]
    queue = ada.status()["queue"]
    assert [item["execution"] for item in queue] == [execution.id for execution in submitted]
    assert {item["session"] for item in queue} == {ada.session, bob.session}
    open_gate(ada)
    concurrent.futures.wait(submitted, PATIENCE_S)
    assert ran(ada) == [f"{name} {number}" for number in range(50) for name in ("ada", "bob")]


@pytest.mark.own_kernel
def test_executions_submitted_at_the_same_time_run_in_the_order_of_their_numbers(ada: KernelClient, bob: KernelClient):
    def submit(client: KernelClient) -> list[int]:
        return [client.submit("ran.append(0)").id for _ in range(100)]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        of_ada, of_bob = pool.map(submit, (ada, bob))
    ada.execute("pass", timeout=PATIENCE_S)
    bob.execute("pass", timeout=PATIENCE_S)
    events = list(ada.events(follow=False))
    started = [event.execution for event in events if event.kind == Kind.STARTED]
    assert started == sorted(started)
    assert set(of_ada + of_bob) <= set(started)
    assert not set(of_ada) & set(of_bob)
    assert len(ran(ada)) == 200


def test_the_side_lane_runs_beside_a_busy_main_lane(ada: KernelClient, bob: KernelClient):
    running = ada.submit("gate.wait(); 'main'")
    queued = ada.submit("ran.append('queued')")
    side = bob.submit("ran.append('side'); print('from the side'); 'side'", lane="side")
    assert side.result(PATIENCE_S) == "side"
    assert side.stdout == "from the side\n"
    assert not running.done()
    assert queued.status == "queued"
    opening = bob.submit("gate.set()", lane="side")
    assert opening.exception(PATIENCE_S) is None
    assert running.result(PATIENCE_S) == "main"
    assert queued.exception(PATIENCE_S) is None
    assert ran(ada) == ["side", "queued"]


def test_side_lanes_run_beside_each_other(ada: KernelClient):
    waiting = [ada.submit("gate.wait(); threading.get_ident()", lane="side") for _ in range(5)]
    assert ada.submit("'the main lane is free'").result(PATIENCE_S) == "the main lane is free"
    assert [item["execution"] for item in ada.status()["side"]] == [execution.id for execution in waiting]
    open_gate(ada)
    assert len({execution.result(PATIENCE_S) for execution in waiting}) == 5


def test_an_error_in_the_side_lane_aborts_nothing(ada: KernelClient):
    running = ada.submit("gate.wait(); 'main'")
    queued = ada.submit("ran.append('queued')")
    side = ada.submit("1 / 0", lane="side")
    assert isinstance(side.exception(PATIENCE_S), ExecutionError)
    open_gate(ada)
    assert running.result(PATIENCE_S) == "main"
    assert queued.exception(PATIENCE_S) is None
