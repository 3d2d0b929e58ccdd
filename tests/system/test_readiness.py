import socket

import pytest

from rpyc_kernel.system.readiness import Readiness
from tests.wire.peers import Serving
from tests.wire.stages import closing_all, wait_until_blocked


@pytest.fixture
def near_and_far():
    near, far = socket.socketpair()
    with closing_all(near, far):
        yield near, far


@pytest.fixture
def readiness(near_and_far):
    made = Readiness(near_and_far[0].fileno())
    with closing_all(made):
        yield made


def test_it_tells_of_what_is_there_and_of_what_comes(near_and_far, readiness):
    waiting = Serving(readiness.wait)
    wait_until_blocked(waiting)
    near_and_far[1].send(b"x")
    waiting.join()
    readiness.wait()  # it is still there


def test_while_disarmed_it_tells_nothing_until_it_is_armed_by_another_thread(near_and_far, readiness):
    waiting = Serving(readiness.wait)
    wait_until_blocked(waiting)
    readiness.disarm()
    near_and_far[1].send(b"x")
    wait_until_blocked(waiting)
    readiness.arm()
    waiting.join()


def test_what_was_read_while_it_was_disarmed_is_not_told(near_and_far, readiness):
    near, far = near_and_far
    waiting = Serving(readiness.wait)
    for _ in range(10):
        readiness.disarm()
        far.send(b"x")
        assert near.recv(10) == b"x"
        readiness.arm()
    wait_until_blocked(waiting)
    far.send(b"x")
    waiting.join()


def test_the_end_of_a_connection_is_told(near_and_far, readiness):
    waiting = Serving(readiness.wait)
    wait_until_blocked(waiting)
    near_and_far[0].shutdown(socket.SHUT_RDWR)
    waiting.join()


def test_arming_too_late_raises_what_can_be_passed_over(readiness):
    readiness.close()
    for late in (readiness.arm, readiness.disarm):
        with pytest.raises((OSError, ValueError)):
            late()
