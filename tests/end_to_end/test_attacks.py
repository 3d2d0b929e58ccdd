"""Attacks on a real kernel by those who have no key, or another one: nothing gets in, and nobody inside notices."""

import os
import random
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

import rpyc_kernel
from rpyc_kernel import AuthenticationFailed, KernelClient
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.health import assert_goes_on
from tests.support.proxy import DOWN, UP, Proxy, proxying
from tests.support.waiting import wait_until

REPLY_BYTES = 72
FLOODS = 4
"""How many threads attack at a time, each from an address of its own where the system has several."""
ASKED = 15
"""How often each who belongs here asks while the flood stands."""


def read_file() -> ConnectionFile:
    return ConnectionFile.read(Home(Folders.from_environment().state / "demo").connection_file)


def connect_by(proxy: Proxy, **options: object) -> KernelClient:
    return rpyc_kernel.connect(proxy.address, key=read_file().key, timeout=PATIENCE_S, **options)


class Recorder:
    """Hears all that passes a proxy while one connection after the other is made by it."""

    def __init__(self, proxy: Proxy) -> None:
        self.said = {UP: b"", DOWN: b""}
        proxy.tap = self._hear

    def _hear(self, way: str, piece: bytes) -> bytes:
        self.said[way] += piece
        return piece


# ---------------------------------------------------------------------- what was overheard


@pytest.fixture
def overheard(kernel: KernelClient) -> dict[str, bytes]:
    """All that a client with a key and its hub have said, from the first byte on."""
    file = read_file()
    with proxying((file.host, file.port)) as proxy:
        recorder = Recorder(proxy)
        with connect_by(proxy, name="ann") as ann:
            ann.execute("runs = globals().get('runs', 0) + 1", timeout=PATIENCE_S)
    assert file.key.encode() not in recorder.said[UP] + recorder.said[DOWN]
    assert bytes.fromhex(file.key) not in recorder.said[UP] + recorder.said[DOWN]
    return recorder.said


def test_a_session_that_was_overheard_and_is_played_again_runs_nothing(kernel, overheard):
    file = read_file()
    before = kernel.status()["last"]
    with socket.create_connection((file.host, file.port), timeout=PATIENCE_S) as sock:
        with suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(overheard[UP])
        answer = b""
        with suppress(ConnectionResetError):
            while piece := sock.recv(4096):
                answer += piece
    # The hub's proof, which is another each time, and that the client's is wrong; after a reset not even all of that.
    assert len(answer) <= REPLY_BYTES + 7
    assert answer[:REPLY_BYTES] != overheard[DOWN][:REPLY_BYTES]
    assert kernel.eval("runs") == 1
    told = [event.kind for event in kernel.events(since=before, follow=False)]
    assert Kind.CLIENT_JOINED not in told
    assert Kind.QUEUED not in told[1:]  # the question above is the one


def test_a_hub_that_was_overheard_and_is_played_again_learns_nothing(kernel, overheard):
    heard = b""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            nonlocal heard
            victim, _ = listener.accept()
            with victim, suppress(OSError):
                victim.sendall(overheard[DOWN])
                while piece := victim.recv(4096):
                    heard += piece

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AuthenticationFailed, match="does not know the key"):
            rpyc_kernel.connect(
                f"tcp://127.0.0.1:{listener.getsockname()[1]}", key=read_file().key, name="ann", timeout=PATIENCE_S
            )
        thread.join()
    assert b"ann" not in heard
    assert len(heard) == 48  # its hello, and nothing after it


# ---------------------------------------------------------------------- floods


class Flood:
    """Callers without a key, as many as go, from now until the end of the block; some stay, some go at once."""

    def __init__(self, file: ConnectionFile) -> None:
        self._place = (file.host, file.port)
        self._is_over = threading.Event()
        self.counts = [0] * FLOODS
        self._threads = [threading.Thread(target=self._pour, args=[number]) for number in range(FLOODS)]
        for thread in self._threads:
            thread.start()

    def _pour(self, number: int) -> None:
        chance = random.Random(number)
        source = f"127.0.0.{number + 2}" if sys.platform == "linux" else "127.0.0.1"
        with ExitStack() as held:
            while not self._is_over.is_set():
                sock = socket.socket()
                sock.settimeout(0.2)  # where the hub lets nobody in for now, the next one is tried
                with suppress(OSError):
                    sock.bind((source, 0))
                    sock.connect(self._place)
                    sock.sendall(chance.choice((b"", b"R", b"RPYK\2\1\0\0" + os.urandom(40), os.urandom(200))))
                    self.counts[number] += 1
                if chance.random() < 0.05 and self.counts[number] < 200:
                    held.enter_context(sock)
                else:
                    sock.close()

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def flood(kernel: KernelClient) -> Iterator[Flood]:
    flood = Flood(read_file())
    yield flood
    flood.end()


def test_while_strangers_flood_the_port_all_who_belong_here_are_answered(kernel, flood):
    file = read_file()
    wait_until(lambda: min(flood.counts) > 10, PATIENCE_S, "the flood to stand")
    for number in range(ASKED):
        assert kernel.execute(f"{number}", timeout=PATIENCE_S).value == number
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as by_name:
            assert by_name.eval("6 * 7", timeout=PATIENCE_S) == 42
    seen = list(flood.counts)
    with rpyc_kernel.connect(f"tcp://{file.host}:{file.port}", key=file.key, timeout=PATIENCE_S) as by_port:
        assert by_port.eval("6 * 7", timeout=PATIENCE_S) == 42
        wait_until(lambda: sum(flood.counts) > sum(seen), PATIENCE_S, "the flood to go on")
        assert by_port.eval("6 * 7", timeout=PATIENCE_S) == 42
    flood.end()
    assert_goes_on(kernel)
