"""A call of the hub: its answer, or why there is none, in errors of ours; and what becomes of it at a loss."""

import contextlib
import itertools
import os
import select
import socket
import threading
from concurrent.futures import Future
from queue import Queue
from types import SimpleNamespace

import pytest

from rpyc_kernel.client import hub_connection
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.core.contract import Role, encode_events, freeze
from rpyc_kernel.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    KernelError,
    NoSuchExecution,
    NotPermitted,
)
from rpyc_kernel.settings import ClientSettings
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.values.client import RemoteError, ValueClient
from rpyc_kernel.wire.values.server import serve_values
from tests.support.waiting import in_thread, wait_until
from tests.wire.interrupts import MAY_BE_SWALLOWED, interrupt_at
from tests.wire.peers import DEADLINE_S, Serving, socket_pair

STATUS = freeze(
    {
        **dict.fromkeys(("queue", "side", "prompts", "sessions"), ()),
        "state": "idle",
        "running": None,
        "generation": 1,
        "last": 5,
    }
)


class Hub:
    """A hub's service, which counts what it is asked, and answers when the test says."""

    def __init__(self, last=5):
        self.last = last
        self.asked = []
        self.waiting = []

    def exposed_hello(self):
        return freeze({"last": self.last, "hub_pid": 7, "cursor": None, "came_first": True, "kernel": "demo"})

    def exposed_find(self, execution):
        return execution

    def exposed_status(self):
        return self._later("status")

    def exposed_follow(self, *arguments):
        return self._later("follow", *arguments)

    def exposed_interrupt(self, *arguments):
        return self._later("interrupt", *arguments)

    def _later(self, *asked):
        self.asked.append(asked)
        self.waiting.append(Future())
        return self.waiting[-1]

    def wait_for(self, count):
        wait_until(lambda: len(self.asked) >= count, DEADLINE_S, f"{count} questions")


class Network:
    """An address that leads to one hub, or fails as the test says, and connections that the test can cut."""

    shown = "kernel 'demo'"

    def __init__(self, hub):
        self.hub = hub
        self.failure = None
        self.entered = []
        self.tried = threading.Semaphore(0)
        self.has_stopped = False
        self._served = []

    def enter(self, channel, identity, timeout_s, *, was_there):
        self.entered.append(identity)
        self.tried.release()
        if self.failure is not None:
            raise self.failure
        self.near, far = socket_pair()
        serving = Serving(lambda: serve_values(far, self.hub, name="hub", is_dismissed=lambda: self.has_stopped))
        self._served.append((far, serving))
        return self.near, Identity("mine", "me", Role.OWNER)

    def cut(self):
        """End the connection, as a network does that was there."""
        self.near.shutdown(socket.SHUT_RDWR)

    def stop(self):
        """Have the hub leave its clients."""
        self.has_stopped = True
        self._served[-1][0].shutdown(socket.SHUT_RD)
        self._served[-1][1].join()

    def close(self):
        for far, serving in self._served:
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            serving.join()


@contextlib.contextmanager
def connecting(reconnect_s=60.0, last=5):
    network = Network(Hub(last))
    connection = HubConnection(network, 1, Identity(), ClientSettings(reconnect_s=reconnect_s))
    try:
        yield network, connection
    finally:
        connection.close()
        network.close()


@pytest.fixture
def stage():
    with connecting() as (network, connection):
        yield network, connection


def some_events(last=9):
    return (last, encode_events([]))


# ---- answers ----


