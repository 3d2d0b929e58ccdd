"""Who is let in at which door, and who waits."""

import base64
import contextlib
import logging
import select
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from rpyc_kernel.core.contract import PROTOCOL_VERSION
from rpyc_kernel.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectionLost,
    KernelDied,
    NotPermitted,
    WorkerBusy,
)
from rpyc_kernel.hub import server as server_module
from rpyc_kernel.hub.attempts import FREE
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.hub.listening import Listeners
from rpyc_kernel.hub.places import MORE_FOR_TLS
from rpyc_kernel.hub.server import Server
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire import handshake, tls
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.keys import Key
from rpyc_kernel.wire.refusal import MARK
from tests.hub.kernels import FakeKernel
from tests.support.waiting import wait_until
from tests.wire.peers import stock_client, value_client

SECRET = b"known to nobody but those inside"
KEY = Key(SECRET)
PATIENCE_S = 30.0


class Doors:
    """A hub's doors, and clients that come to them."""

    def __init__(self, path, settings):
        self.kernel = FakeKernel(path)
        folder = RuntimeFolder(path / "r")
        folder.create()
        self.path = str(folder.hub_socket)
        self.objects_path = str(folder.objects_socket)
        self.rpyc_path = str(folder.rpyc_socket)
        self.ring = KeyRing(KEY, path / "invitations.json")
        self.tcp = Listeners(folder, settings, None)
        self.server = Server(folder, "demo", self.ring, settings, self.tcp)
        self.server.start(self.kernel.hub)
        self.opened = contextlib.ExitStack()

    def knock(self, *, is_local=False, address="127.0.0.1"):
        """Connect, from an address, and say nothing."""
        sock = self.opened.enter_context(socket.socket(socket.AF_UNIX if is_local else socket.AF_INET))
        sock.settimeout(PATIENCE_S)
        if not is_local:
            sock.bind((address, 0))
        sock.connect(self.path if is_local else ("127.0.0.1", self.tcp.all[0].port))
        return sock

    def come_in(self, sock, channel=handshake.COMMANDS, *, key=KEY, session="a", role=""):
        handshake.greet_hub(sock, key, channel, Identity(session, "alice", role), PATIENCE_S)
        return self.opened.enter_context(value_client(sock))

    def close(self):
        self.opened.close()
        self.server.doors.close()
        self.server.close()
        self.kernel.close()


@pytest.fixture
def open_doors():
    with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as path, contextlib.ExitStack() as opened:

        def make(**settings):
            doors = Doors(Path(path), HubSettings(handshake_timeout_s=3600.0, **settings))
            opened.callback(doors.close)
            return doors

        yield make


def is_busy(client):
    return dict(client.call("status", (), PATIENCE_S))["state"]


def test_who_does_not_finish_its_handshake_of_tls_delays_nobody(open_doors):
    doors = open_doors(tls=True, max_strangers=3)
    silent, begun, plain = doors.knock(), doors.knock(), doors.knock()
    begun.sendall(b"\x16\x03\x01\x02\x00")
    plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert plain.recv(4) == b"RPYK"  # which says that TLS is spoken here
    line, binding = tls.connect(doors.knock(), tls.client_context(), PATIENCE_S)
    with line:
        handshake.greet_hub(line, KEY, handshake.COMMANDS, Identity("a", "alice"), PATIENCE_S, binding)
        with value_client(line) as inside:
            assert is_busy(inside) == "idle"
            assert doors.server._places._strangers[socket.AF_INET] == 2
            for sock in (silent, begun):
                sock.close()
            wait_until(lambda: doors.server._places._strangers[socket.AF_INET] == 0, PATIENCE_S)
            assert is_busy(inside) == "idle"
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert not doors.server._places._more


