"""Who is connected, for what and doing what, as long as they are; and how each has gone."""

from typing import Any

import pytest

from rpyc_kernel import KernelClient
from tests.end_to_end.clients import PATIENCE_S, Connect
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel


def find(kernel: KernelClient, name: str) -> dict[str, Any]:
    return next(session for session in kernel.sessions() if session["name"] == name)


def channels(kernel: KernelClient, name: str) -> list[str]:
    return sorted(channel["channel"] for channel in find(kernel, name)["channels"])


def test_every_connection_is_known_as_long_as_it_is_open(kernel: KernelClient, connect: Connect) -> None:
    alice = connect(name="alice")
    alice.execute("data = [1]; gate = __import__('threading').Event()", timeout=PATIENCE_S)
    assert alice.namespace["data"][0] == 1
    alice.push(data=b"1" * 100_000)
    assert channels(kernel, "alice") == ["bulk", "commands", "objects"]
    run = alice.submit("gate.wait()")
    wait_until(lambda: find(kernel, "alice")["doing"] == "running", PATIENCE_S)
    assert find(kernel, "alice")["execution"] == run.id
    kernel.namespace["gate"].set()
    run.result(timeout=PATIENCE_S)
    assert find(kernel, "alice")["doing"] == "idle"
    alice.close()
    wait_until(lambda: channels(kernel, "alice") == [], PATIENCE_S)
    assert find(kernel, "alice")["doing"] == "gone"
    left = [event for event in kernel.events(since=0, follow=False) if event.kind == "client_left"]
    assert (left[-1].name, left[-1].why) == ("alice", "left")


def test_the_connections_that_a_worker_had_end_with_it(kernel: KernelClient, connect: Connect) -> None:
    alice = connect(name="alice")
    assert alice.namespace["__name__"] == "__main__"
    alice.push(data=b"1" * 100_000)
    assert channels(kernel, "alice") == ["bulk", "commands", "objects"]
    kernel.restart(timeout=PATIENCE_S)
    wait_until(lambda: channels(kernel, "alice") == ["commands"], PATIENCE_S)
