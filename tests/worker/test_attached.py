"""What a process does that is attached to, where it cannot open a kernel or nobody waits for that any more."""

import socket
import sys
from collections.abc import Iterator

import pytest

from rpyc_kernel.core.contract import WORKER_VERSION
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system import frames
from rpyc_kernel.worker import attached, embedding

REQUEST = {"name": "demo", "release": "9.9.9", "workers": WORKER_VERSION}


@pytest.fixture
def sides() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_another_release_that_is_there_already_is_refused(sides: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(RequestError, match=r"not compatible with release 9\.9\.9 here; attach with its own: "):
        attached.serve(sides[1], {**REQUEST, "workers": WORKER_VERSION + 1})


def test_of_two_who_attach_at_once_the_second_is_refused(sides: tuple[socket.socket, socket.socket]) -> None:
    with attached._attaching, pytest.raises(RequestError, match="somebody else is attaching"):
        attached.serve(sides[1], REQUEST)


def test_who_has_gone_before_there_is_a_hub_is_no_error(
    sides: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sides
    monkeypatch.delitem(sys.modules, "rpyc_kernel.hub.hub", raising=False)  # which other tests may have loaded
    here.shutdown(socket.SHUT_WR)
    attached.serve(there, REQUEST)
    assert set(frames.FrameReader(here).receive()) == {"program", "cwd"}
    assert embedding._open == []
    assert not attached._attaching.locked()
