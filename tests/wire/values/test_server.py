import socket
import struct
import threading
from concurrent.futures import Future

import pytest
import rpyc
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine, consts, netref

from rpyc_kernel.errors import ConnectionLost, NotPermitted
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.values.call import CallEncoder
from rpyc_kernel.wire.values.client import RemoteError, ValueClient
from rpyc_kernel.wire.values.server import CallReader, _ValueServer, refuse_stock, serve_values
from tests.support.waiting import wait_until
from tests.wire.peers import DEADLINE_S, Serving, our_client, socket_pair, stock_client, value_client, value_server
from tests.wire.stages import closing_all, wait_until_blocked


class Ledger:
    """A service by value, with everything it must not let out."""

    exposed_version = "1.0"
    secret = "hidden"

    def __init__(self):
        self.futures = []

    def exposed_echo(self, *args, **kwargs):
        return (args, tuple(sorted(kwargs.items()))) if kwargs else args

    def exposed_fail(self, message):
        raise LookupError(message, 7)

    def exposed_list(self):
        return [1, 2]

    def exposed_unspeakable(self):
        return "\ud800"

    def exposed_stop(self):
        raise SystemExit(3)

    def exposed_large(self, size):
        return bytes(size)

    def exposed_later(self):
        future = Future()
        self.futures.append(future)
        return future

    def exposed_now(self):
        future = Future()
        future.set_result("now")
        return future

    def method(self):
        return "hidden"


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def stock(ledger):
    with value_server(ledger, max_frame_bytes=1_000_000) as (sock, _), stock_client(sock) as client:
        yield client


@pytest.fixture
def ours(ledger):
    with value_server(ledger, max_frame_bytes=1_000_000) as (sock, _), value_client(sock) as client:
        yield client


# ---- a stock client that is not let in ----


@pytest.mark.parametrize("service", [rpyc.VoidService, rpyc.ClassicService])
def test_a_stock_client_that_is_not_let_in_hears_why_when_it_asks_for_anything(service):
    near, far = socket_pair()
    refusing = Serving(lambda: refuse_stock(far, NotPermitted("your invitation has expired"), DEADLINE_S))
    with (
        near,
        pytest.raises(Exception, match="your invitation has expired") as caught,
        stock_client(near, service) as client,
    ):
        _ = client.root
    assert type(caught.value).__name__.endswith("NotPermitted")
    refusing.join()
    assert refusing.error is None
    assert far.fileno() == -1


@pytest.mark.parametrize("said", [b"", b"RPYK" * 10, bytes(20), struct.pack("!LB", 10, 0) + bytes(10) + b"\n"])
def test_who_is_not_let_in_and_makes_no_sense_or_asks_nothing_is_let_go_in_time(said):
    near, far = socket_pair()
    with near:
        near.sendall(said)
        refuse_stock(far, NotPermitted("your invitation has expired"), 0.05)
        assert near.recv(100) == b""


# ---- a stock client ----


def test_a_stock_client_calls_methods(stock):
    assert stock.root.echo(1, "a", None) == (1, "a", None)
    assert stock.root.echo(1, key=b"b") == ((1,), (("key", b"b"),))
    assert stock.root.exposed_echo(2) == (2,)
    method = stock.root.echo
    assert method(3) == (3,)
    assert stock.root.version == "1.0"


def test_a_stock_client_calls_asynchronously(stock, ledger):
    later = rpyc.async_(stock.root.later)
    first, second = later(), later()
    assert stock.root.echo(5) == (5,)
    ledger.futures[1].set_result("second")
    ledger.futures[0].set_result("first")
    assert (first.value, second.value) == ("first", "second")
    assert rpyc.timed(stock.root.now, DEADLINE_S)().value == "now"


def test_a_stock_client_looks_around(stock):
    assert "echo" in dir(stock.root)
    assert "secret" not in dir(stock.root)
    assert "Ledger" in repr(stock.root)
    assert "Ledger" in str(stock.root)
    assert "echo" in repr(stock.root.echo)
    assert hash(stock.root) == hash(repr(stock.root))  # and nothing of where it is in memory
    assert stock.root == stock.root
    assert stock.root != stock.root.echo
    assert stock.root.echo == stock.root.echo
    stock.ping()


def test_a_stock_client_gets_errors(stock):
    for _ in range(2):
        with pytest.raises(LookupError) as caught:
            stock.root.fail("reason")
        assert caught.value.args == ("reason", 7)
        assert "denied" in caught.value._remote_tb