def answering(connection, error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(connection._client, "call", fail)
    return connection


def test_no_answer_in_time_says_what_was_asked_and_for_how_long(stage, monkeypatch):
    with pytest.raises(CallTimeout, match="kernel 'demo' did not answer 'status' within 10 s"):
        answering(stage[1], CallTimeout(), monkeypatch).call(COMMANDS["status"])


def test_an_answer_that_is_a_time_out_of_the_hubs_is_no_time_out_of_the_call(stage, monkeypatch):
    error = RemoteError("builtins.TimeoutError", "of a disk")
    with pytest.raises(KernelError, match="failed at what was asked: TimeoutError: of a disk") as raised:
        answering(stage[1], error, monkeypatch).call(COMMANDS["status"])
    assert not isinstance(raised.value, CallTimeout)


def test_an_error_of_ours_keeps_its_class(stage, monkeypatch):
    error = RemoteError("rpyc_kernel.errors.NoSuchExecution", "no execution 7")
    with pytest.raises(NoSuchExecution, match="no execution 7"):
        answering(stage[1], error, monkeypatch).call(COMMANDS["find"])


# ---- a connection that is lost ----


def test_who_waits_for_an_answer_is_asked_for_again_as_the_same_session(stage):
    network, connection = stage
    asking = in_thread(lambda: connection.call(commands.FOLLOW, 3, 4, 20.0))
    network.hub.wait_for(1)
    network.cut()
    network.hub.wait_for(2)
    network.hub.waiting[1].set_result(some_events())
    assert asking.result(DEADLINE_S) == (9, [])
    assert network.hub.asked == [("follow", 3, 4, 20.0)] * 2
    assert [identity.session for identity in network.entered] == ["", "mine"]
    assert connection.is_connected


def test_what_must_not_be_asked_twice_says_that_it_may_have_been_done(stage):
    network, connection = stage
    asking = in_thread(lambda: connection.call(commands.INTERRUPT))
    network.hub.wait_for(1)
    network.cut()
    with pytest.raises(ConnectionLost, match=r"'interrupt' was answered .* it may have been done: see"):
        asking.result(DEADLINE_S)
    assert network.hub.asked == [("interrupt",)]


def test_what_must_not_be_asked_twice_is_asked_by_a_connection_that_is_there(stage):
    network, connection = stage
    network.cut()
    asking = in_thread(lambda: connection.call(commands.INTERRUPT))
    network.hub.wait_for(1)
    network.hub.waiting[0].set_result(3)
    assert asking.result(DEADLINE_S) == 3


def test_a_started_call_is_kept_and_completed_once(stage):
    network, connection = stage
    called = []
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    asked.add_done_callback(called.append)
    network.hub.wait_for(1)
    network.cut()
    waiting = in_thread(lambda: asked.result(DEADLINE_S))
    network.hub.wait_for(2)
    network.hub.waiting[1].set_result(some_events())
    assert waiting.result(DEADLINE_S) == some_events()
    assert called == [asked]
    assert not connection._kept


def test_what_is_started_while_there_is_no_connection_waits_for_it(stage):
    network, connection = stage
    network.failure = ConnectionFailed("refused")
    network.cut()
    assert not connection.is_connected
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    assert not asked.done()
    network.failure = None
    network.hub.wait_for(1)
    network.hub.waiting[0].set_result(some_events())
    connection.read_until(lambda: asked.is_settled)
    assert asked.result(0) == some_events()


@pytest.mark.parametrize("is_lost", [False, True])
def test_what_is_to_be_asked_no_more_fails_when_its_connection_is_lost(stage, is_lost):
    network, connection = stage
    network.failure = ConnectionFailed("refused")
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    network.hub.wait_for(1)
    if is_lost:
        network.cut()
        assert not connection.is_connected
    asked.ask_no_more()
    if not is_lost:
        assert not asked.done()
        network.cut()
        assert not connection.is_connected
    network.failure = None
    assert connection.call(COMMANDS["find"], 3) == 3
    with pytest.raises(ConnectionLost):
        asked.result(0)
    assert network.hub.asked == [("follow", 3, 4, 20.0)]
    assert not connection._kept


def test_what_a_started_call_raises_is_ours(stage):
    network, connection = stage
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    network.hub.wait_for(1)
    network.hub.waiting[0].set_exception(NoSuchExecution("no execution 3"))
    with pytest.raises(NoSuchExecution, match="no execution 3"):
        asked.result(DEADLINE_S)


def test_a_loop_is_told_by_another_descriptor(stage):
    network, connection = stage
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    network.hub.wait_for(1)
    network.cut()
    lost = connection.fileno()

    def answer():
        network.hub.wait_for(2)
        network.hub.waiting[1].set_result(some_events())

    told = in_thread(answer)
    while not asked.is_settled:
        assert select.select([connection.fileno()], [], [], DEADLINE_S)[0]
        connection.read_ready()
    told.result(DEADLINE_S)
    assert asked.result(0) == some_events()
    assert connection.fileno() == network.near.fileno()
    assert connection.fileno() != lost or network.near.fileno() == lost


def test_a_loop_never_waits_for_the_way_back(stage):
    network, connection = stage
    network.failure = ConnectionFailed("refused")
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    network.cut()
    connection.read_ready()
    bell = connection.fileno()
    assert not select.select([bell], [], [], 0)[0]
    network.failure = None
    network.hub.wait_for(2)
    assert select.select([bell], [], [], DEADLINE_S)[0]
    connection.read_ready()
    assert connection.fileno() == network.near.fileno()
    assert not asked.is_settled


# ---- when there is no way back ----


def test_a_limit_of_nothing_is_as_it_was(monkeypatch):
    with connecting(reconnect_s=0) as (network, connection):
        asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
        asking = in_thread(lambda: connection.call(commands.STATUS))
        network.hub.wait_for(2)
        network.cut()
        for each in (asked, asking):
            with pytest.raises(ConnectionLost):
                each.result(DEADLINE_S)
        assert connection.is_closed
        assert len(network.entered) == 1


@pytest.mark.parametrize("failure", [AuthenticationFailed("the hub refused the key"), KernelError("another")])
def test_an_end_without_hope_is_told_to_all_at_once(stage, failure):
    network, connection = stage
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    asking = in_thread(lambda: connection.call(commands.STATUS))
    network.hub.wait_for(2)
    network.failure = failure
    network.cut()
    for each in (asked, asking):
        assert type(each.exception(DEADLINE_S)) is type(failure)
    with pytest.raises(type(failure), match=str(failure)):
        connection.call(commands.STATUS)
    assert connection.is_closed


def test_a_hub_that_says_goodbye_is_not_looked_for():
    with connecting() as (network, connection):
        network.stop()
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="kernel 'demo' is gone"):
                connection.call(commands.STATUS)
        assert connection.is_closed
        assert len(network.entered) == 1


