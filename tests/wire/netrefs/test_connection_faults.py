"""What must not end a connection, and what its end must do."""

import logging
import socket
import sys
import threading
import traceback

import pytest
import rpyc
from rpyc.core import consts, vinegar

from rpyc_kernel.errors import CallTimeout, ConnectionLost
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs import connection as connection_module
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG, Connection
from rpyc_kernel.wire.netrefs.connection import connect_peer as connect
from rpyc_kernel.wire.refusal import refuse
from tests.support.waiting import wait_until
from tests.wire.peers import (
    DEADLINE_S,
    Serving,
    open_stock,
    our_client,
    our_pair,
    our_server,
    socket_pair,
    stock_client,
    stock_pair,
    stock_server,
)
from tests.wire.services import Gate, Workshop
from tests.wire.stages import closing_all, wait_until_blocked

HAS_GROUPS = sys.version_info >= (3, 11)

UNSENDABLE = """
import sys
class Secretive:
    def __getattr__(self, name): raise LookupError(name)
class Liar:
    @property
    def __class__(self): raise LookupError("no class")
def make_deep():
    deep = ()
    for _ in range(5000): deep = (deep,)
    return deep
makers = dict(
    huge=lambda: 10 ** 5000, surrogate=lambda: "\\ud800", deep=make_deep, secretive=Secretive, liar=Liar,
    large=lambda: bytes(2_000_000), beside=lambda: (object(), "\\ud800"),
)
"""

UNRAISABLE = """
class Raising(Exception):
    @property
    def detail(self): raise LookupError("no detail")
class Exiting(Exception):
    @property
    def detail(self): raise SystemExit
class Unspeakable(Exception):
    def __repr__(self): raise LookupError
    __str__ = __repr__
    def __dir__(self): raise LookupError
def fail(error): raise error
makers = dict(
    property=lambda: fail(Raising("p")), exit=lambda: fail(Exiting("e")), huge=lambda: fail(ValueError(10 ** 5000)),
    surrogate=lambda: fail(ValueError("\\udfff", "x")), unspeakable=lambda: fail(Unspeakable(Unspeakable())),
    large=lambda: fail(ValueError(bytes(2_000_000))),
)
"""


def ends_the_connection(code, name):
    """Whether a call to one of the code's makers ends a stock connection."""
    with stock_pair() as (client, serving):
        client.root.execute(code)
        make = client.root.eval("makers")[name]
        client._config["sync_request_timeout"] = 2
        with pytest.raises(Exception):  # noqa: B017 - EOFError, or what the loss of the connection led to
            make()
        return wait_until(lambda: serving.is_over or serving.error)


# ---- answers that cannot be sent ----


@pytest.mark.parametrize("name", ["huge", "surrogate", "deep", "secretive", "liar"])
def test_stock_dies_of_a_reply_that_it_cannot_encode(name):
    assert ends_the_connection(UNSENDABLE, name)


@pytest.mark.parametrize("name", ["huge", "surrogate", "deep", "liar", "large", "beside"])
def test_a_reply_that_cannot_be_encoded_becomes_an_error(name):
    near, far = socket_pair()
    server = connect(far, Workshop(), name="server", config=WORKER_CONFIG, max_frame_bytes=1_000_000)
    with our_client(near) as client:
        client.root.execute(UNSENDABLE)
        maker = client.root.eval("makers")[name]
        exported = len(server._local_objects)
        with pytest.raises((ValueError, UnicodeError, RecursionError, LookupError, vinegar.GenericException)):
            maker()
        assert client.root.eval("1 + 1") == 2
        wait_until(lambda: len(server._local_objects) <= exported)
    server.close()


def test_an_object_is_let_go_when_the_collector_has_taken_its_proxy():
    with our_pair() as (client, server):
        evaluate = client.root.eval  # so that its own reference stays
        assert evaluate("1") == 1
        before = len(server._local_objects)
        proxy = evaluate("object()")
        assert len(server._local_objects) == before + 1
        del proxy
        wait_until(lambda: len(server._local_objects) == before)


