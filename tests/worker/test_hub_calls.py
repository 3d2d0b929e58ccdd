"""A session's calls to the hub, made by the worker for a client with nothing but RPyC."""

import threading
from concurrent.futures import Future

import pytest

from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.errors import ConnectionLost, NotRunning, RequestError
from rpyc_kernel.wire.netrefs.requests import Later
from rpyc_kernel.wire.values.client import RemoteError, ValueClient
from rpyc_kernel.worker.hub_calls import Commands, HubCalls, go_through
from tests.wire.peers import DEADLINE_S, value_server


class Hub:
    def __init__(self):
        self.asked = []
        self.waiting = Future()

    def exposed_hello(self):
        return "hello"

    def exposed_follow(self, *arguments):
        return self.waiting

    def exposed_interrupt(self, *arguments):
        raise NotRunning("nothing is running")

    def exposed_execute(self, *arguments):
        self.asked.append(arguments)
        return len(self.asked)

    def exposed_status(self):
        raise ZeroDivisionError("of the hub")


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def calls(hub):
    with value_server(hub) as (sock, _):
        calls = HubCalls(sock, "stock-1")
        calls.start()
        yield calls
        calls.close()
        calls._reader.join(DEADLINE_S)
        assert not calls._reader.is_alive()


def test_answers_come_in_any_order_on_a_thread_of_its_own(hub, calls):
    waiting = calls.ask(commands.FOLLOW, 1, 0, 20.0)
    assert calls.ask(commands.HELLO).result(DEADLINE_S) == "hello"
    assert not waiting.done()
    threads = []
    waiting.add_done_callback(lambda _: threads.append(threading.current_thread().name))
    hub.waiting.set_result((3, "[]"))
    assert waiting.result(DEADLINE_S) == (3, "[]")
    calls.ask(commands.HELLO).result(DEADLINE_S)  # and so the callback has run
    assert threads == ["stock-1-hub"]


def test_no_call_waits_for_the_hub(calls, monkeypatch):
    monkeypatch.setattr(ValueClient, "_exchange", lambda *_, **__: pytest.fail("this waits"))
    assert not calls.ask(commands.FOLLOW, 1, 0, 20.0).done()


def test_errors_of_ours_are_ours_again(calls):
    with pytest.raises(NotRunning, match="nothing is running"):
        calls.ask(commands.INTERRUPT, None).result(DEADLINE_S)
    with pytest.raises(RemoteError, match="of the hub"):
        calls.ask(commands.STATUS).result(DEADLINE_S)


def test_whoever_waits_for_a_hub_that_is_gone_is_told_what_to_do(hub, calls):
    waiting = calls.ask(commands.FOLLOW, 1, 0, 20.0)
    calls.close()
    for failed in (waiting, calls.ask(commands.HELLO)):
        with pytest.raises(ConnectionLost, match="is gone, or has ended it; live objects may go on; connect again"):
            failed.result(DEADLINE_S)


def test_every_command_can_be_called_by_place_and_by_name(hub, calls):
    named = Commands(calls)
    for name, command in COMMANDS.items():
        assert getattr(named, name).__doc__ == command.doc
    assert named.execute("1", True, "side").result(DEADLINE_S) == 1
    assert named.execute("1", lane="side").result(DEADLINE_S) == 2
    assert named.execute(code="1", lane="side").result(DEADLINE_S) == 3
    assert [asked[:3] for asked in hub.asked] == [("1", True, "side")] * 3
    with pytest.raises(RequestError, match="execute takes no 'line', but code, stop_on_error"):
        named.execute("1", line="side")
    with pytest.raises(RequestError, match="execute needs code"):
        named.execute(lane="side")


def test_steps_follow_each_other_and_end_with_an_answer_or_an_error():
    first, second = Later(), Later()

    def add():
        return (yield first) + (yield second)

    total = go_through(add())
    second.set_result(2)
    assert not total.done()
    first.set_result(1)
    assert total.result(0) == 3

    failing = Later()
    failed = go_through(x for x in [failing])
    failing.set_exception(KeyError("nothing"))
    with pytest.raises(KeyError, match="nothing") as caught:
        failed.result(0)
    assert "go_on" not in [entry.name for entry in caught.traceback]