@pytest.mark.parametrize(
    "name", ["secret", "method", "exposed_secret", "_names", "__class__", "__dict__", "__init__", "futures", "__doc__"]
)
def test_nothing_but_what_is_exposed_can_be_reached(stock, name):
    with pytest.raises(AttributeError, match="cannot access"):
        stock.sync_request(consts.HANDLE_GETATTR, stock.root, name)
    with pytest.raises(AttributeError, match="cannot access"):
        stock.sync_request(consts.HANDLE_CALLATTR, stock.root, name, ())


@pytest.mark.parametrize("name", ["__self__", "__func__", "__globals__", "__call__", "echo"])
def test_nothing_of_a_method_can_be_reached(stock, name):
    with pytest.raises(AttributeError, match="cannot access"):
        stock.sync_request(consts.HANDLE_GETATTR, stock.root.echo, name)


@pytest.mark.parametrize(
    "request_args",
    [
        (consts.HANDLE_SETATTR, "version", 2),
        (consts.HANDLE_DELATTR, "version"),
        (consts.HANDLE_PICKLE, 2),
        (consts.HANDLE_BUFFITER, 5),
        (consts.HANDLE_CTXEXIT, None),
        (consts.HANDLE_INSTANCECHECK, ("x", 1, 2)),
        (consts.HANDLE_OLDSLICING, "a", "b", 1, 2, ()),
        (4711,),
    ],
)
def test_nothing_else_can_be_asked(stock, request_args):
    handler, *args = request_args
    with pytest.raises(PermissionError, match="values only"):
        stock.sync_request(handler, stock.root, *args)
    with pytest.raises(TypeError):
        stock.sync_request(consts.HANDLE_CALL, stock.root, ())
    with pytest.raises(AttributeError):
        stock.sync_request(consts.HANDLE_HASH, 1)
    with pytest.raises(TypeError):
        stock.sync_request(consts.HANDLE_CMP, stock.root, stock.root, "__lt__")


def test_a_reference_is_refused_and_never_used(stock):
    class Tempting(list):
        def __iter__(self):
            raise AssertionError("used")

    with pytest.raises(TypeError, match="plain values only"):
        stock.root.echo(Tempting())
    with pytest.raises(TypeError, match="plain values only"):
        stock.root.echo(lambda: None)
    assert stock.root.echo(1) == (1,)


def test_a_stock_client_leaves(ledger):
    with value_server(ledger) as (sock, serving):
        with stock_client(sock) as client:
            client.root.echo()
            client.close()
        serving.join()
        assert serving.error is None


# ---- our client ----


def test_our_client_calls_by_value(ours):
    assert ours.call("echo", (1, ("a", b"b"))) == (1, ("a", b"b"))
    with pytest.raises(RemoteError) as caught:
        ours.call("fail", ("reason",))
    assert caught.value.remote_type == "builtins.LookupError"
    assert caught.value.args == ("reason", 7)
    with pytest.raises(RemoteError, match="cannot access 'secret'"):
        ours.call("secret")


def test_a_client_for_objects_can_use_it_as_stock_does(ledger):
    with value_server(ledger) as (sock, _), our_client(sock) as client:
        assert isinstance(client.root.echo, netref.BaseNetref)
        for _ in range(100):
            assert client.root.echo(1) == (1,)
        wait_until(lambda: len(client.references._proxies) <= 2)


@pytest.mark.parametrize("name", ["list", "unspeakable"])
def test_a_result_that_is_no_plain_value_is_an_error(ours, name):
    with pytest.raises(RemoteError) as caught:
        ours.call(name)
    assert caught.value.remote_type in ("builtins.TypeError", "builtins.UnicodeEncodeError")
    assert ours.call("echo") == ()


def test_a_result_that_is_too_large_is_an_error(ours):
    assert len(ours.call("large", (900_000,))) == 900_000
    with pytest.raises(RemoteError, match="exceeds the limit of 1000000") as caught:
        ours.call("large", (1_000_000,))
    assert caught.value.remote_type.endswith(".FrameTooLarge")


def test_an_exit_of_a_method_is_told_to_its_caller_and_ends_nobody(ours):
    with pytest.raises(RemoteError) as caught:
        ours.call("stop")
    assert caught.value.remote_type == "builtins.SystemExit"
    assert ours.call("echo") == ()


# ---- futures ----