def test_what_was_given_in_a_reply_that_cannot_be_encoded_is_taken_back():
    with our_pair() as (client, server):
        evaluate = client.root.eval  # so that its own reference stays
        assert evaluate("1") == 1
        before = len(server._local_objects)
        with pytest.raises(Exception, match="surrogate"):
            evaluate(r"(object(), '\ud800')")
        assert len(server._local_objects) == before


def test_an_object_whose_attributes_raise_can_be_referred_to():
    with our_pair() as (client, _):
        client.root.execute(UNSENDABLE)
        secretive = client.root.eval("Secretive()")
        with pytest.raises(LookupError):
            _ = secretive.anything
        assert client.root.eval("lambda thing: type(thing) is Secretive")(secretive)


@pytest.mark.parametrize("name", ["property", "huge", "surrogate", "unspeakable"])
def test_stock_dies_of_an_exception_that_it_cannot_dump(name):
    assert ends_the_connection(UNRAISABLE, name)


@pytest.mark.parametrize("name", ["property", "exit", "huge", "surrogate", "unspeakable", "large"])
@pytest.mark.parametrize("client_side", [our_client, stock_client])
def test_an_exception_that_cannot_be_dumped_is_reported_as_far_as_possible(name, client_side):
    near, far = socket_pair()
    server = connect(far, Workshop(), name="server", config=WORKER_CONFIG, max_frame_bytes=1_000_000)
    with client_side(near) as client:
        client.root.execute(UNRAISABLE)
        with pytest.raises(Exception) as caught:
            client.root.eval("makers")[name]()
        expected = {"property": "Raising", "exit": "Exiting", "unspeakable": "Unspeakable", "large": "RuntimeError"}
        names = [kind.__name__ for kind in type(caught.value).__mro__]
        assert expected.get(name, "ValueError") in names[0].split(".")[-1:] + names
        assert client.root.eval("1 + 1") == 2
    server.close()


def test_stock_dies_of_a_keyboard_interrupt_in_a_served_call():
    with stock_pair() as (client, serving):
        client.root.execute("def stop(): raise KeyboardInterrupt")
        with pytest.raises((EOFError, KeyboardInterrupt)):
            client.root.eval("stop")()
        wait_until(lambda: serving.is_over)
        assert isinstance(serving.error, KeyboardInterrupt)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_a_served_call_raises_goes_to_the_caller(kind):
    with our_pair() as (client, _):
        client.root.execute(f"def stop(): raise {kind.__name__}('why')")
        stop = client.root.eval("stop")
        for _ in range(2):
            with pytest.raises(kind, match="why"):
                stop()


@pytest.mark.skipif(not HAS_GROUPS, reason="exception groups are new in Python 3.11")
def test_stock_cannot_load_an_exception_group():
    with stock_pair() as (client, _):
        client.root.execute("def fail(): raise ExceptionGroup('several', [ValueError(1), KeyError('k')])")
        with pytest.raises(TypeError):
            client.root.eval("fail")()


@pytest.mark.skipif(not HAS_GROUPS, reason="exception groups are new in Python 3.11")
def test_an_exception_group_arrives_with_its_members():
    with our_pair() as (client, _):
        client.root.execute("def fail(): raise ExceptionGroup('several', [ValueError(1), KeyError('k')])")
        with pytest.raises(ExceptionGroup, match="several") as caught:  # noqa: F821
            client.root.eval("fail")()
        assert [(type(error).__mro__[1], error.args) for error in caught.value.exceptions] == [
            (ValueError, (1,)),
            (KeyError, ("k",)),
        ]
        assert caught.value.remote_type == "builtins.ExceptionGroup"


@pytest.mark.skipif(not HAS_GROUPS, reason="exception groups are new in Python 3.11")
def test_an_exception_group_of_a_stock_server_arrives_as_what_is_left_of_it():
    with stock_server() as (sock, _), our_client(sock) as client:
        client.root.execute("def fail(): raise ExceptionGroup('several', [ValueError(1)])")
        with pytest.raises(vinegar.GenericException, match="several") as caught:
            client.root.eval("fail")()
        assert caught.value.remote_type == "builtins.ExceptionGroup"


