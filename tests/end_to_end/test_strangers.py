"""Who does not know the key or the protocol gets no further than the door, and keeps nobody else out for long."""

import hashlib
import hmac
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    KernelClient,
    VersionMismatch,
)
from rpyc_kernel.settings import HubSettings
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture
from tests.support.folders import Folders

pytestmark = [pytest.mark.shares_kernel, pytest.mark.usefixtures("goes_on")]

SLOWNESS_S = 30.0
"""How much longer than a deadline the machine may take."""
MAX_STRANGERS = 64

MAGIC, VERSION = b"RPYK", 2
HELLO = struct.Struct("!4sBBH32s8s")
REPLY = struct.Struct("!4sBBH32s32s")
OK, WRONG_VERSION, WRONG_KEY, _, REFUSED = range(5)


class Caller:
    """A client made by hand, which says what a real one never would."""

    def __init__(self, runtime: Path) -> None:
        file = json.loads((runtime / "demo" / "kernel.json").read_text())
        self.key = bytes.fromhex(file["key"])
        self.socket = socket.create_connection((file["host"], file["port"]), timeout=DEADLINE_S)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def greet(self, *, version: int = VERSION, channel: int = 1) -> tuple[bytes, bytes]:
        """Say hello and take the hub's answer; both."""
        hello = HELLO.pack(MAGIC, version, channel, 0, os.urandom(32), bytes(8))
        self.send(hello)
        return hello, self.receive(REPLY.size)

    def prove(self, hello: bytes, reply: bytes, key: bytes, identity: bytes = b'{"session": ""}') -> tuple[int, bytes]:
        """Prove to know the key; the verdict and what comes with it."""
        self.say(hello, reply, key, identity)
        verdict, length = struct.unpack("!BI", self.receive(5))
        return verdict, self.receive(length)

    def say(self, hello: bytes, reply: bytes, key: bytes, identity: bytes) -> None:
        """Say who this is, with a proof of that."""
        parts = (MAGIC, b"client", hello, reply[:-32], b"", identity)
        said = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        proof = hmac.new(key, said, hashlib.sha256).digest()
        self.send(proof + struct.pack("!I", len(identity)) + identity)

    def receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, f"the hub closed the connection after {data!r}"
            data += piece
        return data

    def is_left(self, *, whatever_is_said: bool = False) -> bool:
        """Wait until the hub hangs up, without another word."""
        try:
            while said := self.socket.recv(REPLY.size):
                if not whatever_is_said:
                    break
            return not said
        except ConnectionResetError:
            return True


@pytest.fixture
def deadline_s() -> float:
    """How long a hub waits for the handshake, for the tests of just that; users' hubs wait longer."""
    return 3.0


