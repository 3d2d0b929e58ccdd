"""What a hostile or broken peer can do: nothing but call what it was handed, and lose its connection."""

import importlib
import struct
import sys

import pytest
import rpyc
from rpyc.core import brine, consts, vinegar
from rpyc.utils.classic import obtain

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG
from tests.support.waiting import wait_until
from tests.wire.peers import (
    Serving,
    our_client,
    our_pair,
    our_server,
    socket_pair,
    stock_client,
    stock_pair,
    stock_server,
)
from tests.wire.services import Workshop
from tests.wire.stages import closing_all

SECRET = "the client's own"


def hand_over():
    """What a client hands to a server in good faith."""
    return SECRET


class Holder:
    secret = SECRET
    exposed_shown = "shown"

    def __init__(self):
        self._hidden = SECRET

    def method(self):
        return "called"


ATTACKS = {
    "globals": lambda handed: handed.__globals__["SECRET"],
    "code": lambda handed: handed.__code__,
    "class": lambda handed: handed.__getattr__("__class__").__subclasses__(),
    "public": lambda handed: handed.secret,
    "method": lambda handed: handed.method(),
    "private": lambda handed: handed._hidden,
    "dict": lambda handed: handed.__getattr__("__dict__"),
    "write": lambda handed: setattr(handed, "secret", "overwritten"),
    "delete": lambda handed: delattr(handed, "_hidden"),
    "pickle": obtain,
}


def attack(name, handed):
    ATTACKS[name](handed)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("handed", [hand_over, Holder()], ids=["function", "object"])
@pytest.mark.parametrize("server", [our_server, stock_server])
def test_a_server_can_only_call_what_it_was_handed(name, handed, server):
    before = dict(vars(handed))
    with server(Workshop(attack=attack, name=name)) as (sock, _), our_client(sock) as client:
        with pytest.raises(Exception):  # noqa: B017 - many refusals, by either side
            client.root.eval("attack")(name, handed)
        assert client.root.eval("lambda handed: handed()")(hand_over) == SECRET
        assert client.root.eval("lambda handed: handed.shown")(Holder()) == "shown"
    assert vars(handed) == before


def test_a_classic_client_lets_its_server_run_code():
    class Careless(rpyc.SlaveService):
        pass

    with stock_pair(client=Careless) as (client, _):
        assert client.root.eval("lambda conn: conn.root.eval('6 * 7')") is not None
        back = client.root.getconn()
        assert back.root.eval("6 * 7") == 42


def test_the_client_offers_its_server_nothing():
    with our_pair() as (_, server):
        root = server.root
        for name in ("eval", "execute", "getmodule", "namespace"):
            with pytest.raises(AttributeError):
                getattr(root, name)


def test_exceptions_of_the_client_tell_the_server_nothing_of_its_code():
    def fail():
        raise LookupError("reason")

    with our_pair() as (client, _):
        client.root.execute(
            "def provoke(back):\n    try: back()\n    except LookupError as error: return error._remote_tb, error.args"
        )
        text, args = client.root.eval("provoke")(fail)
        assert text == "<traceback denied>"
        assert args == ("reason",)