@pytest.mark.skipif(not HAS_GROUPS, reason="exception groups are new in Python 3.11")
def test_a_stock_client_survives_our_exception_group():
    with our_server() as (sock, _), stock_client(sock) as client:
        client.root.execute("def fail(): raise ExceptionGroup('several', [ValueError(1)])")
        with pytest.raises(vinegar.GenericException, match="several"):
            client.root.eval("fail")()
        assert client.root.eval("1 + 1") == 2


CHAINED = """
def fail():
    try:
        {}["key"]
    except KeyError as error:
        failure = ValueError("outer")
        failure.__notes__ = ["a note"]
        raise failure from error
def fail_again():
    try:
        fail()
    except ValueError:
        raise RuntimeError("while handling")
"""


def test_stock_loses_notes_cause_and_context():
    with stock_pair() as (client, _):
        client.root.execute(CHAINED)
        with pytest.raises(ValueError, match="outer") as caught:
            client.root.eval("fail")()
        assert caught.value.__cause__ is None
        assert not hasattr(caught.value, "__notes__")


def test_notes_cause_and_context_arrive():
    with our_pair() as (client, _):
        client.root.execute(CHAINED)
        with pytest.raises(RuntimeError) as caught:
            client.root.eval("fail_again")()
        inner = caught.value.__context__
        assert isinstance(inner, ValueError)
        assert inner.__notes__ == ["a note"]
        assert isinstance(inner.__cause__, KeyError)
        assert inner.__cause__.args == ("key",)
        assert "a note" in "".join(traceback.format_exception(caught.value)) or not HAS_GROUPS


def test_a_stock_client_is_not_troubled_by_notes_cause_and_context():
    with our_server() as (sock, _), stock_client(sock) as client:
        client.root.execute(CHAINED)
        with pytest.raises(RuntimeError, match="while handling"):
            client.root.eval("fail_again")()


# ---- the end of a connection ----


def test_stock_never_completes_what_was_pending_when_the_connection_was_lost():
    gate = Gate()
    with stock_server(Workshop(gate=gate)) as (sock, _):
        client = open_stock(sock)
        calls = []
        result = rpyc.async_(client.root.eval("gate"))()
        result.add_callback(calls.append)
        gate.wait_reached()
        sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(EOFError):
            for _ in range(10):  # answers to earlier requests may come first
                client.serve(1)
        assert not calls
        assert not result._is_ready
        gate.open()


def test_the_loss_of_the_connection_completes_everything_pending():
    gate = Gate()
    with our_pair(Workshop(gate=gate)) as (client, server):
        calls = []
        wait = rpyc.async_(client.root.eval("gate"))
        results = [wait() for _ in range(3)]
        for result in results:
            result.add_callback(calls.append)
        waiting = Serving(results[0].wait)
        gate.wait_reached()
        server._channel.close()
        wait_until(lambda: len(calls) == 3)
        waiting.join()
        assert client.closed
        for result in results:
            assert result.ready
            assert result.error
            with pytest.raises(ConnectionLost, match="client"):
                _ = result.value
        with pytest.raises(EOFError):
            client.root.eval("1")
        gate.open()


def test_stock_does_not_notice_the_end_of_its_server():
    near, far = socket_pair()
    client = open_stock(near)
    far.close()
    assert not client.closed
    near.close()
    client._channel.close()
    client.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_an_idle_client_notices_the_end_of_its_server(kind):
    near, far = socket_pair(kind)
    with our_client(near) as client:
        assert not client.closed
        far.close()
        wait_until(lambda: client.closed)


def test_stock_closing_waits_for_a_busy_peer():
    gate = Gate()
    with stock_server(Workshop(gate=gate)) as (sock, _):
        client = open_stock(sock)
        rpyc.async_(client.root.eval("gate"))()
        gate.wait_reached()
        closing = Serving(client.close)
        wait_until_blocked(closing)
        gate.open()
        closing.join()


@pytest.mark.parametrize("server", [stock_server, our_server])
def test_closing_waits_for_nobody(server):
    gate = Gate()
    with server(Workshop(gate=gate)) as (sock, _):
        with our_client(sock) as client:
            rpyc.async_(client.root.eval("gate"))()
            gate.wait_reached()
            closing = Serving(client.close)
            closing.join()
            assert client.closed
        gate.open()


