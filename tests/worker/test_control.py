"""How an answer goes back to the hub that asked."""

import contextlib
import os
import shutil
import socket
import threading

import pytest

from rpyc_kernel.errors import RequestError, WorkerBusy
from rpyc_kernel.system import frames
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen
from rpyc_kernel.system.threads import KernelThread
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.control import Control, _reply_to
from tests.support.waiting import wait_until
from tests.worker.introspection.hostile import touch

Strange = type("Strange", (BaseException,), {"__str__": touch, "__repr__": touch})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestError("no"), ["RequestError", "no"]),
        (ValueError("odd"), ["WorkerBusy", "the worker could not answer: ValueError: odd"]),
        (SystemExit(3), ["WorkerBusy", "the worker could not answer: SystemExit: 3"]),
        (Strange(), ["WorkerBusy", "the worker could not answer: Strange"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_told_and_none_of_the_users_is_asked(error, told):
    hub, worker = socket.socketpair()
    with hub, worker:
        hub.settimeout(30)
        _reply_to(worker, threading.Lock(), 7)(False, error)
        assert frames.FrameReader(hub).receive() == [7, False, told]


# A client that cannot be served


class Reader:
    def __init__(self, sock):
        self.descriptors = [sock.detach()]


def keep_and_fail(sock):
    kept.append(sock)
    raise RuntimeError("can't start new thread")


kept = []
"""Something may refer to the socket still; its client waits all the same."""


def test_a_client_that_cannot_be_served_is_told_why(control):
    control._take_clients["objects"] = keep_and_fail
    near, far = socket.socketpair()
    with near:
        near.settimeout(30)
        control._handle("objects", ["a", "", 1], Reader(far), lambda succeeded, answer: None)
        told = near.makefile("rb").read()
    kept.clear()
    assert told.endswith(b"the worker cannot serve this connection: RuntimeError: can't start new thread")


@pytest.mark.parametrize("error", [SystemExit("by a hook"), KeyboardInterrupt("by a hook")], ids=type)
def test_whatever_user_code_raises_where_a_client_is_let_in_the_client_is_told_and_the_thread_goes_on(control, error):
    def fail(_):
        raise error

    control._take_clients["objects"] = fail
    near, far = socket.socketpair()
    with near:
        near.settimeout(30)
        control._handle("objects", ["a", "", 1], Reader(far), lambda succeeded, answer: None)
        assert near.makefile("rb").read().endswith(f": {type(error).__name__}: by a hook".encode())

    answers = []
    control._methods["leave"] = lambda: fail(None)
    control._handle("leave", [], Reader(far), lambda *answer: answers.append(answer))
    assert answers == [(False, error)]


def test_a_client_for_which_there_is_no_thread_is_told_so(control, monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    control._take_clients["objects"] = keep_and_fail
    monkeypatch.setattr(KernelThread, "start", fail)
    near, far = socket.socketpair()
    with near:
        near.settimeout(30)
        control._handle("objects", ["a", "", 1], Reader(far), lambda succeeded, answer: None)
        assert near.makefile("rb").read().endswith(b": RuntimeError: can't start new thread")


def test_the_hub_is_told_of_a_client_whose_socket_did_not_arrive(control):
    control._take_clients["objects"] = keep_and_fail
    answers = []
    control._handle("objects", ["a", "", 1], frames.DescriptorReader(None), lambda *answer: answers.append(answer))
    ((succeeded, error),) = answers
    assert (succeeded, type(error)) == (False, WorkerBusy)
    assert "as many files open as it may" in str(error)


def test_a_client_of_whom_not_all_has_arrived_is_not_served_by_half(control):
    control._take_clients["stock"] = keep_and_fail
    near, far = socket.socketpair()
    answers = []
    with near:
        near.settimeout(30)
        reader = Reader(far)
        control._handle("stock", ["a", "", 2], reader, lambda *answer: answers.append(answer))
        assert near.recv(1) == b""
    ((succeeded, error),) = answers
    assert (succeeded, type(error), reader.descriptors) == (False, WorkerBusy, [])


def test_all_sockets_of_a_client_that_cannot_be_served_are_closed(control):
    def fail(sock, beside):
        kept.extend((sock, beside))
        raise RuntimeError("no more threads")

    control._take_clients["stock"] = fail
    (near, far), (ours, theirs) = socket.socketpair(), socket.socketpair()
    with near, ours:
        for sock in (near, ours):
            sock.settimeout(30)
        reader = Reader(far)
        reader.descriptors.append(theirs.detach())
        control._handle("stock", ["a", "", 2], reader, lambda *answer: None)
        assert near.makefile("rb").read().endswith(b"RuntimeError: no more threads")
        assert ours.recv(1) == b""
    kept.clear()


def test_a_client_that_waits_for_what_serves_it_keeps_nobody_else_waiting(control):
    may_go_on = threading.Event()
    near, far = socket.socketpair()

    def import_and_serve(sock):
        with sock:
            sock.sendall(b"served" if may_go_on.wait(30) else b"too late")

    control._take_clients["objects"] = import_and_serve
    control._methods["interrupt_side"] = lambda execution: True
    answers = []
    with near:
        near.settimeout(60)
        control._handle("objects", ["a", "", 1], Reader(far), lambda *answer: answers.append(answer))
        control._handle("interrupt_side", [3], None, lambda *answer: answers.append(answer))
        may_go_on.set()
        assert near.makefile("rb").read() == b"served"
        wait_until(lambda: len(answers) == 3, 30)
    assert answers == [(True, None), (True, True), (True, None)]  # the last says that the client is gone


@contextlib.contextmanager
def one_client(control):
    """A client that was let in, and what the hub has been told of it."""
    served, answers = [], []
    control._take_clients["objects"] = served.append
    near, far = socket.socketpair()
    with near:
        control._handle("objects", ["a", "", 1], Reader(far), lambda *answer: answers.append(answer))
        wait_until(lambda: served, 30)
        assert answers == [(True, None)]
        yield served[0], answers


def test_the_hub_is_told_once_when_a_client_is_gone_and_not_by_a_fork(control, monkeypatch):
    with one_client(control) as (client, answers):
        child = os.fork()
        if not child:
            monkeypatch.setattr(forks, "_worker", 0)  # as in every child that a worker forks
            client.close()
            os._exit(len(answers))
        assert os.waitpid(child, 0)[1] >> 8 == 1
        for _ in range(2):
            client.close()
    assert answers == [(True, None), (True, None)]


def test_a_client_whose_socket_has_to_take_another_number_is_not_taken_for_gone(control, monkeypatch):
    monkeypatch.setattr(forks, "_FIRST_DESCRIPTOR", 300)  # user code has closed its standard streams
    with one_client(control) as (client, answers):
        assert client.fileno() >= 300
        client.close()
    assert answers == [(True, None), (True, None)]


# Where hubs find the worker


@pytest.fixture
def control(folders, monkeypatch):
    """A worker's control that looks around once at each call of `_wait`."""
    monkeypatch.setattr("rpyc_kernel.worker.control._LOOK_MS", 0)
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    control = Control(listen(folder.worker_socket, 8), folder, dict, (), {}, None, None, {})
    yield control
    for sock in (control._listener, control._wake_in, control._wake_out):
        sock.close()


def connect(path):
    hub = socket.socket(socket.AF_UNIX)
    hub.connect(str(path))
    return hub


def test_a_worker_without_a_hub_makes_its_socket_again_when_its_folder_vanishes(control):
    path = control._folder.worker_socket
    shutil.rmtree(path.parent)
    assert control._wait() is None
    with connect(path), control._wait():
        pass
    assert path.stat().st_mode & 0o777 == 0o600


def test_while_there_is_a_hub_it_is_the_one_to_say_where_the_worker_listens(control, folders):
    control._count_hubs(1)
    shutil.rmtree(control._folder.path)
    assert control._wait() is None
    assert not control._folder.path.exists()
    control._handle("listen", [str(folders.runtime / "other")], None, lambda succeeded, answer: None)
    assert control._wait() is None
    with connect(folders.runtime / "other" / "worker.sock"), control._wait():
        pass


def test_the_socket_of_another_worker_is_left_alone(control):
    path = control._folder.worker_socket
    path.unlink()
    with listen(path, 1):
        before = path.stat().st_ino
        assert control._wait() is None
        assert path.stat().st_ino == before


def refuse(path, backlog):
    raise OSError("no room")


def test_a_worker_that_cannot_listen_says_so_and_tries_again(control, caplog, monkeypatch):
    path = control._folder.worker_socket
    path.unlink()
    with monkeypatch.context() as context:
        context.setattr("rpyc_kernel.worker.control.listen", refuse)
        assert control._wait() is None
    assert "cannot listen" in caplog.text
    assert control._wait() is None
    assert path.exists()
