"""What becomes of a client's socket on its way to the worker."""

import os
import socket
import threading

import pytest

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.errors import KernelDied
from rpyc_kernel.hub.worker_link import WorkerLink
from rpyc_kernel.system import frames
from rpyc_kernel.system.runtime_folder import listen
from tests.support.waiting import wait_until

PATIENCE_S = 30.0
GREETING = {"pid": 4711, "release": RELEASE, "version": WORKER_VERSION}


@pytest.fixture
def link(tmp_path):
    """A link to a worker, whose end of the control connection is ``link.worker``."""
    ends = []

    def greet():
        with listener.accept()[0], open(os.devnull) as nothing:
            ends.append(listener.accept()[0])
            frames.send(ends[0], GREETING, [nothing.fileno()] * 4)

    with listen(tmp_path / "worker.sock", 8) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        link = WorkerLink(tmp_path / "worker.sock", PATIENCE_S)
        thread.join()
    link.worker = ends[0]
    yield link
    link.abandon()
    link.worker.close()


@pytest.fixture
def client():
    near, far = socket.socketpair()
    near.settimeout(PATIENCE_S)
    with near, far:
        yield near, far


def hand_over(link, far):
    link.hand_over("objects", far)
    far.close()  # as the hub does


def test_a_client_is_the_workers_once_it_is_handed_over(link, client):
    near, far = client
    hand_over(link, far)
    reader = frames.FrameReader(link.worker)
    reader.receive()  # the name of the connection
    assert reader.receive() == [0, "objects", []]
    (descriptor,) = reader.descriptors
    with socket.socket(fileno=descriptor) as served:
        served.sendall(b"hello")
        assert near.recv(5) == b"hello"


def test_who_waits_to_be_handed_over_to_a_worker_that_ends_is_told_so(link, client, monkeypatch):
    near, far = client

    def fail(*_):
        raise BrokenPipeError

    monkeypatch.setattr(frames, "send_encoded", fail)
    hand_over(link, far)
    assert near.makefile("rb").read().endswith(b"has just ended; try again when the next one is up")


def test_nobody_is_handed_over_to_a_worker_that_has_ended(link, client):
    _, far = client
    link.worker.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: link._is_lost, PATIENCE_S)
    with pytest.raises(KernelDied, match="has just ended"):
        hand_over(link, far)
