"""The network that tests break: what each fault shows to both sides, and that a seed breaks it in its own way."""

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.folders import Folders
from tests.support.proxy import DOWN, UP, Place, Proxy, proxying
from tests.support.waiting import wait_until

LIMIT_S = 30.0


class Server:
    """Takes connections and keeps them, for the test to say and hear what the server's side does."""

    def __init__(self, place: Place) -> None:
        if isinstance(place, Path):
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(place))
            self.listener.listen()
            self.place: Place = place
        else:
            self.listener = socket.create_server(place)
            self.place = self.listener.getsockname()
        self.listener.settimeout(LIMIT_S)


def call(place: Place) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET)
    sock.settimeout(LIMIT_S)
    try:
        sock.connect(str(place) if isinstance(place, Path) else place)
    except OSError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return data


class Line:
    """A proxy before a server, and one connection through it."""

    def __init__(self, proxy: Proxy, server: Server, opened: contextlib.ExitStack) -> None:
        self.proxy = proxy
        self.server = server
        self._opened = opened
        self.near, self.far = self.connect()

    def connect(self) -> tuple[socket.socket, socket.socket]:
        before = self.proxy.open_count
        near = self.call()
        far, _ = self.server.listener.accept()
        far.settimeout(LIMIT_S)
        self._opened.callback(far.close)
        wait_until(lambda: self.proxy.open_count > before)  # the proxy has heard of it, too
        return near, far

    def call(self) -> socket.socket:
        near = call(self.proxy.listens_at)
        self._opened.callback(near.close)
        return near


def open_line(folders: Folders, opened: contextlib.ExitStack, near: str = "tcp", far: str = "tcp") -> Line:
    server = Server(("127.0.0.1", 0) if far == "tcp" else folders.runtime / "far")
    opened.callback(server.listener.close)
    proxy = opened.enter_context(proxying(server.place, None if near == "tcp" else folders.runtime / "near"))
    return Line(proxy, server, opened)


@pytest.fixture
def line(folders: Folders) -> Iterator[Line]:
    with contextlib.ExitStack() as opened:
        yield open_line(folders, opened)


