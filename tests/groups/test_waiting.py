"""One loop over many: what it reads, and what it says of silence."""

import socket
from collections.abc import Iterator

import pytest

from rpyc_kernel.groups.waiting import Bell, Loop

PATIENCE_S = 30.0


class Source:
    """What may have something to read."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.waited_s: list[float] = []

    def fileno(self) -> int:
        """See `Waited`."""
        return self._end.fileno()

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """See `Waited`."""
        self.waited_s.append(waited_s)
        return True


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = Bell()
    yield bell
    bell.close()


def test_all_who_have_the_same_descriptor_hear_of_what_comes(ends, bell):
    near, far = ends
    sources = [Source(near), Source(near)]
    heard: list[Source] = []
    loop = Loop(bell, lambda: sources, heard.append)
    assert not loop.run(lambda: False, 0)
    heard.clear()
    far.send(b"!")
    assert loop.run(lambda: bool(heard), PATIENCE_S)
    assert heard == sources


def test_silence_counts_once_however_many_wait_for_the_same(ends, bell):
    source = Source(ends[0])
    loops = [Loop(bell, lambda: [source], lambda _: None) for _ in range(5)]
    for tenth in range(101):
        loops[tenth % 5]._look_at_all(1000.0 + tenth / 10)
    assert sum(source.waited_s) == pytest.approx(10, abs=0.5)


def test_a_process_that_was_stopped_has_not_waited_for_all_that_time(ends, bell):
    source = Source(ends[0])
    loop = Loop(bell, lambda: [source], lambda _: None)
    for now in (5000.0, 5001.0, 9000.0):
        loop._look_at_all(now)
    assert source.waited_s == [1.0, 1.0]
