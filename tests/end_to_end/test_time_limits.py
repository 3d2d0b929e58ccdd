"""Every call keeps its time limit, and none waits for what gives no sign of life any more."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial

import pytest

import rpyc_kernel
from rpyc_kernel import CallTimeout, ConnectionFailed, WorkerBusy
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.support.processes import suspend
from tests.support.proxy import proxying
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

LIMIT_S = 1.0
FAR_TOO_LONG_S = 30.0
"""Longer than any limit of these tests, and shorter than what held before there were any."""

HOLD = """
import ctypes
held = ctypes.PyDLL(None).system(b"echo held; read released < '{gate}'")  # a C call that keeps the interpreter lock
"""


def read_key(kernel):
    from rpyc_kernel.client.address import resolve

    return resolve(kernel.name).key.secret.hex()


@contextmanager
def stopped_hub(kernel):
    """A client of a hub that the system has stopped."""
    with rpyc_kernel.connect(kernel.name, timeout=LIMIT_S, silence=LIMIT_S, reconnect=LIMIT_S) as client:
        pid = client.status()["hub_pid"]

        try:
            yield client, partial(suspend, pid)
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def stuck_tunnel(kernel):
    """A client whose connections stay open while nothing comes through them."""
    port = next(info.port for info in rpyc_kernel.kernels() if info.name == kernel.name)
    key = read_key(kernel)
    with (
        proxying(("127.0.0.1", port)) as proxy,
        rpyc_kernel.connect(proxy.address, key=key, timeout=LIMIT_S, silence=LIMIT_S, reconnect=LIMIT_S) as client,
    ):
        yield client, proxy.black_hole


@contextmanager
def holding(kernel, gate):
    """The interpreter lock, held from before this begins until what it gives is called, or to its end."""
    os.mkfifo(gate)
    held = kernel.submit(HOLD.format(gate=gate))
    # The shell that the C call has started says so: code that was handed over need not have begun.
    next(event for event in held.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    release = cache(lambda: gate.write_text("released\n"))
    try:
        yield release
    finally:
        release()
        held.result(PATIENCE_S)


CALLS = {
    "execute": lambda client, _: client.execute("1"),
    "execute with a limit": lambda client, _: client.execute("1", timeout=LIMIT_S),
    "submit": lambda client, _: client.submit("1"),
    "result": lambda _, run: run.result(),
    "events of an execution": lambda _, run: list(run.events()),
    "events": lambda client, _: list(client.events(since=0, follow=True)),
    "events so far": lambda client, _: list(client.events(since=0, follow=False)),
    "status": lambda client, _: client.status(),
    "interrupt": lambda client, _: client.interrupt(wait=LIMIT_S),
    "restart": lambda client, _: client.restart(timeout=LIMIT_S),
    "stack": lambda client, _: client.stack(timeout=LIMIT_S),
    "complete": lambda client, _: client.complete("x", timeout=LIMIT_S),
    "history": lambda client, _: client.history(),
}
WORKERS = {
    "eval": lambda client, _: client.eval("1"),
    "namespace": lambda client, _: client.namespace["ready"],
    "names": lambda client, _: list(client.namespace),
    "netref": lambda client, _: client.objects.namespace.items(),
    "call": lambda client, _: client.call(client.objects.builtins.len, ()),
    "push": lambda client, _: client.push(x=b"x", timeout=LIMIT_S),
    "pull": lambda client, _: client.pull("ready", timeout=LIMIT_S),
}


def ask_all(client, run, calls):
    """What each call raises, all of them at once; None for one that does not come back."""
    with ThreadPoolExecutor(len(calls)) as pool:
        asked = {name: pool.submit(call, client, run) for name, call in calls.items()}
        try:
            return {name: asked[name].exception(FAR_TOO_LONG_S) for name in asked}
        finally:
            client.close()


def find_others(raised):
    """What is no error of a connection or of a limit of time."""
    return {name: error for name, error in raised.items() if not isinstance(error, (ConnectionFailed, TimeoutError))}


def test_no_call_waits_for_a_hub_that_is_stopped(kernel):
    kernel.execute("ready = 1; import threading; gate = threading.Event()")
    with stopped_hub(kernel) as (client, block):
        run = client.submit("gate.wait()")
        assert next(run.events()).kind == "queued"
        block()
        raised = ask_all(client, run, CALLS)
    assert find_others(raised) == {}
    assert "the hub is stopped" in str(raised["result"])
    kernel.eval("gate.set")()
    assert kernel.execute("ready").value == 1  # who had more patience goes on


def test_live_objects_work_while_the_hub_is_stopped(kernel):
    kernel.execute("ready = [1]")
    with stopped_hub(kernel) as (client, block):
        ready = client.namespace["ready"]
        block()
        assert ready[0] == 1
        assert client.eval("ready[0]") == 1


def test_no_call_waits_for_a_way_that_is_blocked(kernel):
    kernel.execute("ready = 1; import threading; gate = threading.Event()")
    with stuck_tunnel(kernel) as (client, block):
        client.pull("ready")
        client.objects.namespace  # noqa: B018 - fetched before the way is blocked
        run = client.submit("gate.wait()")
        assert next(run.events()).kind == "queued"
        block()
        raised = ask_all(client, run, {**CALLS, **WORKERS})
    assert find_others(raised) == {}
    kernel.eval("gate.set")()


def test_a_worker_that_holds_the_interpreter_lock_is_not_taken_for_dead(kernel, tmp_path):
    with (
        ThreadPoolExecutor(1) as pool,
        holding(kernel, tmp_path / "gate") as release,
        rpyc_kernel.connect(kernel.name, timeout=LIMIT_S, silence=LIMIT_S, reconnect=LIMIT_S) as client,
    ):
        with pytest.raises(WorkerBusy, match=r"stack\(\) shows"):
            client.eval("1")
        with pytest.raises(WorkerBusy):
            client.namespace["x"]
        patient = pool.submit(lambda: client.objects.root.eval("1 + 1"))
        assert not wait([patient], 2 * LIMIT_S).done
        release()
        assert patient.result(PATIENCE_S) == 2
        assert not client.is_closed


def test_the_value_of_an_execution_keeps_the_limit_of_its_result(kernel, tmp_path):
    run = kernel.submit("[1]")
    wait_until(run.done)
    with holding(kernel, tmp_path / "gate"), pytest.raises(TimeoutError, match=r"within 0\.5 s"):
        run.result(timeout=0.1)
    assert list(run.result(timeout=PATIENCE_S)) == [1]


def test_a_client_that_cannot_get_in_says_within_its_limit_what_may_be_wrong(kernel):
    with stopped_hub(kernel) as (client, block):
        block()
        with pytest.raises(CallTimeout, match="took the connection but said nothing for 1 s: its hub is stopped"):
            rpyc_kernel.connect(client.name, timeout=LIMIT_S)


def test_code_does_not_wait_for_a_client_that_is_gone(kernel):
    kernel.execute("from rpyc_kernel.worker import objects; from rpyc_kernel.frozen import changed")
    kernel.execute("objects._PATIENCE = changed(objects._PATIENCE, limit_s=0.5)")
    with stuck_tunnel(kernel) as (client, block):
        client.namespace["ask"] = threading.Event().wait
        block()
        run = kernel.submit("ask()")
        assert isinstance(run.exception(FAR_TOO_LONG_S), rpyc_kernel.ExecutionError)
        assert "the client that this belongs to is stopped" in str(run.exception())