@pytest.mark.parametrize("is_loaded", [False, True])
def test_exceptions_of_the_server_make_no_classes_and_import_nothing(is_loaded, tmp_path, monkeypatch):
    name = "what_a_server_names"
    (tmp_path / f"{name}.py").write_text("class Odd(Exception): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)  # so that it is taken out at the end
    del sys.modules[name]
    if is_loaded:
        importlib.import_module(name)
    with our_pair() as (client, _):
        client.root.execute(f"class Odd(Exception): pass\nOdd.__module__ = '{name}'\ndef fail(): raise Odd(5)")
        with pytest.raises(vinegar.GenericException) as caught:
            client.root.eval("fail")()
        assert caught.value.remote_type == f"{name}.Odd"
        assert caught.value.args == (5,)
    assert (name in sys.modules) == is_loaded


def test_configurations_cannot_be_changed_by_accident():
    for config in (CLIENT_CONFIG, WORKER_CONFIG):
        with pytest.raises(TypeError):
            config["allow_pickle"] = True


# ---- broken messages ----


@pytest.fixture
def raw_client():
    """Our client, and the channel of a peer that can say anything."""
    near, far = socket_pair()
    peer = Channel(far)
    with our_client(near) as client, closing_all(peer):
        yield client, peer


def message(kind, seq, payload):
    return bytes((kind,)) + brine.dump((seq, payload))


DEEP = bytes((consts.MSG_REQUEST,)) + brine.TAG_TUP2 + brine.dump(7) + brine.TAG_TUP1 * 100_000 + brine.TAG_EMPTY_TUPLE


def test_stock_dies_of_a_message_that_it_cannot_decode():
    with stock_server(config={"sync_request_timeout": 0.1}) as (sock, serving):
        Channel(sock).send(DEEP)
        wait_until(lambda: serving.is_over)
        assert isinstance(serving.error, RecursionError)


@pytest.mark.parametrize(
    "request_data",
    [
        DEEP,
        message(consts.MSG_REQUEST, 7, 5),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_PING, (99, ()))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_PING, (-1, ()))),
        message(consts.MSG_REQUEST, 7, (12345, (consts.LABEL_VALUE, ()))),
        message(consts.MSG_REQUEST, 7, (slice(1), (consts.LABEL_VALUE, ()))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_DEL, 5)),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_INSPECT, (consts.LABEL_VALUE, (("x", 1, 2),)))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_INSPECT, (consts.LABEL_VALUE, (slice(1),)))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_STR, (consts.LABEL_LOCAL_REF, ("x", 1, 2)))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_PING, (consts.LABEL_TUPLE, ((consts.LABEL_REMOTE_REF, "x"),)))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_PING, (consts.LABEL_REMOTE_REF, ("x", "y", 1)))),
        message(consts.MSG_REQUEST, 7, (consts.HANDLE_CALL, (consts.LABEL_VALUE, (1, 2, 3)))),
        bytes((consts.MSG_REQUEST,)) + brine.TAG_TUP2 + brine.dump(7) + brine.TAG_UNICODE + brine.TAG_STR1 + b"\xff",
    ],
)
def test_a_request_that_makes_no_sense_is_answered_with_an_error(raw_client, request_data):
    client, peer = raw_client
    peer.send(request_data)
    answer = bytes(peer.recv())
    while answer[0] != consts.MSG_EXCEPTION:  # references are given back first
        answer = bytes(peer.recv())
    seq, dumped = brine.load(answer[1:])
    assert seq == 7
    assert dumped[0][0] == "builtins" or dumped[0][0].startswith("rpyc_kernel")
    peer.send(message(consts.MSG_REQUEST, 8, (consts.HANDLE_PING, (consts.LABEL_VALUE, ("still there",)))))
    assert brine.load(bytes(peer.recv())[1:]) == (8, (consts.LABEL_VALUE, "still there"))
    assert not client.closed


@pytest.mark.parametrize("payload", [5, (99, 1), (consts.LABEL_LOCAL_REF, ("x", 1, 2)), (consts.LABEL_REMOTE_REF, 1)])
def test_a_reply_that_makes_no_sense_fails_the_request(raw_client, payload):
    client, peer = raw_client
    reply = client.async_request(consts.HANDLE_PING, 1)
    seq, _ = brine.load(bytes(peer.recv())[1:])
    peer.send(message(consts.MSG_REPLY, seq, payload))
    with pytest.raises((TypeError, ValueError, KeyError)):
        _ = reply.value
    assert not client.closed