def test_a_kernel_that_knows_nothing_of_what_was_known_is_another():
    with connecting(last=50) as (network, connection):
        connection.hello()
        network.hub.last = 3
        network.cut()
        with pytest.raises(KernelError, match="not the kernel that it was: its last event is 3, and 50 was known"):
            connection.call(commands.STATUS)


def test_the_limit_ends_it(monkeypatch):
    with connecting(reconnect_s=0.2) as (network, connection):
        network.failure = ConnectionFailed("refused")
        network.cut()
        with pytest.raises(ConnectionLost, match=r"tried again for 0 s, in vain: .*refused"):
            connection.call(commands.STATUS)
        assert connection.is_closed


def test_a_calls_own_limit_holds_and_the_way_back_goes_on(stage):
    network, connection = stage
    network.failure = ConnectionFailed("refused")
    network.cut()
    with pytest.raises(CallTimeout, match=r"within 0\.1 s; the connection is lost: "):
        connection.call(commands.STATUS, timeout_s=0.1)
    network.failure = None
    asking = in_thread(lambda: connection.call(commands.STATUS))
    network.hub.wait_for(1)
    network.hub.waiting[0].set_result(STATUS)
    asking.result(DEADLINE_S)


def test_closing_ends_all_waits_at_once(stage):
    network, connection = stage
    network.failure = ConnectionFailed("refused")
    asked = connection.start(commands.FOLLOW, 3, 4, 20.0)
    network.cut()
    asking = in_thread(lambda: connection.call(commands.STATUS))
    for _ in range(5):  # so that there is a pause to break off
        assert network.tried.acquire(timeout=DEADLINE_S)
    connection.close()
    for each in (asked, asking):
        with pytest.raises(ConnectionLost, match="closed here"):
            each.result(DEADLINE_S)


def test_a_fork_of_the_process_makes_no_connection(stage, monkeypatch):
    network, connection = stage
    network.cut()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ConnectionLost, match="not to this fork of it"):
        connection.call(commands.STATUS)
    monkeypatch.undo()
    assert len(network.entered) == 1