def is_silent(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return not sock.recv(1, socket.MSG_PEEK) and False
    except TimeoutError:
        return True
    finally:
        sock.settimeout(LIMIT_S)


@pytest.mark.parametrize("far", ["tcp", "unix"])
@pytest.mark.parametrize("near", ["tcp", "unix"])
def test_what_is_said_passes_both_ways_and_is_counted_until_each_ends(folders: Folders, near: str, far: str):
    data = random.Random(1).randbytes(3_000_000)
    with contextlib.ExitStack() as opened:
        line = open_line(folders, opened, near, far)
        assert line.proxy.address.startswith(near)
        for source, target in ((line.near, line.far), (line.far, line.near)):
            sending = threading.Thread(target=source.sendall, args=[data])
            sending.start()
            assert receive(target, len(data)) == data
            sending.join()
        line.near.shutdown(socket.SHUT_WR)
        assert line.far.recv(1) == b""
        line.far.sendall(b"still heard")
        assert receive(line.near, 11) == b"still heard"
        line.far.close()
        assert line.near.recv(1) == b""
        line.near.close()
        wait_until(lambda: line.proxy.open_count == 0)
        assert (line.proxy.passed, line.proxy.accepted) == ({UP: len(data), DOWN: len(data) + 11}, 1)


def test_a_cut_ends_both_sides_in_good_order(line: Line):
    line.proxy.cut()
    assert (line.near.recv(1), line.far.recv(1)) == (b"", b"")
    line.near.sendall(b"said into the void")
    near, far = line.connect()
    near.sendall(b"new")
    assert receive(far, 3) == b"new"
    assert line.proxy.passed == {UP: 3, DOWN: 0}


def test_a_reset_breaks_both_sides(line: Line):
    line.proxy.reset()
    for sock in (line.near, line.far):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert line.proxy.open_count == 0


def test_one_side_that_breaks_breaks_the_other(line: Line):
    line.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.far.close()
    with pytest.raises(ConnectionResetError):
        line.near.recv(1)


@pytest.mark.parametrize(("fault", "ends"), [(Proxy.cut, b""), (Proxy.black_hole, None)])
def test_a_fault_that_is_ordered_happens_after_exactly_so_many_bytes(
    line: Line, fault: Callable[[Proxy], None], ends: bytes | None
):
    line.proxy.after(1000, lambda: fault(line.proxy), DOWN)
    line.near.sendall(bytes(5000))  # the other direction does not count
    assert receive(line.far, 5000) == bytes(5000)
    line.far.sendall(b"x" * 600)
    line.far.sendall(b"y" * 600)
    assert receive(line.near, 1000) == b"x" * 600 + b"y" * 400
    if ends is None:
        assert is_silent(line.near)
    else:
        assert line.near.recv(1) == ends
    assert line.proxy.passed == {UP: 5000, DOWN: 1000}


def test_a_half_open_connection_passes_one_direction_and_ends_nothing(line: Line):
    line.proxy.half_open(UP)
    line.near.sendall(b"lost")
    line.far.sendall(b"heard")
    assert receive(line.near, 5) == b"heard"
    line.near.shutdown(socket.SHUT_WR)
    assert is_silent(line.far)
    wait_until(lambda: line.proxy.swallowed == 4)
    near, far = line.connect()
    near.sendall(b"new")
    assert receive(far, 3) == b"new"


def test_a_black_hole_accepts_and_never_answers(line: Line):
    line.proxy.black_hole()
    line.near.sendall(b"lost")
    caller = line.call()
    caller.sendall(b"lost as well")
    wait_until(lambda: line.proxy.swallowed == 16)
    assert is_silent(caller)
    assert is_silent(line.far)
    line.near.close()
    assert is_silent(line.far)
    line.proxy.heal()
    near, far = line.connect()
    near.sendall(b"new")
    assert receive(far, 3) == b"new"
    caller.sendall(b"lost for good")
    assert is_silent(caller)


def test_a_black_hole_for_the_newest_leaves_the_others_alone(line: Line):
    near, far = line.connect()
    line.proxy.black_hole_newest()
    near.sendall(b"lost")
    far.sendall(b"lost as well")
    wait_until(lambda: line.proxy.swallowed == 16)
    assert is_silent(near)
    assert is_silent(far)
    line.near.sendall(b"heard")
    assert receive(line.far, 5) == b"heard"


def test_a_pause_loses_nothing(line: Line):
    line.proxy.pause()
    line.near.sendall(b"patience")
    assert is_silent(line.far)
    caller = line.call()
    caller.sendall(b"hello")
    line.proxy.resume()
    assert receive(line.far, 8) == b"patience"
    far, _ = line.server.listener.accept()
    with far:
        assert receive(far, 5) == b"hello"


def test_a_delay_keeps_the_order(line: Line):
    line.proxy.delay(0.05)
    for piece in (b"one", b"two", b"three"):
        line.near.sendall(piece)
    line.near.shutdown(socket.SHUT_WR)
    assert receive(line.far, 100) == b"onetwothree"


@pytest.mark.parametrize("near", ["tcp", "unix"])
def test_who_is_refused_is_told_at_once_and_let_in_again_at_the_same_place(folders: Folders, near: str):
    with contextlib.ExitStack() as opened:
        line = open_line(folders, opened, near)
        line.proxy.refuse()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            line.call()
        line.near.sendall(b"who is in stays")
        assert receive(line.far, 15) == b"who is in stays"
        line.proxy.heal()
        line.connect()
        line.proxy.vanish()
        assert (line.near.recv(1), line.far.recv(1)) == (b"", b"")


def test_a_target_that_moves_is_found_and_one_that_is_gone_ends_who_comes(line: Line, folders: Folders):
    line.server.listener.close()
    assert line.call().recv(1) == b""
    line.server = Server(folders.runtime / "moved")
    with line.server.listener:
        line.proxy.target = line.server.place
        near, far = line.connect()
        near.sendall(b"new")
        assert receive(far, 3) == b"new"


def test_what_passes_can_be_seen_and_changed(line: Line):
    seen = []

    def tap(way: str, piece: bytes) -> bytes:
        seen.append((way, piece))
        return piece.upper()

    line.proxy.tap = tap
    line.near.sendall(b"hello")
    assert receive(line.far, 5) == b"HELLO"
    assert seen == [(UP, b"hello")]


def test_all_is_closed_at_the_end_also_what_is_paused_or_lost(folders: Folders):
    with contextlib.ExitStack() as opened:
        line = open_line(folders, opened)
        line.proxy.half_open(DOWN)
        line.proxy.pause()
        line.proxy.close()
        for sock in (line.near, line.far):
            assert sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            line.call()


def test_the_same_seed_strikes_in_the_same_way(line: Line):
    def strike(seed: int) -> list[str]:
        chance = random.Random(seed)
        told = []
        for _ in range(40):
            told.append(line.proxy.strike(chance))
            line.proxy.heal()
        return told

    assert strike(1) == strike(1) != strike(2)
    kinds = {name.split(" ")[0].strip(",") for seed in range(5) for name in strike(seed)}
    assert kinds == {"cut", "reset", "delay", "half-open", "black", "pause"}