def test_strangers_at_the_port_cost_neither_the_connected_nor_those_of_the_unix_socket_anything(open_doors):
    doors = open_doors(max_strangers=2)
    inside = doors.come_in(doors.knock())
    silent = [doors.knock() for _ in range(5)]
    wait_until(lambda: doors.server._places._strangers[socket.AF_INET] == 2, PATIENCE_S)
    assert is_busy(inside) == "idle"
    for _ in range(3):
        assert is_busy(doors.come_in(doors.knock(is_local=True))) == "idle"
    assert doors.server._places._strangers[socket.AF_INET] == 2
    # The last one waits at the door until those before it have gone.
    waiting = doors.knock()
    for sock in silent:
        sock.close()
    assert is_busy(doors.come_in(waiting)) == "idle"
    wait_until(lambda: doors.server._places._strangers[socket.AF_INET] == 0, PATIENCE_S)


def test_strangers_at_the_unix_socket_wait_there_too(open_doors):
    doors = open_doors(max_strangers=1)
    silent = doors.knock(is_local=True)
    wait_until(lambda: doors.server._places._strangers[socket.AF_UNIX] == 1, PATIENCE_S)
    waiting = doors.knock(is_local=True)
    assert is_busy(doors.come_in(doors.knock())) == "idle"
    silent.close()
    assert is_busy(doors.come_in(waiting)) == "idle"


def test_more_clients_than_may_be_are_refused_with_the_reason(open_doors):
    doors = open_doors(max_connections=2)
    first = doors.come_in(doors.knock())
    doors.come_in(doors.knock(is_local=True))
    for is_local in (True, False):
        with pytest.raises(ConnectionFailed, match="kernel 'demo' has 2 connections, as many as it can; close some"):
            doors.come_in(doors.knock(is_local=is_local))
    first.close()
    wait_until(lambda: len(doors.server._open) == 1, PATIENCE_S)
    assert is_busy(doors.come_in(doors.knock())) == "idle"


def test_who_is_let_in_counts_before_being_told_so(open_doors, monkeypatch):
    doors = open_doors(max_connections=1)
    counted, settle = [], handshake._send_verdict

    def look_and_settle(sock, verdict, *told):
        counted.append(len(doors.server._places._inside))
        settle(sock, verdict, *told)

    monkeypatch.setattr(handshake, "_send_verdict", look_and_settle)
    doors.come_in(doors.knock())
    with pytest.raises(ConnectionFailed, match="has 1 connections"):
        doors.come_in(doors.knock())
    assert counted == [1, 1]


def test_where_new_clients_find_no_room_those_inside_open_channels_and_others_look_and_stop_the_kernel(open_doors):
    doors = open_doors(max_connections=8)
    for _ in range(6):
        doors.come_in(doors.knock(is_local=True))
    with pytest.raises(ConnectionFailed, match="has 6 connections, as many as it can"):
        doors.come_in(doors.knock())
    for _ in range(2):
        assert is_busy(doors.come_in(doors.knock(), handshake.EVENTS)) == "idle"
    with pytest.raises(ConnectionFailed, match="has 8 connections, as many as it can"):
        doors.come_in(doors.knock(), handshake.EVENTS)


@pytest.mark.parametrize("channel", [handshake.OBJECTS, handshake.BULK, handshake.DEBUGGER])
@pytest.mark.parametrize(
    "why", [KernelDied("there is no worker"), WorkerBusy("it is stopped"), OSError("too many open files")], ids=repr
)
def test_who_cannot_be_passed_to_the_worker_is_told_why(open_doors, channel, why):
    doors = open_doors()

    def refuse(*handed, ended):
        raise why

    doors.kernel.worker.hand_over = refuse
    sock = doors.knock()
    handshake.greet_hub(sock, KEY, channel, Identity("a", "alice"), PATIENCE_S)
    told = sock.makefile("rb").read()
    assert told.startswith(MARK)
    assert told.endswith(f"the kernel cannot pass this connection to its worker: {why}".encode())


def knock_for_objects(doors):
    """Connect a stock client, and take the worker's end of its session."""
    sock = doors.opened.enter_context(socket.socket(socket.AF_UNIX))
    sock.settimeout(PATIENCE_S)
    sock.connect(doors.objects_path)
    wait_until(lambda: doors.kernel.worker.handed_over, PATIENCE_S)
    return sock, doors.opened.enter_context(value_client(doors.kernel.worker.handed_over.pop()))