def test_a_reply_that_does_not_decode_fails_the_request(raw_client):
    client, peer = raw_client
    reply = client.async_request(consts.HANDLE_PING, 1)
    seq, _ = brine.load(bytes(peer.recv())[1:])
    peer.send(bytes((consts.MSG_REPLY,)) + brine.TAG_TUP2 + brine.dump(seq) + brine.TAG_TUP1 * 100_000)
    with pytest.raises(ValueError, match="could not be decoded"):
        _ = reply.value
    assert not client.closed


@pytest.mark.parametrize("dumped", [5, "text", ((1, 2), 3, 4, 5), (("builtins", "ValueError"), 5, (), ""), ()])
def test_an_exception_that_makes_no_sense_is_an_exception(raw_client, dumped):
    client, peer = raw_client
    reply = client.async_request(consts.HANDLE_PING, 1)
    seq, _ = brine.load(bytes(peer.recv())[1:])
    peer.send(message(consts.MSG_EXCEPTION, seq, dumped))
    with pytest.raises(Exception, match="cannot be read"):
        _ = reply.value


def test_replies_to_nothing_are_passed_over(raw_client):
    client, peer = raw_client
    peer.send(message(consts.MSG_REPLY, 12345, (consts.LABEL_REMOTE_REF, ("x", 1, 2))))
    kind, (_, (handler, package)) = (lambda data: (data[0], brine.load(data[1:])))(bytes(peer.recv()))
    assert (kind, handler) == (consts.MSG_REQUEST, consts.HANDLE_DEL)
    assert package[1][0] == (consts.LABEL_LOCAL_REF, ("x", 1, 2))
    peer.send(message(consts.MSG_EXCEPTION, 12346, ()))
    peer.send(message(consts.MSG_REQUEST, 8, (consts.HANDLE_PING, (consts.LABEL_VALUE, (1,)))))
    assert brine.load(bytes(peer.recv())[1:]) == (8, (consts.LABEL_VALUE, 1))
    assert not client.closed


@pytest.mark.parametrize(
    "data", [b"", b"\x12rpyc 5", bytes((consts.MSG_REQUEST,)), bytes((consts.MSG_REPLY,)) + brine.dump("no number")]
)
def test_what_is_no_message_ends_the_connection(raw_client, data):
    client, peer = raw_client
    reply = client.async_request(consts.HANDLE_PING, 1)
    peer.send(data)
    with pytest.raises(ConnectionLost):
        _ = reply.value
    wait_until(lambda: client.closed)


def test_a_peer_of_another_version_is_named_as_the_likely_reason(raw_client):
    client, peer = raw_client
    reply = client.async_request(consts.HANDLE_PING, 1)
    peer.send(struct.pack("!QQ", 18 << 56, 0))
    with pytest.raises(ConnectionLost, match="unknown kind 18; it may speak another version"):
        _ = reply.value


def test_a_large_message_fails_only_the_call_that_sends_it():
    near, far = socket_pair()
    with our_client(near, max_frame_bytes=10_000) as client, closing_all(far):
        with pytest.raises(ValueError, match="exceeds the limit"):
            client.async_request(consts.HANDLE_PING, bytes(10_001))
        assert not client._pending
        reply = client.async_request(consts.HANDLE_PING, 1)
        peer = Channel(far)
        seq, _ = brine.load(bytes(peer.recv())[1:])
        peer.send(message(consts.MSG_REPLY, seq, (consts.LABEL_VALUE, 1)))
        assert reply.value == 1


def test_a_stock_client_may_send_anything_without_ending_the_server():
    with our_server() as (sock, server), stock_client(sock) as client:
        with pytest.raises(KeyError):
            client.sync_request(4711)
        assert client.root.eval("1 + 1") == 2
        assert not server.closed


def test_nobody_waits_for_a_peer_that_stops_in_the_middle_of_a_frame(raw_client):
    client, peer = raw_client
    peer.stream.sock.sendall(Channel.FRAME_HEADER.pack(100, 0) + b"half")
    waiting = Serving(lambda: client.ping(timeout=0.05))
    waiting.join()
    assert isinstance(waiting.error, TimeoutError)
    Serving(client.close).join()