def test_a_future_is_answered_when_it_completes_by_whichever_thread(ours, ledger):
    waiting = ours.start("later")
    assert ours.call("echo", (1,)) == (1,)
    assert not waiting.done()
    completing = threading.Thread(target=ledger.futures[0].set_result, args=("done",))
    completing.start()
    assert waiting.result(DEADLINE_S) == "done"
    completing.join()


def test_a_future_may_fail_or_be_cancelled(ours, ledger):
    failing, cancelled, unspeakable = (ours.start("later") for _ in range(3))
    wait_until(lambda: len(ledger.futures) == 3)
    ledger.futures[0].set_exception(LookupError("later"))
    ledger.futures[1].cancel()
    ledger.futures[2].set_result([1])
    for call, kind in ((failing, "LookupError"), (cancelled, "RuntimeError"), (unspeakable, "TypeError")):
        with pytest.raises(RemoteError) as caught:
            call.result(DEADLINE_S)
        assert caught.value.remote_type == f"builtins.{kind}"


def test_futures_are_cancelled_when_their_connection_ends(ledger):
    with value_server(ledger) as (sock, serving):
        with value_client(sock) as client:
            waiting = [client.start("later") for _ in range(3)]
            wait_until(lambda: len(ledger.futures) == 3)
            ledger.futures[2].set_running_or_notify_cancel()
        serving.join()
        for each in waiting:
            with pytest.raises(ConnectionLost):
                each.result(DEADLINE_S)
    assert [future.cancelled() for future in ledger.futures] == [True, True, False]
    ledger.futures[2].set_result("for nobody")


# ---- slow and broken peers ----


def test_a_slow_peer_delays_nobody_who_completes_futures_for_it(ledger):
    near, far = socket_pair()
    serving = Serving(lambda: serve_values(far, ledger, name="slow"))
    channel = Channel(near)
    with closing_all(channel):
        for seq in range(10):
            channel.send(call_message(seq, "later", root_of(channel) if not seq else ROOT))
        wait_until(lambda: len(ledger.futures) == 10)
        for future in ledger.futures:
            future.set_result(bytes(1_000_000))  # returns, though the peer reads nothing
        assert any(thread.name == "slow-flush" for thread in threading.enumerate())
        answers = [brine.load(bytes(channel.recv())[1:]) for _ in range(10)]
        assert sorted(seq for seq, _ in answers) == list(range(10))
        assert all(package == (consts.LABEL_VALUE, bytes(1_000_000)) for _, package in answers)
    serving.join()


def test_the_system_may_hold_more_of_the_answers_than_it_would_by_itself(ledger):
    """So that a large answer to each of many who read everything takes no thread to send."""
    near, far = socket_pair()
    held = far.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    serving = Serving(lambda: serve_values(far, ledger, name="held"))
    channel = Channel(near)
    with closing_all(channel):
        root_of(channel)
        assert far.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > held
    serving.join()


def test_a_peer_that_reads_nothing_is_asked_nothing_more(ledger):
    near, far = socket_pair()
    serving = Serving(lambda: serve_values(far, ledger, name="slow"))
    channel = Channel(near)
    with closing_all(channel):
        root = root_of(channel)
        for seq in range(5):
            channel.send(call_message(seq, "large", root, 5_000_000))
        channel.send(call_message(6, "later", root))
        wait_until_blocked(serving)
        assert not ledger.futures
        for _ in range(5):
            channel.recv()
        wait_until(lambda: ledger.futures)
    serving.join()


def test_a_peer_that_disappears_with_a_backlog_ends_the_serving(ledger):
    near, far = socket_pair()
    serving = Serving(lambda: serve_values(far, ledger, name="slow"))
    channel = Channel(near)
    channel.send(call_message(1, "large", root_of(channel), 50_000_000))
    wait_until_blocked(serving)
    channel.close()
    serving.join()
    assert serving.error is None


@pytest.mark.parametrize("data", [b"", b"\x12nonsense", b"\x01"])
def test_what_is_no_message_ends_the_serving(ledger, data):
    with value_server(ledger) as (sock, serving):
        Channel(sock).send(data)
        serving.join()
        assert serving.error is None


@pytest.mark.parametrize(
    "payload", [5, (1, 2), (1, (99, ())), (slice(1), (1, ())), (8, (3, ("x", 1, 2))), (8, (1, (1, 2, 3, 4, 5, 6)))]
)
def test_a_request_that_makes_no_sense_is_answered_with_an_error(ledger, payload):
    with value_server(ledger) as (sock, _):
        channel = Channel(sock)
        channel.send(bytes((consts.MSG_REQUEST,)) + brine.dump((7, payload)))
        answer = bytes(channel.recv())
        assert answer[0] == consts.MSG_EXCEPTION
        assert brine.load(answer[1:])[0] == 7