def list_ids(doors):
    return [each["id"] for each in doors.kernel.hub.look(lambda state: state.status())["sessions"]]


def list_present(doors):
    sessions = doors.kernel.hub.look(lambda state: state.status())["sessions"]
    return [session["name"] for session in sessions if session["connections"]]


def test_a_stock_client_is_handed_over_with_a_socket_to_its_session(open_doors):
    doors = open_doors()
    sock, hub = knock_for_objects(doors)
    assert ("stock", list_ids(doors)[0], "") in doors.kernel.worker.asked
    hello = dict(hub.call("hello", (), PATIENCE_S))
    assert hello["role"] == "owner"
    (name,) = list_present(doors)
    assert name.startswith("rpyc-")
    # The worker has closed its end, as the client is gone, or the worker itself.
    hub.close()
    assert sock.recv(1) == b""
    wait_until(lambda: not list_present(doors), PATIENCE_S)


def channels_of(doors):
    """The channels of each session that is here, or has some."""
    found = doors.kernel.hub.status()["sessions"]
    return {one["id"]: [told["channel"] for told in one["channels"]] for one in found if one["channels"]}


def test_who_is_connected_from_where_and_for_what_is_told(open_doors):
    doors = open_doors()
    sock = doors.knock()
    handshake.greet_hub(sock, KEY, handshake.COMMANDS, Identity("a", "alice", host="laptop"), PATIENCE_S)
    alice = doors.opened.enter_context(value_client(sock))
    wait_until(lambda: channels_of(doors) == {"a": ["commands"]}, PATIENCE_S)  # each is noted by a thread of its own
    events = doors.come_in(doors.knock(is_local=True), handshake.EVENTS, role="viewer")
    wait_until(lambda: channels_of(doors) == {"a": ["commands", "events"]}, PATIENCE_S)
    knock = doors.knock(is_local=True)
    handshake.greet_hub(knock, KEY, handshake.BULK, Identity("a", "alice"), PATIENCE_S)
    wait_until(lambda: channels_of(doors) == {"a": ["commands", "events", "bulk"]}, PATIENCE_S)
    told = [dict(each) for each in dict(dict(alice.call("status", (), PATIENCE_S))["sessions"][0])["channels"]]
    assert all(one.pop("since") > 0 for one in told)
    assert told == [
        {"channel": "commands", "address": "127.0.0.1", "host": "laptop", "role": "owner", "key": ""},
        {"channel": "events", "address": "", "host": "", "role": "viewer", "key": ""},
        {"channel": "bulk", "address": "", "host": "", "role": "owner", "key": ""},
    ]
    (session,) = doors.kernel.hub.status()["sessions"]
    assert session["doing"] == "reading"
    events.close()
    wait_until(lambda: channels_of(doors) == {"a": ["commands", "bulk"]}, PATIENCE_S)
    assert doors.kernel.hub.status()["sessions"][0]["doing"] == "idle"
    doors.kernel.worker.ended()
    alice.close()
    wait_until(lambda: channels_of(doors) == {}, PATIENCE_S)
    wait_until(lambda: payloads_of(doors, "client_left") == [{"name": "alice", "why": "left"}], PATIENCE_S)
    joined = {"name": "alice", "role": "owner", "host": "laptop", "address": "127.0.0.1"}
    assert payloads_of(doors, "client_joined") == [joined]


def test_a_client_that_is_gone_without_a_word_is_lost(open_doors):
    doors = open_doors()
    sock = doors.knock()
    handshake.greet_hub(sock, KEY, handshake.COMMANDS, Identity("a", "alice"), PATIENCE_S)
    wait_until(lambda: list_present(doors), PATIENCE_S)
    sock.close()
    wait_until(lambda: payloads_of(doors, "client_left") == [{"name": "alice", "why": "lost"}], PATIENCE_S)


