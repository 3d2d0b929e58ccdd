"""In which time a connection whose other end is gone without a word is given up."""

import socket

import pytest

from rpyc_kernel.wire.sockets import give_up_unheard, prepare_socket
from tests.wire.peers import socket_pair

IDLE = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))


@pytest.mark.skipif(IDLE is None, reason="this system does not say when it looks for dead peers")
def test_an_idle_connection_is_looked_after_and_given_up_within_a_minute():
    near, far = socket_pair("tcp")
    with near, far:
        prepare_socket(near)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            near.getsockopt(socket.IPPROTO_TCP, option) for option in (IDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= 60


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system's TCP has no such limit")
def test_so_is_one_that_does_not_take_what_was_sent():
    near, far = socket_pair("tcp")
    with near, far:
        give_up_unheard(near)
        assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_a_socket_of_this_machine_is_left_as_it_is():
    near, far = socket_pair()
    with near, far:
        give_up_unheard(near)
        prepare_socket(near)
