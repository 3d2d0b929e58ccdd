"""A refusal in place of the first frame: its reason arrives, whatever it says, and however little of it."""

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.channel import Channel, FrameTooLarge
from rpyc_kernel.wire.refusal import MARK, refuse
from tests.wire.peers import socket_pair


@pytest.mark.parametrize(("kind", "has_asked"), [("unix", False), ("unix", True), ("tcp", False)])
def test_the_reason_arrives_and_the_connection_ends(kind, has_asked):
    near, far = socket_pair(kind)
    channel = Channel(near)
    try:
        if has_asked:
            channel.send(b"a request")
        refuse(far.detach(), "ModuleNotFoundError: No module named 'räpyc'")
        with pytest.raises(ConnectionLost, match=r"^ModuleNotFoundError: No module named 'räpyc'$"):
            channel.recv()
    finally:
        channel.close()


def test_a_reason_has_a_limit():
    near, far = socket_pair()
    channel = Channel(near)
    try:
        refuse(far.detach(), "x" * 100_000)
        with pytest.raises(ConnectionLost, match=r"^x{4096}$"):
            channel.recv()
    finally:
        channel.close()


def test_a_peer_that_is_gone_is_no_error():
    near, far = socket_pair()
    near.close()
    refuse(far.detach(), "nobody hears it")


def test_what_only_begins_like_one_is_refused_itself():
    near, far = socket_pair()
    channel = Channel(near)
    try:
        far.sendall(MARK[:-1] + b"\0")
        with pytest.raises(FrameTooLarge):
            channel.recv()
    finally:
        channel.close()
        far.close()