def test_closing_waits_for_no_peer_that_takes_nothing():
    near, far = socket_pair()
    with our_client(near) as client:
        for _ in range(10):
            client.async_request(consts.HANDLE_PING, bytes(1_000_000))
        Serving(client.close).join()
    far.close()


def test_stock_fails_when_both_sides_close_at_once():
    near, far = socket_pair()
    left, right = open_stock(near), open_stock(far)
    # Each finds the other's request to close where it expects the answer to its own.
    left._async_request(consts.HANDLE_CLOSE)
    closing = Serving(right.close)
    closing.join()
    assert isinstance(closing.error, AttributeError)
    left._channel.close()
    left.close()


def test_both_sides_can_close_at_once_and_any_number_of_times():
    for _ in range(20):
        with our_pair(Workshop(), Workshop()) as (client, server):
            roots = client._local_root, server._local_root
            closings = [Serving(side.close) for side in (client, server) for _ in range(3)]
            for closing in closings:
                closing.join()
                assert closing.error is None
            wait_until(lambda roots=roots: all(root.goodbyes for root in roots))
            assert [root.goodbyes for root in roots] == [1, 1]


def test_a_service_is_told_once_that_its_peer_has_left():
    service = Workshop()
    with our_server(service) as (sock, server):
        with our_client(sock) as client:
            client.ping()
        wait_until(lambda: service.goodbyes)
        server.close()
    assert service.goodbyes == 1


def test_a_service_may_refuse_its_peer():
    class Refusing(rpyc.VoidService):
        def on_connect(self, conn):
            raise PermissionError("not today")

    near, far = socket_pair()
    with pytest.raises(PermissionError, match="not today"):
        connect(near, Refusing, name="refusing", config=CLIENT_CONFIG)
    assert far.recv(1000)[5:6] == b"\x01"  # the request to close
    far.close()


def test_what_was_asked_before_the_end_is_still_done():
    gate = Gate()
    with our_server(Workshop(gate=gate)) as (sock, server):
        namespace = server._local_root.namespace
        with our_client(sock) as client:
            client.root.execute("seen = []")
            note, wait = rpyc.async_(client.root.eval("seen.append")), rpyc.async_(client.root.eval("gate"))
            wait()
            for number in range(10):
                note(number)
        assert not namespace["seen"]
        gate.open()
        wait_until(lambda: namespace["seen"] == list(range(10)))


def test_a_request_may_close_its_own_connection():
    with our_pair() as (client, server):
        close = client.root.eval("lambda connection: connection.close()")
        server._local_root.namespace["server"] = server
        with pytest.raises(EOFError):
            client.root.execute("server.close()")
        with pytest.raises(EOFError):
            close(1)
        wait_until(lambda: server.closed)


def test_a_netref_outlives_its_connection_without_blocking():
    with our_pair() as (client, _):
        client.root.execute("class Thing: pass")
        thing = client.root.eval("Thing()")
        client.close()
        with pytest.raises(EOFError):
            repr(thing)
        with pytest.raises(EOFError):
            _ = thing.anything
        del thing


# ---- replies that nobody takes ----


def test_a_reply_in_time_and_one_too_late():
    gate = Gate()
    with our_pair(Workshop(gate=gate)) as (client, _):
        wait = client.root.eval("gate")
        late = rpyc.timed(wait, 0.05)()
        with pytest.raises(TimeoutError):
            late.wait()
        with pytest.raises(CallTimeout):
            _ = late.value
        assert late.expired
        assert not late.ready
        gate.open()
        assert rpyc.timed(wait, DEADLINE_S)().value is True
        assert not late.ready


@pytest.mark.parametrize("fate", ["late", "unopened", "abandoned"])
def test_the_references_in_a_reply_that_nobody_takes_are_given_back(fate):
    gate = Gate()
    with our_pair(Workshop(gate=gate)) as (client, server):
        client.root.execute("class Thing: pass\ndef make():\n    gate()\n    return Thing(), (Thing(), 1)")
        make = rpyc.async_(client.root.eval("make"))
        client.ping()
        wait_until(lambda: len(server._local_objects) == 2)  # the root and the function
        result = make()
        gate.wait_reached()
        results = [result]
        del result
        if fate == "late":
            results[0].set_expiry(0)
        if fate == "abandoned":
            results.clear()
        gate.open()
        if fate == "unopened":
            wait_until(lambda: results[0].ready)
            assert len(server._local_objects) == 4
            results.clear()
        wait_until(lambda: not client._pending)
        wait_until(lambda: len(server._local_objects) == 2)