def test_a_kernel_that_stops_ends_the_sessions_of_stock_clients_that_its_worker_serves(open_doors):
    doors = open_doors()
    sock, hub = knock_for_objects(doors)
    wait_until(lambda: list_present(doors), PATIENCE_S)
    doors.server.doors.close()
    doors.server.close()
    assert hub.is_closed
    assert sock.recv(1) == b""
    assert not doors.server._open
    doors.server.doors.close = doors.server.close = lambda: None


def test_a_stock_client_with_live_objects_counts_for_the_descriptors_that_it_takes(open_doors):
    doors = open_doors(max_connections=2)
    _, hub = knock_for_objects(doors)
    hub.call("hello", (), PATIENCE_S)
    with pytest.raises(ConnectionFailed, match="as many as it can"):
        doors.come_in(doors.knock())
    hub.close()
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert is_busy(doors.come_in(doors.knock())) == "idle"


@pytest.mark.parametrize("door", ["objects_path", "rpyc_path"])
def test_a_stock_client_for_whom_there_is_no_place_is_told_so(open_doors, door):
    doors = open_doors(max_connections=1)
    doors.come_in(doors.knock())
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(getattr(doors, door))
    with pytest.raises(Exception, match="as many as it can; close some"), stock_client(sock) as client:
        _ = client.root
    wait_until(lambda: len(doors.server._open) == 1, PATIENCE_S)


def test_a_stock_client_behind_tls_is_counted_with_all_that_it_takes_until_it_is_gone(open_doors, tmp_path):
    doors = open_doors(tls=True)
    key = invite(doors, "editor")
    made, mine = doors.tcp.certify(key.id, "ann"), tmp_path / "mine.pem"
    mine.write_text(made["certificate"] + made["private_key"])
    line, _ = tls.connect(doors.knock(), tls.client_context(mine), PATIENCE_S)
    with line:
        line.sendall(b"\0")  # no handshake of ours
        wait_until(lambda: doors.kernel.worker.handed_over, PATIENCE_S)
        with value_client(doors.kernel.worker.handed_over.pop()) as hub:
            assert dict(hub.call("hello", (), PATIENCE_S))["role"] == "editor"
            assert list(doors.server._places._more.values()) == [MORE_FOR_TLS + 1]
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert not doors.server._places._more


def test_a_stock_client_that_cannot_be_passed_to_the_worker_leaves_no_session(open_doors):
    doors = open_doors()

    def refuse(channel, sock, *more, ended):
        raise WorkerBusy("it is stopped")

    doors.kernel.worker.hand_over = refuse
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(doors.objects_path)
    with (
        pytest.raises(Exception, match="cannot pass this connection to its worker: it is stopped"),
        stock_client(sock) as client,
    ):
        _ = client.root
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert doors.kernel.hub.look(lambda state: state.status())["sessions"] == ()


def test_many_who_ask_a_worker_that_is_starting_keep_nobody_else_who_asks_it_waiting(open_doors):
    doors = open_doors()
    all_wait = threading.Barrier(16)

    def wait_for_worker(timeout_s):
        if timeout_s:
            all_wait.wait(PATIENCE_S)

    doors.kernel.hub.wait_for_worker = wait_for_worker
    client = doors.come_in(doors.knock())
    asked = [client.start("cwd") for _ in range(all_wait.parties)]
    assert [answer.result(PATIENCE_S) for answer in asked] == ["null"] * all_wait.parties


def test_strangers_do_not_fill_the_log(open_doors, caplog):
    caplog.set_level(logging.INFO)
    doors = open_doors()
    for _ in range(30):
        sock = doors.knock()
        sock.sendall(bytes(40))
        assert sock.recv(1) == b""
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert sum("refused" in record.message for record in caplog.records) == 1


