"""The sockets of a Jupyter kernel: whose messages are taken, and to whom answers go."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from rpyc_kernel.faces.jupyter.channels import Channels
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.messages import Request
from tests.support import ports

_KEY = b"secret"
_DEADLINE_S = 30.0


class Rig:
    """Channels, and clients of them."""

    def __init__(self) -> None:
        shell, iopub, stdin, control, heartbeat = (ports.find_port() for _ in range(5))
        self.info = ConnectionInfo(shell, iopub, stdin, control, heartbeat, key=_KEY.decode())
        self.channels = Channels(self.info)
        self._context = zmq.Context()
        self._clients: list[zmq.Socket[Any]] = []

    def connect(self, channel: str, name: bytes = b"client") -> zmq.Socket[Any]:
        """A client's socket."""
        opened = self._context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
        self._clients.append(opened)
        opened.linger = 0
        opened.rcvtimeo = int(_DEADLINE_S * 1000)
        opened.identity = name
        opened.connect(self.info.url(channel))
        return opened

    def receive(self, count: int) -> list[Request]:
        """Take so many requests."""
        requests: list[Request] = []
        deadline = time.monotonic() + _DEADLINE_S
        while len(requests) < count:
            assert time.monotonic() < deadline
            requests += self.channels.receive(0.1)
        return requests

    def close(self) -> None:
        """End both sides."""
        for client in self._clients:
            client.close()
        self._context.term()
        self.channels.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with contextlib.closing(rig):
        yield rig


def _write(session: Session, code: str) -> list[bytes]:
    frames: list[bytes] = session.serialize(session.msg("execute_request", {"code": code}))
    return frames


def test_a_forged_message_runs_nothing_and_has_no_reply(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    client = rig.connect("shell")
    forged = _write(Session(key=b"guessed"), "forged")
    changed = _write(Session(key=_KEY), "honest")
    changed[-1] = changed[-1].replace(b"honest", b"forged")
    for frames in (forged, changed, _write(Session(key=_KEY), "mine")):
        client.send_multipart(frames)
    [request] = rig.receive(1)
    assert request.content == {"code": "mine"}
    assert caplog.text.count("its signature is wrong") == 2
    rig.channels.reply(request, {"status": "ok"})
    _, answer = Session(key=_KEY).recv(client, mode=0)
    assert answer["parent_header"]["msg_id"] == request.header["msg_id"]
    assert not client.poll(0)


def test_a_message_that_is_sent_again_runs_once(rig: Rig) -> None:
    client, frames = rig.connect("shell"), _write(Session(key=_KEY), "once")
    for sent in (frames, frames, _write(Session(key=_KEY), "then")):
        client.send_multipart(sent)
    assert [request.content["code"] for request in rig.receive(2)] == ["once", "then"]


def test_an_answer_goes_to_who_asked(rig: Rig) -> None:
    ann, bob = rig.connect("shell", b"ann"), rig.connect("shell", b"bob")
    for client in (ann, bob):
        client.send_multipart(_write(Session(key=_KEY), str(client.identity)))
    for request in rig.receive(2):
        rig.channels.reply(request, {"to": request.content["code"]})
    for client in (ann, bob):
        _, answer = Session(key=_KEY).recv(client, mode=0)
        assert (answer["msg_type"], answer["content"]) == ("execute_reply", {"to": str(client.identity)})


def test_what_comes_by_control_is_taken_before_what_waits_on_shell(rig: Rig) -> None:
    for name in ("shell", "control"):
        rig.connect(name).send_multipart(_write(Session(key=_KEY), name))
    for name in ("shell", "control"):
        assert rig.channels._requests[name].poll(_DEADLINE_S * 1000)
    assert [request.channel for request in rig.receive(2)] == ["control", "shell"]


def test_a_heartbeat_comes_back_as_it_went(rig: Rig) -> None:
    client = rig.connect("hb")
    client.send(b"are you there")
    deadline = time.monotonic() + _DEADLINE_S
    while not client.poll(0):
        assert time.monotonic() < deadline
        assert not [*rig.channels.receive(0.1)]
    assert client.recv() == b"are you there"


def test_who_subscribes_is_welcomed_alone_and_then_hears_what_all_hear(rig: Rig) -> None:
    rig.channels.welcome = lambda publish: publish("iopub_welcome", {"subscription": ""})
    welcomed = []
    for name in (b"first", b"second"):
        client = rig.connect("iopub", name)
        client.subscribe(b"")
        deadline = time.monotonic() + _DEADLINE_S
        while not client.poll(0):
            assert time.monotonic() < deadline
            assert not [*rig.channels.receive(0.1)]
        welcomed.append(client)
    rig.channels.publish("stream", {"text": "for all"}, None)
    for client in welcomed:
        kinds = [Session(key=_KEY).recv(client, mode=0)[1]["msg_type"] for _ in range(2)]
        assert kinds == ["iopub_welcome", "stream"]


def test_a_client_that_is_not_there_needs_no_answer(rig: Rig) -> None:
    header = {"msg_id": "m", "session": "s", "msg_type": "execute_request"}
    rig.channels.reply(Request("shell", [b"nobody"], header, {}), {"status": "ok"})
    assert not rig.channels.send("stdin", "input_request", {}, header, [b"nobody"])
    assert not rig.channels.is_there([b"nobody"])