def test_ctrl_c_at_any_moment_leaves_the_way_back_usable(stage, monkeypatch):
    network, connection = stage
    starts = hub_connection.start_threads

    def interrupt(*threads):
        monkeypatch.setattr(hub_connection, "start_threads", starts)
        raise KeyboardInterrupt

    monkeypatch.setattr(hub_connection, "start_threads", interrupt)
    network.cut()
    with pytest.raises(KeyboardInterrupt):
        connection.call(commands.STATUS)
    asking = in_thread(lambda: connection.call(commands.STATUS))
    network.hub.wait_for(1)
    network.hub.waiting[0].set_result(STATUS)
    asking.result(DEADLINE_S)


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_on_the_way_back_leaves_the_connection_usable(stage):
    network, connection = stage
    for place in itertools.count(1, 5):
        network.cut()
        is_hit = interrupt_at(place, lambda: connection.call(commands.FIND, 1))
        assert connection.call(commands.FIND, 2, timeout_s=DEADLINE_S) == 2
        assert not connection._lock.locked()
        if not is_hit:
            break
    assert place > 50


def test_a_connection_that_never_holds_is_not_made_for_ever(monkeypatch):
    """Each is lost as soon as it is asked anything: the limit counts for all of them together."""
    with connecting(reconnect_s=1.5) as (network, connection):
        calls = ValueClient.call

        def cut_at_status(self, method, arguments=(), timeout_s=None):
            if method == "status":
                network.cut()
            return calls(self, method, arguments, timeout_s)

        monkeypatch.setattr(ValueClient, "call", cut_at_status)
        with pytest.raises(ConnectionLost):
            connection.call(commands.STATUS, timeout_s=DEADLINE_S)
        assert len(network.entered) > 2


def test_who_is_sent_away_hears_why_and_of_no_attempt_to_come_back():
    network, told = Network(Hub()), []
    connection = HubConnection(network, 1, Identity(), ClientSettings(), told.append)
    try:
        network.failure = NotPermitted("'bob' has ended this session")
        network.cut()
        with pytest.raises(NotPermitted, match="'bob' has ended this session"):
            connection.call(commands.STATUS, timeout_s=DEADLINE_S)
    finally:
        connection.close()
        network.close()
    assert told == []


def test_who_listens_is_told_of_the_loss_and_then_of_what_is_in_the_way():
    network, told = Network(Hub()), Queue()
    connection = HubConnection(network, 1, Identity(), ClientSettings(), told.put)
    try:
        network.failure = ConnectionFailed("nobody listens")
        network.cut()
        asking = in_thread(lambda: connection.call(commands.FIND, 1, timeout_s=DEADLINE_S))
        assert told.get(timeout=DEADLINE_S).endswith("; trying again for 60 s")
        assert told.get(timeout=DEADLINE_S) == "nobody listens"
        network.failure = None
        assert asking.result(DEADLINE_S) == 1
        assert told.get(timeout=DEADLINE_S) == ""
    finally:
        connection.close()
        network.close()


def test_who_listens_is_told_at_once_of_a_way_that_is_silent(monkeypatch):
    network, told = Network(Hub()), []
    settings = ClientSettings(silence_s=0.1)
    connection = HubConnection(network, 1, Identity(), settings, told.append)
    enter, told_before = network.enter, []

    def keep(*arguments, **known):
        told_before.append(len(told))
        return enter(*arguments, **known)

    try:
        monkeypatch.setattr(network, "enter", keep)
        monkeypatch.setattr(connection._client, "_arriving", SimpleNamespace(poll=lambda _: []))
        assert connection.call(commands.FIND, 1, timeout_s=DEADLINE_S) == 1
    finally:
        connection.close()
        network.close()
    assert told_before[0] == 1


def test_who_listens_is_told_of_the_loss_and_of_the_return():
    network, told = Network(Hub()), []
    connection = HubConnection(network, 1, Identity(), ClientSettings(), told.append)
    try:
        network.cut()
        asking = in_thread(lambda: connection.call(commands.STATUS))
        network.hub.wait_for(1)
        network.hub.waiting[0].set_result(STATUS)
        asking.result(DEADLINE_S)
    finally:
        connection.close()
        network.close()
    assert len(told) == 2
    assert told[0].startswith("the connection to kernel 'demo' is lost: ")
    assert told[0].endswith("; trying again for 60 s")
    assert told[1] == ""