def test_neither_the_log_nor_a_refusal_tells_the_key(open_doors, caplog):
    caplog.set_level(logging.DEBUG)
    doors = open_doors(max_connections=1)
    doors.server._refusals._pause_s = 0.0
    doors.come_in(doors.knock())
    told = b""
    greeting = handshake._HELLO.pack(b"RPYK", PROTOCOL_VERSION, handshake.COMMANDS, 0, bytes(32)) + bytes(8)
    for said in (
        bytes(40),  # no client
        handshake._HELLO.pack(b"RPYK", PROTOCOL_VERSION + 1, handshake.COMMANDS, 0, bytes(32)),
        greeting + bytes(32) + b"\0\0\0\2{}",  # a wrong proof
        greeting + bytes(32) + b"\xff\xff\xff\xff",
    ):
        sock = doors.knock()
        sock.sendall(said)
        with contextlib.suppress(ConnectionResetError):  # not all that was said has been read
            while piece := sock.recv(4096):
                told += piece
    with pytest.raises(ConnectionFailed) as refusal:
        doors.come_in(doors.knock())
    wait_until(lambda: sum("refused: " in record.message for record in caplog.records) == 5, PATIENCE_S)
    told += f"{caplog.text}{refusal.value}".encode()
    for secret in (SECRET, SECRET.hex().encode(), repr(SECRET).encode(), base64.b64encode(SECRET)):
        assert secret not in told


def test_what_was_not_logged_is_counted_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    for told in (("stranger 0", 1, True), ("stranger 0", 4, True), ("stranger 9", 4, False)):
        server_module._log_refusals(*told)
    assert [record.message for record in caplog.records] == [
        "stranger 0",
        "stranger 0 (3 more like this before)",
        "stranger 9 (3 more before)",
    ]


# Those who were invited


def invite(doors, role="viewer", **more):
    return doors.ring.invite(role, "ann", more.pop("expires_s", None), values=more.pop("values", False))[1]


def payloads_of(doors, kind):
    return [payload for each, payload in doors.kernel.payloads() if each == kind]


def test_who_is_invited_bears_the_invitations_name_and_goes_on_with_no_session_but_its_own(open_doors):
    doors = open_doors()
    key = invite(doors, "editor")
    assert is_busy(doors.come_in(doors.knock()))  # it has joined
    with pytest.raises(NotPermitted, match="session 'a' was begun with another key, and goes on with that alone"):
        doors.come_in(doors.knock(), key=key)
    sock = doors.knock()
    anns = handshake.greet_hub(sock, key, handshake.COMMANDS, Identity("mine", "root"), PATIENCE_S)
    assert anns == Identity(f"{key.id}:mine", "ann", "editor")
    for same in (anns, Identity("mine")):
        with doors.knock() as sock:
            assert handshake.greet_hub(sock, key, handshake.EVENTS, same, PATIENCE_S).session == anns.session
    with pytest.raises(NotPermitted, match=f"session '{key.id}:mine' was begun with another key"):
        doors.come_in(doors.knock(), key=invite(doors), session=anns.session)
    with doors.knock() as sock:  # the owner's goes on with any
        assert handshake.greet_hub(sock, KEY, handshake.EVENTS, anns, PATIENCE_S).session == anns.session


def test_a_session_of_an_invitation_may_be_called_as_one_of_the_owners(open_doors):
    doors = open_doors()
    key = invite(doors, "editor")
    doors.come_in(doors.knock(), session="console-root-1")
    own = f"{key.id}:console-root-1"
    for channel in (handshake.COMMANDS, handshake.EVENTS):
        with doors.knock() as sock:
            assert handshake.greet_hub(sock, key, channel, Identity(own), PATIENCE_S).session == own
    assert payloads_of(doors, "client_refused") == []


def test_a_revoked_invitation_ends_what_was_connected_with_it_and_lets_nobody_in(open_doors):
    doors = open_doors()
    key, others = invite(doors), invite(doors)
    anns, second, other = (doors.come_in(doors.knock(), key=each) for each in (key, key, others))
    owner = doors.come_in(doors.knock(is_local=True), session="o")
    owner.call("revoke", (key.id,), PATIENCE_S)
    assert anns.wait_until_closed(PATIENCE_S)
    assert second.wait_until_closed(PATIENCE_S)
    assert is_busy(other) == "idle"
    assert ("end_clients", None, key.id) in doors.kernel.worker.asked
    with pytest.raises(AuthenticationFailed, match=r"'ann' was revoked on .* UTC; ask the owner for another one"):
        doors.come_in(doors.knock(), key=key)
    assert payloads_of(doors, "invitation_revoked") == [{"invitation": key.id, "name": "ann", "by": "alice"}]


