"""Who gets hold of the debugger: the one who knows its token, by a door that is open for that moment only."""

import socket
import threading
import types

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.wire.debug_adapter import DebugChannel
from rpyc_kernel.worker.debugging import server as debug_server

TIMEOUT_S = 30.0


def knock(address, body):
    """Connect as debugpy does, and say what one knows, or bytes of any kind; returns the channel."""
    sock = socket.create_connection(address, TIMEOUT_S)
    channel = DebugChannel(sock)
    assert channel.receive()["command"] == "pydevdAuthorize"
    if isinstance(body, bytes):
        sock.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    else:
        channel.send({"type": "response", "seq": 1, "request_seq": 1, "body": body})
    return channel


class FakeDebugger:
    """In place of pydevd: connects to where it is told, and so do strangers before it."""

    def __init__(self, *, before=()):
        self._before = before
        self.address = None
        self.channels = []
        self.running = None

    def get_global_debugger(self):
        return self.running

    def settrace(self, *, host, port, client_access_token, **_):
        self.address = (host, port)

        def connect():
            for said in (*self._before, {"clientAccessToken": client_access_token}):
                self.channels.append(knock(self.address, said))

        self.thread = threading.Thread(target=connect)
        self.thread.start()


@pytest.fixture
def attach(monkeypatch):
    opened = []

    def attach(debugger):
        monkeypatch.setattr(debug_server, "_load", lambda: debugger)
        monkeypatch.setattr(debug_server, "_folder_of", lambda package: package)
        monkeypatch.setattr(debug_server, "sys", types.SimpleNamespace(settrace=lambda function: None))
        opened.append(debug_server._attach())
        debugger.thread.join()
        opened.extend(debugger.channels)
        return opened[0]

    yield attach
    for channel in opened:
        channel.close()


@pytest.mark.parametrize("token", ["wrong", "", "fälsch", "\ud800", None, 5, ["no", "text"]], ids=ascii)
def test_the_debugger_talks_only_to_who_knows_its_token(attach, token):
    debugger = FakeDebugger(before=[{"clientAccessToken": token}])
    taken = attach(debugger)
    taken.send({"seq": 2})
    assert debugger.channels[-1].receive() == {"seq": 2}


@pytest.mark.parametrize(
    "said",
    [{}, None, [], "text", 5, b"", b"null", b"no message", b"\xff", b"[" * 100_000],
    ids=lambda said: repr(said)[:12],
)
def test_a_stranger_who_says_nothing_of_sense_keeps_nobody_out(attach, said):
    debugger = FakeDebugger(before=[said])
    taken = attach(debugger)
    debugger.channels[-1].send({"seq": 3})
    assert taken.receive() == {"seq": 3}


def test_no_port_stays_open_behind_the_debugger(attach):
    debugger = FakeDebugger()
    attach(debugger)
    assert debugger.address[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(debugger.address, TIMEOUT_S)


def test_a_debugger_of_user_code_is_left_alone(attach):
    debugger = FakeDebugger()
    debugger.running = object()
    with pytest.raises(RequestError, match="a debugger of its own"):
        attach(debugger)
    assert debugger.address is None


@pytest.mark.parametrize("error", [OSError("no room"), SystemExit("by a hook")], ids=type)
def test_whatever_keeps_the_debugger_from_starting_is_told(monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(debug_server, "_attach", fail)
    server = debug_server.DebugServer("", types.SimpleNamespace(let_go=None))
    near, far = socket.socketpair()
    near.settimeout(TIMEOUT_S)
    with near:
        serving = threading.Thread(target=server.connect, args=(far,))
        serving.start()
        answer = DebugChannel(near).receive()
        serving.join(TIMEOUT_S)
    assert answer == {
        "ready": False,
        "message": f"debugpy cannot be started: {type(error).__name__}: {error}",
    }


def _claim_beside(server, seen):
    """Have another client come while somebody debugs; returns its thread, which tells how it went."""

    def claim():
        try:
            with server._claim():
                seen.append("let in")
        except RequestError as error:
            seen.append(str(error))

    thread = threading.Thread(target=claim)
    thread.start()
    return thread


def test_who_comes_right_after_a_client_has_left_is_let_in_though_that_is_not_noticed_yet(monkeypatch):
    server, seen, looked = debug_server.DebugServer("", None), [], threading.Event()
    wait = server._freed.wait
    monkeypatch.setattr(server._freed, "wait", lambda seconds: [looked.set(), wait(seconds)][1])
    with server._claim():
        thread = _claim_beside(server, seen)
        assert looked.wait(TIMEOUT_S)
        assert seen == []
    thread.join(TIMEOUT_S)
    assert seen == ["let in"]


def test_who_comes_while_somebody_debugs_is_told_so(monkeypatch):
    monkeypatch.setattr(debug_server, "_NOTICE_S", 0.0)
    server, seen = debug_server.DebugServer("", None), []
    with server._claim():
        _claim_beside(server, seen).join(TIMEOUT_S)
    assert seen == ["another client debugs this kernel; it has to disconnect first"]