def test_replies_are_passed_over(ledger):
    with value_server(ledger) as (sock, _):
        channel = Channel(sock)
        channel.send(bytes((consts.MSG_REPLY,)) + brine.dump((7, (1, 2))))
        assert root_of(channel)


def test_a_message_above_the_limit_ends_the_serving_and_is_logged(ledger, caplog):
    with value_server(ledger, max_frame_bytes=100) as (sock, serving):
        sock.sendall(Channel.FRAME_HEADER.pack(101, 0))
        serving.join()
    assert "values: cut, because the peer announced a frame of 101 bytes; the limit is 100" in caplog.text


ROOT = (f"{Ledger.__module__}.{Ledger.__name__}", 1, 1)


def root_of(channel):
    channel.send(bytes((consts.MSG_REQUEST,)) + brine.dump((99, (consts.HANDLE_GETROOT, (consts.LABEL_VALUE, ())))))
    _, (label, root) = brine.load(bytes(channel.recv())[1:])
    assert label == consts.LABEL_REMOTE_REF
    assert root == ROOT
    return root


def call_message(seq, method, root, *args):
    value = consts.LABEL_VALUE
    package = ((consts.LABEL_LOCAL_REF, root), (value, method), (value, args))
    payload = (consts.HANDLE_CALLATTR, (consts.LABEL_TUPLE, package))
    return bytes((consts.MSG_REQUEST,)) + brine.dump((seq, payload))


# ---- calls known by their bytes ----

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=2),
    max_leaves=6,
)
names = st.sampled_from(["echo", "fail", "list", "unspeakable", "stop", "version", "secret", "", "ä"]) | st.text(
    max_size=9
)
calls = st.builds(
    lambda seq, name, args: CallEncoder(ROOT).encode(seq, name, args),
    st.integers(-(2**70), 2**70),
    names,
    st.lists(plain, max_size=4).map(tuple),
)


@st.composite
def spoilt_calls(draw):
    """A call that is cut, goes on, or has other bytes in it."""
    data = bytearray(draw(calls))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=5))


class Sent(Channel):
    """Takes what is sent, and what ends the serving."""

    def __init__(self):
        self.max_frame_bytes = 10_000
        self.compress = False

    def transmit(self, data, sent):
        self.sent = bytes(data)
        sent.append(len(data))


def answer_to(data, *, is_known):
    """What is answered to a message, or what is raised."""
    channel = Sent()
    server = _ValueServer(Ledger(), channel, "values")
    if not is_known:
        server._calls = CallReader(ROOT, ())
    try:
        return server._serve_one(data), vars(channel).get("sent")
    except ConnectionLost as error:
        return str(error)


@given(calls | spoilt_calls() | st.binary(max_size=40))
def test_a_call_is_answered_the_same_whether_or_not_it_is_known_by_its_bytes(data):
    assert answer_to(data, is_known=True) == answer_to(data, is_known=False)


@given(st.integers(-(2**70), 2**70), st.lists(plain, max_size=4).map(tuple))
def test_what_our_clients_write_is_known_by_its_bytes(seq, args):
    reader = CallReader(ROOT, ["echo", "fail"])
    assert reader.read(CallEncoder(ROOT).encode(seq, "echo", args)) == (seq, "echo", args)
    assert reader.read(CallEncoder(ROOT).encode(seq, "version", args)) is None
    assert reader.read(CallEncoder(("another", 1, 1)).encode(seq, "echo", args)) is None


# Leaving


@pytest.mark.parametrize(
    ("leave", "has_said_so"),
    [
        (lambda sock: ValueClient(sock).close(), True),
        (lambda sock: rpyc.utils.factory.connect_stream(rpyc.SocketStream(sock)).close(), True),
        (lambda sock: sock.close(), False),
        (lambda sock: sock.shutdown(socket.SHUT_WR), False),
    ],
    ids=["ours", "stock", "cut", "half"],
)
def test_who_leaves_is_told_from_who_is_lost(ledger, leave, has_said_so):
    near, far = socket_pair()
    ended = Future()
    server = threading.Thread(target=lambda: ended.set_result(serve_values(far, ledger, name="server")))
    server.start()
    leave(near)
    assert ended.result(DEADLINE_S) is has_said_so
    server.join()
    near.close()
