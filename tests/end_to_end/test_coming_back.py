"""Clients whose connection is lost come back by themselves: nothing is missing, nothing is there twice."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionLost, KernelClient, KernelDied
from rpyc_kernel.client.address import resolve
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders
from tests.support.proxy import DOWN, UP, Proxy, proxying
from tests.support.waiting import in_thread, wait_until

PREPARE = "import threading; gate = threading.Event(); ran = []"
Connect = Callable[..., KernelClient]


@pytest.fixture
def proxy(kernel: KernelClient) -> Iterator[Proxy]:
    """A network between the kernel and some of its clients."""
    port = next(info.port for info in rpyc_kernel.kernels() if info.name == kernel.name)
    with proxying(("127.0.0.1", port)) as proxy:
        yield proxy


@pytest.fixture
def far(kernel: KernelClient, proxy: Proxy) -> Iterator[KernelClient]:
    """A client behind that network."""
    key = resolve(kernel.name).key.secret.hex()
    with rpyc_kernel.connect(proxy.address, key=key, name="far", timeout=PATIENCE_S, reconnect=PATIENCE_S) as client:
        yield client


def wait_for_queued(kernel: KernelClient, code: str) -> int:
    """Wait until code was handed in; the number of its execution."""
    return wait_until(
        lambda: next((past.execution for past in kernel.history(code)), None), PATIENCE_S, what=f"{code!r} in the queue"
    )


def test_code_whose_answer_was_lost_has_run_once_and_is_answered(kernel: KernelClient, far: KernelClient, proxy: Proxy):
    kernel.execute(PREPARE)
    running = in_thread(lambda: far.execute("gate.wait(); ran.append('execute'); 'value'", timeout=PATIENCE_S).value)
    number = wait_for_queued(kernel, "'execute'")
    proxy.reset()
    submitted = far.submit("ran.append('submit'); len(ran)")
    ended: Future[Any] = Future()
    submitted.add_done_callback(ended.set_result)
    proxy.cut()
    kernel.eval("gate.set()")
    assert running.result(PATIENCE_S) == "value"
    assert submitted.result(PATIENCE_S) == 2
    assert ended.result(PATIENCE_S) is submitted
    assert kernel.eval("tuple(ran)") == ("execute", "submit")
    assert submitted.id == number + 1
    assert {session["name"]: session["connections"] for session in kernel.sessions()}["far"] == 1


def test_a_request_that_arrives_and_whose_answer_never_does_is_done_once(
    kernel: KernelClient, far: KernelClient, proxy: Proxy
):
    kernel.execute(PREPARE)
    far.status()
    for fault in (proxy.cut, proxy.reset):
        proxy.after(1, fault, DOWN)
        far.submit("ran.append('once')").result(PATIENCE_S)
        proxy.heal()
    assert kernel.eval("len(ran)") == 2


def test_a_follower_sees_every_event_once(kernel: KernelClient, far: KernelClient, proxy: Proxy):
    kernel.execute(PREPARE)
    run = kernel.submit(
        "for number in range(20_000):\n"
        "    print('line', number)\n"
        "    if number % 5_000 == 4_999: gate.wait(); gate.clear()"
    )
    proxy.after(20_000, proxy.cut, DOWN)
    seen, count = [], 0
    for event in far.events(execution=run.id):
        seen.append(event)
        if event.kind == Kind.STREAM:
            count += event.text.count("\n")
            if count and count % 5_000 == 0:  # all that there is: the next part is some 50,000 bytes
                proxy.after(20_000, proxy.cut, DOWN)
                kernel.eval("gate.set()")
    printed = "".join(event.text for event in seen if event.kind == Kind.STREAM)
    assert printed == "".join(f"line {number}\n" for number in range(20_000))
    assert [event.seq for event in seen] == sorted({event.seq for event in seen})
    assert proxy.accepted >= 2 + 4  # and each cut was come back from


def test_live_objects_and_transfers_of_a_way_that_fell_silent_are_made_anew_as_the_rest_is(
    kernel: KernelClient, proxy: Proxy
):
    """Nothing ever says that their connections are dead, and the hub answers again, by another one."""
    kernel.execute("thing = [1, 2, 3]; data = b'what is pulled'")
    key = resolve(kernel.name).key.secret.hex()
    with rpyc_kernel.connect(proxy.address, key=key, timeout=PATIENCE_S, silence=1.0) as far:
        assert far.namespace["thing"][0] == 1
        assert far.pull("data") == b"what is pulled"
        proxy.black_hole()
        waiting = in_thread(far.status)
        wait_until(lambda: proxy.swallowed, PATIENCE_S, "a question without an answer")
        proxy.heal()
        waiting.result(PATIENCE_S)
        with pytest.raises(ConnectionLost, match="nothing came for 1 s"):
            far.namespace["thing"]
        assert far.namespace["thing"][0] == 1
        assert far.pull("data", timeout=PATIENCE_S / 2) == b"what is pulled"


def test_live_objects_whose_connection_alone_falls_silent_are_lost_in_time_though_the_hub_answers(
    kernel: KernelClient, proxy: Proxy
):
    kernel.execute("thing = [1, 2, 3]")
    key = resolve(kernel.name).key.secret.hex()
    with rpyc_kernel.connect(proxy.address, key=key, timeout=PATIENCE_S, silence=1.0) as far:
        thing = far.namespace["thing"]
        proxy.black_hole_newest()
        with pytest.raises(ConnectionLost, match=r"nothing came for 1 s by this way, which is blocked.*take them anew"):
            thing[0] = 7
        assert far.namespace["thing"][0] == 1


def test_what_must_not_be_done_twice_says_that_it_may_have_been_done(
    kernel: KernelClient, far: KernelClient, proxy: Proxy
):
    kernel.execute(PREPARE)
    kernel.submit("gate.wait()")
    waiting = far.submit("ran.append('never')")
    proxy.after(1, proxy.cut, DOWN)
    with pytest.raises(ConnectionLost, match=r"'cancel' was answered .* may have been done"):
        far.cancel(waiting.id)
    proxy.heal()
    kernel.eval("gate.set()")
    assert waiting.exception(PATIENCE_S).outcome == "cancelled"


def test_a_push_that_is_cut_leaves_nothing_half_done(kernel: KernelClient, far: KernelClient, proxy: Proxy):
    far.push(a=1, b=2)
    proxy.after(200_000, proxy.reset, UP)
    with pytest.raises(ConnectionLost, match=r"half done.* Repeat it"):
        far.push(a=np.ones(1_000_000), b=3)
    assert kernel.eval("(a, b)") == (1, 2)
    proxy.heal()
    far.push(a=np.ones(1_000_000), b=3)
    assert kernel.eval("(a.sum().item(), b)") == (1_000_000.0, 3)


def test_live_objects_of_a_lost_connection_say_what_to_do_and_new_ones_work(
    kernel: KernelClient, far: KernelClient, proxy: Proxy
):
    kernel.execute("numbers = [1, 2, 3]")
    numbers = far.namespace["numbers"]
    assert numbers[0] == 1
    proxy.cut()
    with pytest.raises(ConnectionLost, match=r"take .* anew"):
        numbers[1]
    numbers = far.namespace["numbers"]
    assert numbers[1] == 2
    kernel.restart(timeout=PATIENCE_S)
    with pytest.raises(ConnectionLost, match="the worker was restarted, generation 2, and its objects are gone"):
        numbers[1]


def test_a_kernel_that_is_stopped_ends_all_waits_at_once(kernel: KernelClient, far: KernelClient):
    kernel.execute(PREPARE)
    run = far.submit("gate.wait()")
    waiting = in_thread(lambda: run.result())
    following = in_thread(lambda: list(far.events(since=0)))
    wait_for_queued(kernel, "gate.wait")
    kernel.shutdown(timeout=PATIENCE_S)
    assert isinstance(waiting.exception(PATIENCE_S), (KernelDied, ConnectionLost))
    following.exception(PATIENCE_S)
    wait_until(lambda: far.is_closed, PATIENCE_S, what="the hub's goodbye")
    with pytest.raises(ConnectionLost):
        far.status()


# ---------------------------------------------------------------------- another hub


@pytest.fixture
def start(folders: Folders) -> Iterator[Callable[..., KernelClient]]:
    """Starts a hub for the same kernel, again and again, and closes the clients at the end."""
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(rpyc_kernel.start("demo", timeout=PATIENCE_S, **options))


def kill_hub(kernel: KernelClient) -> None:
    os.kill(kernel.status()["hub_pid"], signal.SIGKILL)
    running = lambda: any(info.state == "running" for info in rpyc_kernel.kernels())  # noqa: E731
    wait_until(lambda: not running(), PATIENCE_S, what="the end of the hub")


def test_everything_goes_on_with_the_next_hub(start: Callable[..., KernelClient]):
    kernel = start(reconnect=PATIENCE_S)
    kernel.execute(PREPARE)
    seen: list[int] = []

    def follow() -> None:
        for event in kernel.events(since=0):
            seen.append(event.seq)
            if event.kind == Kind.FINISHED and event.execution == last:
                break

    last = 4
    following = in_thread(follow)
    running = in_thread(lambda: kernel.execute("gate.wait(); ran.append('execute'); 'value'").value)
    wait_for_queued(kernel, "'execute'")
    submitted = kernel.submit("ran.append('submit'); len(ran)")
    ended: Future[Any] = Future()
    submitted.add_done_callback(ended.set_result)
    kill_hub(kernel)
    other = start()
    other.eval("gate.set()")
    assert running.result(PATIENCE_S) == "value"
    assert submitted.result(PATIENCE_S) == 2
    assert ended.result(PATIENCE_S) is submitted
    assert kernel.eval("tuple(ran)") == ("execute", "submit")
    assert kernel.execute("len(ran)").value == 2
    following.result(PATIENCE_S)
    assert seen == list(range(1, len(seen) + 1))
    assert other.status()["last_execution"] == last


def test_a_hub_that_never_comes_is_waited_for_no_longer_than_the_limit(start: Callable[..., KernelClient]):
    kernel = start(reconnect=0.5)
    run = kernel.submit("input()")
    kill_hub(kernel)
    with pytest.raises(ConnectionLost, match="in vain"):
        run.result(PATIENCE_S)
    assert kernel.is_closed
    start()