def test_an_invitation_that_expires_ends_what_was_connected_with_it(open_doors):
    doors = open_doors()
    now = time.time()
    doors.ring._now = lambda: now
    key = invite(doors, expires_s=60.0)
    anns = doors.come_in(doors.knock(), key=key)
    doors.server.look()
    assert is_busy(anns) == "idle"
    now += 61.0
    doors.server.look()
    assert anns.wait_until_closed(PATIENCE_S)
    asked = list(doors.kernel.worker.asked)
    doors.server.look()
    assert doors.kernel.worker.asked == asked  # once is enough
    with pytest.raises(AuthenticationFailed, match=r"'ann' expired on .* UTC .*; ask the owner for another one"):
        doors.come_in(doors.knock(), key=key)


def test_whom_somebody_sends_away_while_it_comes_in_is_not_let_in(open_doors, monkeypatch):
    doors = open_doors()
    key = invite(doors)
    look = doors.server._guests.problem_with

    def look_and_revoke(welcome):
        problem = look(welcome)
        doors.ring.revoke(key.id)
        return problem

    monkeypatch.setattr(doors.server._guests, "problem_with", look_and_revoke)
    with pytest.raises(AuthenticationFailed, match="was revoked"):
        doors.come_in(doors.knock(), key=key)


def test_who_is_kicked_stays_out_for_a_moment(open_doors):
    doors = open_doors()
    key = invite(doors)
    anns = doors.come_in(doors.knock(), key=key)
    session = dict(anns.call("hello", (), PATIENCE_S))["session"]
    owner = doors.come_in(doors.knock(is_local=True), session="o")
    now = 0.0
    doors.server._guests._now = lambda: now
    owner.call("kick", (session,), PATIENCE_S)
    assert anns.wait_until_closed(PATIENCE_S)
    assert ("end_clients", session, None) in doors.kernel.worker.asked
    with pytest.raises(NotPermitted, match="'alice' has ended this session; connect again in 10 seconds"):
        doors.come_in(doors.knock(), key=key, session=session)
    assert payloads_of(doors, "client_kicked") == [{"kicked": session, "name": "ann", "by": "alice"}]
    wait_until(lambda: payloads_of(doors, "client_left") == [{"name": "ann", "why": "kicked"}], PATIENCE_S)
    now += 11.0
    assert is_busy(doors.come_in(doors.knock(), key=key, session=session)) == "idle"


def test_nobody_kicks_itself_or_who_is_not_there(open_doors):
    doors = open_doors()
    owner = doors.come_in(doors.knock(), session="o")
    for wrong, told in (
        ("o", "this is your own session"),
        ("x", r"nobody is connected as session 'x'; there are o \("),
    ):
        with pytest.raises(Exception, match=told):
            owner.call("kick", (wrong,), PATIENCE_S)
    assert is_busy(doors.come_in(doors.knock(), session="x")) == "idle"


WRONG = Key(b"w" * 32)
UNKNOWN = Key(b"w" * 32, "00000000000000aa")


def fail_to_prove(doors, key=WRONG, address="127.0.0.1"):
    """Come with a key that is none, and say so; returns all that the hub answers."""
    with doors.knock(address=address) as sock:
        hello = handshake._HELLO.pack(b"RPYK", PROTOCOL_VERSION, handshake.COMMANDS, 0, bytes(32))
        with contextlib.suppress(ConnectionError):
            sock.sendall(hello + (bytes.fromhex(key.id) or bytes(8)) + handshake._PROOF.pack(bytes(32), 2) + b"{}")
            return sock.makefile("rb").read()
    return b""


