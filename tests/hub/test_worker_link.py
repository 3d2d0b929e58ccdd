"""What becomes of a client's socket on its way to the worker."""

import os
import socket
import threading

import pytest

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.hub import worker_link
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
    link.hand_over("objects", ("a", ""), far)
    far.close()  # as the hub does


def take(link):
    """As the worker, take what is handed over: the message, and the socket."""
    reader = frames.DescriptorReader(link.worker)
    reader.receive()  # the name of the connection
    message = reader.receive()
    return message, socket.socket(fileno=reader.descriptors.pop())


def test_a_client_is_the_workers_once_it_is_handed_over(link, client):
    near, far = client
    hand_over(link, far)
    (number, *message), served = take(link)
    assert message == ["objects", ["a", "", 1]]
    frames.send(link.worker, [number, True, None])
    with served:
        served.sendall(b"hello")
        assert near.recv(5) == b"hello"
    assert near.recv(1) == b""  # nobody else holds it


def test_a_client_whom_the_worker_does_not_take_is_told_why(link, client):
    near, far = client
    hand_over(link, far)
    (number, *_), served = take(link)
    served.close()
    frames.send(link.worker, [number, False, ("WorkerBusy", "too many open files")])
    assert near.makefile("rb").read().endswith(b"the worker cannot serve this connection: too many open files")


@pytest.mark.parametrize("how", ["served and gone", "not taken", "worker gone", "link closed"])
def test_that_a_client_is_served_no_more_is_told_once(link, client, how):
    _, far = client
    ended = Latch()
    link.hand_over("objects", ("a", ""), far, ended=ended)
    (number, *_), served = take(link)
    with served:
        if how == "not taken":
            frames.send(link.worker, [number, False, ("WorkerBusy", "too many open files")])
        else:
            frames.send(link.worker, [number, True, None])
            wait_until(lambda: not link._waiting, PATIENCE_S)
            assert ended.count == 0
        if how == "served and gone":
            frames.send(link.worker, [number, True, None])
        if how == "worker gone":
            link.worker.shutdown(socket.SHUT_RDWR)
        if how == "link closed":
            link.close()
        wait_until(lambda: ended.count, PATIENCE_S)
    link.close()
    assert ended.count == 1


class Latch:
    """Counts how often it was called."""

    count = 0

    def __call__(self):
        self.count += 1


def test_what_comes_with_a_client_is_handed_over_with_it_and_closed_here(link, client):
    near, far = client
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(PATIENCE_S)
        link.hand_over("stock", ("a", ""), far, theirs)
        theirs.close()
        reader = frames.DescriptorReader(link.worker)
        reader.receive()
        number, *message = reader.receive()
        assert message == ["stock", ["a", "", 2]]
        served, beside = (socket.socket(fileno=descriptor) for descriptor in reader.descriptors)
        frames.send(link.worker, [number, True, None])
        with served, beside:
            served.sendall(b"client")
            beside.sendall(b"beside")
            assert (near.recv(6), ours.recv(6)) == (b"client", b"beside")
        assert ours.recv(1) == b""


def test_no_more_clients_wait_for_a_worker_that_takes_none_than_may_be(link, client, monkeypatch):
    _, far = client
    monkeypatch.setattr(worker_link, "_MAX_WAITING", 1)
    link.hand_over("objects", ("a", ""), far)
    with pytest.raises(WorkerBusy, match="takes no connections at the moment"):
        link.hand_over("objects", ("a", ""), far)
    (number, *_), served = take(link)
    served.close()
    frames.send(link.worker, [number, True, None])
    wait_until(lambda: not link._waiting, PATIENCE_S)
    hand_over(link, far)


def test_a_client_who_is_on_the_way_to_a_worker_that_ends_is_told_so(link, client):
    near, far = client
    hand_over(link, far)
    link.worker.shutdown(socket.SHUT_RDWR)
    assert near.makefile("rb").read().endswith(b"the worker ended before it answered")


def test_who_is_to_be_handed_over_to_a_worker_that_has_ended_is_told_so(link, client):
    near, far = client
    link.worker.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: link._is_lost, PATIENCE_S)
    hand_over(link, far)
    assert near.makefile("rb").read().endswith(b"the worker ended before it answered")


def test_questions_reach_a_worker_in_order_that_reads_none_of_them_for_a_while(link, client):
    _, far = client
    padding = "x" * 300_000  # more than the socket holds
    asked = [link.request("question", number, padding if number % 3 == 1 else "") for number in range(9)]
    link.hand_over("objects", ("a", ""), far)
    asked.append(link.request("question", 9, ""))
    reader = frames.DescriptorReader(link.worker)
    reader.receive()  # the name of the connection
    came = [reader.receive() for _ in range(11)]
    assert [arguments[0] for _, method, arguments in came if method == "question"] == list(range(10))
    assert [number for number, *_ in came] == list(range(1, 12))
    for number, method, arguments in came:
        frames.send(link.worker, [number, True, arguments[0] if method == "question" else None])
    assert [answer.result(PATIENCE_S) for answer in asked] == list(range(10))
    for descriptor in reader.descriptors:
        os.close(descriptor)


def test_no_descriptor_is_taken_from_a_worker_once_it_has_greeted(link):
    before = len(os.listdir("/dev/fd"))
    answer = link.request("question")
    reader = frames.DescriptorReader(link.worker)
    reader.receive()
    number, *_ = reader.receive()
    with open(os.devnull) as nothing:
        frames.send(link.worker, [number, True, "answer"], [nothing.fileno()] * 3)
    assert answer.result(PATIENCE_S) == "answer"
    assert len(os.listdir("/dev/fd")) == before