def test_a_reply_is_built_once_for_all_who_ask():
    with our_pair() as (client, server):
        client.root.execute("class Thing: pass")
        results = [rpyc.async_(client.root.eval)("Thing()")]
        seen = []
        asking = [Serving(lambda: seen.append(results[0].value)) for _ in range(8)]
        for each in asking:
            each.join()
        assert len(seen) == 8
        assert all(thing is seen[0] for thing in seen)
        seen.clear()
        results.clear()
        wait_until(lambda: len(server._local_objects) <= 3)


def test_the_end_of_a_connection_is_logged_where_it_was_not_clean(caplog):
    near, far = socket_pair()
    with caplog.at_level(logging.ERROR), our_client(near, max_frame_bytes=1000) as client:
        pending = client.async_request(consts.HANDLE_PING, b"")
        far.sendall(b"\xff\xff\xff\xff\x00")
        with pytest.raises(ConnectionLost, match="4294967295 bytes"):
            _ = pending.value
    far.close()
    assert "client: cut, because the peer announced a frame of 4294967295 bytes; the limit is 1000" in caplog.text


def test_connections_end_without_a_trace():
    before = threading.active_count()
    for _ in range(10):
        with our_pair() as (client, _):
            client.ping()
    wait_until(lambda: threading.active_count() <= before)


# ---- what a peer says before it goes ----


class ReadLate(Channel):
    """Reads when it may, and tells when it is closed."""

    def __init__(self, sock):
        super().__init__(sock, may_peek=True)
        self.may_read, self.is_given_up = threading.Event(), threading.Event()

    def recv(self):
        assert self.may_read.wait(DEADLINE_S)
        return super().recv()

    def close(self):
        super().close()
        self.is_given_up.set()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_cannot_send_any_more_hears_what_the_peer_has_said_last(kind):
    near, far = socket_pair(kind)
    channel = ReadLate(near)

    class End(Latch):
        def wait(self, timeout_s=None):
            channel.is_given_up.set()
            return super().wait(timeout_s)

    connection = Connection(rpyc.VoidService(), channel, {**CLIENT_CONFIG, "connid": "client"})
    connection._over = End()
    with closing_all(connection):
        connection.start()
        refuse(far, "No module named 'rpyc'")
        asking = [Serving(lambda: connection.root)]
        while not channel.is_given_up.is_set():  # by TCP the first is taken
            asking.append(Serving(lambda: connection.root))
            wait_until_blocked(asking[-1])
        asking.append(Serving(lambda: connection.root))
        wait_until_blocked(asking[-1])
        channel.may_read.set()
        for caller in asking:
            caller.join()
            assert isinstance(caller.error, ConnectionLost)
            assert "No module named 'rpyc'" in str(caller.error)


def test_a_peer_that_has_only_stopped_reading_is_given_up(monkeypatch):
    monkeypatch.setattr(connection_module, "_LAST_WORDS_S", 0.01)
    near, far = socket_pair()
    with far, our_client(near) as client:
        far.shutdown(socket.SHUT_RD)
        with pytest.raises(ConnectionLost, match="the socket failed"):
            _ = client.root


@pytest.mark.parametrize("client", [our_client, stock_client])
@pytest.mark.parametrize("frames", range(4))
def test_calls_back_and_forth_that_use_up_the_stack_end_with_an_error_for_each(client, frames):
    """Where it ends is no room to say so; each is answered all the same, from further up."""

    def go_down(count, call):
        return go_down(count - 1, call) if count else call()

    def ping(pong, count):
        return go_down(frames, lambda: 1 + pong(count - 1)) if count else 0

    def pong(count):
        return 1 + called(pong, count - 1) if count else 0

    with our_server(Workshop(ping=ping)) as (sock, _), client(sock) as connection:
        called = connection.root.eval("ping")
        with pytest.raises(RecursionError):
            called(pong, 10_000)
        assert called(pong, 4) == 4