@pytest.mark.skipif(sys.platform == "darwin", reason="there, 127.0.0.2 is no address of the machine")
@pytest.mark.parametrize("key", [WRONG, UNKNOWN], ids=["wrong secret", "unknown id"])
def test_an_address_that_fails_to_prove_itself_is_cut_for_a_while_and_nobody_else_is(open_doors, key):
    doors = open_doors()
    now = 0.0
    doors.server._attempts._now = lambda: now
    for _ in range(FREE + 1):
        assert fail_to_prove(doors, key)
    wait_until(lambda: not doors.server._open, PATIENCE_S)
    assert fail_to_prove(doors, key) == b""
    assert is_busy(doors.come_in(doors.knock(address="127.0.0.2"))) == "idle"
    assert is_busy(doors.come_in(doors.knock(is_local=True))) == "idle"
    with pytest.raises(ConnectionLost, match="after failed attempts from one address"):
        doors.come_in(doors.knock())
    now += 1.0
    assert is_busy(doors.come_in(doors.knock())) == "idle"
    for _ in range(FREE):  # who has a key is as good as new
        assert fail_to_prove(doors, key)


def test_failures_by_the_unix_socket_delay_nobody(open_doors):
    doors = open_doors()
    for _ in range(3 * FREE):
        with pytest.raises(AuthenticationFailed, match="does not know the key"):
            doors.come_in(doors.knock(is_local=True), key=WRONG)
    assert is_busy(doors.come_in(doors.knock(is_local=True))) == "idle"


@pytest.mark.skipif(sys.platform == "darwin", reason="there, 127.0.0.2 is no address of the machine")
def test_where_an_address_has_many_strangers_the_oldest_makes_room_for_the_next_and_others_find_places(open_doors):
    doors = open_doors(max_strangers=8)
    silent = [doors.knock() for _ in range(12)]
    wait_until(lambda: [is_cut(sock) for sock in silent] == [True] * 6 + [False] * 6, PATIENCE_S)
    for address in ("127.0.0.2", "127.0.0.1"):
        assert is_busy(doors.come_in(doors.knock(address=address))) == "idle"


def is_cut(sock):
    return bool(select.select([sock], [], [], 0)[0])


def test_refusals_become_events_together_and_tell_no_secret(open_doors, monkeypatch):
    doors = open_doors()
    now = 0.0
    refusals = doors.server._guests._refusals
    monkeypatch.setattr(refusals, "_now", lambda: now)
    key = invite(doors)
    for _ in range(FREE):
        fail_to_prove(doors, UNKNOWN)
    with pytest.raises(NotPermitted, match="the key of 'ann' gives the role 'viewer', and not 'owner'"):
        doors.come_in(doors.knock(), key=key, role="owner")
    with pytest.raises(NotPermitted, match="it cannot use live objects"):
        doors.come_in(doors.knock(), handshake.OBJECTS, key=key)
    viewer = doors.come_in(doors.knock(), key=key)
    for command, told in (
        ("variables", "viewer without values; it cannot list"),
        ("restart", "viewer; it cannot rest"),
    ):
        with pytest.raises(Exception, match=f"'ann' is here as {told}"):
            viewer.call(command, (), PATIENCE_S)
    first = {"reason": f"nobody is invited by the key {UNKNOWN.id}", "address": "127.0.0.1", "count": 1}
    assert payloads_of(doors, "client_refused") == [first]
    now += 59.0
    doors.server.look()
    assert payloads_of(doors, "client_refused") == [first]
    now += 1.0
    doors.server.look()
    told = {"reason": "'ann' is here as viewer; it cannot restart the kernel, and other refusals", "address": ""}
    assert payloads_of(doors, "client_refused") == [first, {**told, "count": FREE + 2}]
    assert key.secret.hex() not in str(doors.kernel.payloads())


def test_an_invitation_leaves_places_to_others(open_doors):
    doors = open_doors(max_connections=8)
    key = invite(doors)
    for _ in range(2):
        doors.come_in(doors.knock(), handshake.EVENTS, key=key)
    with pytest.raises(ConnectionFailed, match="this invitation has 2 connections, as many as it can"):
        doors.come_in(doors.knock(), handshake.EVENTS, key=key)
    assert is_busy(doors.come_in(doors.knock(), key=invite(doors))) == "idle"
    assert is_busy(doors.come_in(doors.knock())) == "idle"