@pytest.fixture(autouse=True)
def patience_of_the_hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In all other tests the deadline is beyond their own: slow callers are waited for, and what ends ends at once."""
    deadline_s = request.getfixturevalue("deadline_s") if "deadline_s" in request.fixturenames else 3600.0
    monkeypatch.setattr("rpyc_kernel.client.launch.HubSettings", partial(HubSettings, handshake_timeout_s=deadline_s))


@pytest.fixture
def call(kernel: KernelClient, folders: Folders):
    """Makes callers, and hangs up after the test."""
    with ExitStack() as opened:

        def make() -> Caller:
            caller = Caller(folders.runtime)
            opened.callback(caller.socket.close)
            return caller

        yield make


def test_a_caller_with_the_key_and_the_version_is_let_in(call):
    caller = call()
    hello, reply = caller.greet()
    assert REPLY.unpack(reply)[:3] == (MAGIC, VERSION, OK)
    verdict, body = caller.prove(hello, reply, caller.key)
    assert (verdict, json.loads(body)["role"]) == (OK, "owner")


def test_a_caller_with_another_key_is_refused(call):
    caller = call()
    verdict, body = caller.prove(*caller.greet(), key=os.urandom(32))
    assert (verdict, json.loads(body)) == (WRONG_KEY, {})
    assert caller.is_left()


def test_a_proof_of_one_conversation_does_not_fit_another(call):
    first, second = call(), call()
    overheard = first.greet()
    second.greet()
    verdict, _ = second.prove(*overheard, key=second.key)
    assert verdict == WRONG_KEY


@pytest.mark.parametrize("version", [0, 1, 99, 255])
def test_a_caller_of_another_version_is_told_which_is_spoken(call, version):
    caller = call()
    _, reply = caller.greet(version=version)
    assert REPLY.unpack(reply)[:3] == (MAGIC, VERSION, WRONG_VERSION)
    assert caller.is_left()


@pytest.mark.parametrize("channel", [0, 9, 255])
def test_a_caller_for_an_unknown_channel_is_refused_with_the_reason(call, channel):
    caller = call()
    verdict, body = caller.prove(*caller.greet(channel=channel), key=caller.key)
    assert (verdict, json.loads(body)["message"]) == (REFUSED, f"the hub has no channel {channel}")
    assert caller.is_left()


@pytest.mark.parametrize("is_right", [True, False])
def test_no_file_but_two_tells_the_key(call, folders, is_right):
    caller = call()
    caller.prove(*caller.greet(), key=caller.key if is_right else os.urandom(32))
    files = [path for root in (folders.runtime, folders.state) for path in root.rglob("*") if path.is_file()]
    assert "hub.log" in [path.name for path in files]
    secrets = (caller.key, caller.key.hex().encode())
    telling = {path.name for path in files if any(secret in path.read_bytes() for secret in secrets)}
    assert telling == {"kernel.json", "key"}


BAD_IDENTITIES = {
    "no JSON": b"{",
    "no mapping": b"[]",
    "numbers": b'{"session": 1}',
    "no text at all": b"\xff\xfe",
    "an endless session": json.dumps({"session": "x" * 65}).encode(),
    "an unprintable session": json.dumps({"session": "\x1b[2J"}).encode(),
    "an unknown role": json.dumps({"role": "king"}).encode(),
}


@pytest.mark.parametrize("identity", BAD_IDENTITIES.values(), ids=BAD_IDENTITIES)
def test_a_caller_with_a_strange_identity_is_refused(call, identity):
    caller = call()
    caller.say(*caller.greet(), caller.key, identity)
    answer = b""
    while piece := caller.socket.recv(4096):
        answer += piece
    assert not answer or answer[0] == REFUSED


GARBAGE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b" " * 40,
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "a stock RPyC client": struct.pack("!LB", 20, 0) + bytes(20) + b"\n" + bytes(40),
    "noise": hashlib.shake_128(b"noise").digest(100_000),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_on_the_port_is_hung_up_on_at_once(call, garbage):
    caller = call()
    try:
        caller.send(garbage)
    except (ConnectionResetError, BrokenPipeError):
        return
    assert caller.is_left()


def test_an_identity_that_is_announced_too_long_is_hung_up_on_at_once(call):
    caller = call()
    caller.greet()
    caller.send(bytes(32) + struct.pack("!I", 2**32 - 1))
    assert caller.is_left()


@pytest.mark.own_kernel
def test_half_a_handshake_or_nothing_is_hung_up_on_after_the_deadline(call, deadline_s):
    began = time.monotonic()
    callers = [call() for _ in range(4)]
    hello = HELLO.pack(MAGIC, VERSION, 1, 0, os.urandom(32), bytes(8))
    with suppress(AssertionError, ConnectionResetError, BrokenPipeError):  # the deadline may be over already
        callers[1].send(hello[:1])
        callers[2].send(hello[:-1])
        callers[3].send(hello)
        callers[3].receive(REPLY.size)
        callers[3].send(bytes(10))
    for caller in callers:
        assert caller.is_left()
    assert deadline_s - 0.5 < time.monotonic() - began < deadline_s + SLOWNESS_S


@pytest.mark.own_kernel
def test_a_caller_that_speaks_a_byte_at_a_time_gets_no_longer_than_the_deadline(call, deadline_s):
    caller = call()
    began = time.monotonic()
    hello = HELLO.pack(MAGIC, VERSION, 1, 0, os.urandom(32), bytes(8))
    pause = threading.Event()
    try:
        for byte in hello:
            caller.send(bytes([byte]))
            pause.wait(2.0)  # the slowness itself is what is tested
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert caller.is_left()
    assert time.monotonic() - began < deadline_s + SLOWNESS_S  # to the last byte it would be twice that


@pytest.mark.own_kernel
def test_silent_callers_at_the_port_keep_nobody_out_for_longer_than_the_deadline(kernel, call, folders, deadline_s):
    began = time.monotonic()
    silent = [call() for _ in range(2 * MAX_STRANGERS)]
    # Who is in already notices nothing, nor who comes by the unix socket.
    assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42
    with rpyc_kernel.connect("demo", timeout=DEADLINE_S) as local:
        assert local.submit("6 * 7").result(DEADLINE_S) == 42
    # Who comes by the port waits for his turn.
    file = json.loads((folders.runtime / "demo" / "kernel.json").read_text())
    address = f"tcp://127.0.0.1:{file['port']}"
    with rpyc_kernel.connect(address, key=file["key"], timeout=DEADLINE_S) as remote:
        assert remote.execute("6 * 7", timeout=DEADLINE_S).value == 42
    assert time.monotonic() - began < 2 * deadline_s + SLOWNESS_S
    assert all(caller.is_left(whatever_is_said=True) for caller in silent)


# Clients of another key or version, and doors that are no kernel's


def test_a_connection_file_with_another_key_is_told_from_the_right_one(kernel, folders, tmp_path):
    file = json.loads((folders.runtime / "demo" / "kernel.json").read_text())
    stale = tmp_path / "stale.json"
    stale.write_text(json.dumps({**file, "key": "00" * 32}))
    with pytest.raises(AuthenticationFailed, match="does not know the key of this connection file; the file is stale"):
        rpyc_kernel.connect(stale)
    with pytest.raises(AuthenticationFailed, match="does not know the key that was given; it is mistyped or belongs"):
        rpyc_kernel.connect(f"tcp://127.0.0.1:{file['port']}", key="00" * 32)
    with pytest.raises(AuthenticationFailed, match="does not know the key"):
        rpyc_kernel.connect(f"unix://{file['unix']}", key="00" * 32)
    with rpyc_kernel.connect(f"tcp://127.0.0.1:{file['port']}", key=file["key"], timeout=DEADLINE_S) as right:
        assert right.execute("6 * 7", timeout=DEADLINE_S).value == 42


def test_a_client_of_another_version_is_told_both_versions_and_what_to_do(kernel, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("rpyc_kernel.wire.handshake.PROTOCOL_VERSION", 99)
        with pytest.raises(VersionMismatch, match=r"speaks version 99 .* hub version 2; install the same release"):
            rpyc_kernel.connect("demo")


@contextmanager
def door(answer: bytes, *, stays: bool = False) -> Iterator[str]:
    """The address of something that is no hub: it says its answer and hangs up, or stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:

        def serve() -> None:
            visitor, _ = listener.accept()
            opened.enter_context(visitor)
            visitor.recv(40)
            visitor.sendall(answer)
            if not stays:
                with suppress(OSError):  # the client, having read the answer, may have gone before
                    visitor.shutdown(socket.SHUT_RDWR)

        server = threading.Thread(target=serve)
        server.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        server.join()


def test_a_door_that_is_no_kernels_is_recognized():
    answer = b"HTTP/1.1 400 Bad Request\r\n" + b" " * 60
    with door(answer) as address, pytest.raises(ConnectionFailed, match="is not a kernel's hub"):
        rpyc_kernel.connect(address, key="00" * 32)


def test_a_door_that_closes_during_the_handshake_says_so():
    with door(b"RPYK") as address, pytest.raises(ConnectionLost, match="closed the connection during the handshake"):
        rpyc_kernel.connect(address, key="00" * 32)


def test_a_door_that_is_silent_is_left_in_time():
    began = time.monotonic()
    with door(b"", stays=True) as address, pytest.raises(CallTimeout, match="took the connection but said nothing"):
        rpyc_kernel.connect(address, key="00" * 32, timeout=0.5)
    assert time.monotonic() - began < SLOWNESS_S
