"""A refusal in place of the first frame: its reason arrives, whatever it says, and however little of it."""

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.bulk.socket import BulkSocket
from rpyc_kernel.wire.channel import Channel, FrameTooLarge
from rpyc_kernel.wire.debug_adapter import DebugChannel
from rpyc_kernel.wire.refusal import MARK, refuse
from tests.wire.peers import socket_pair

REASON = "No threads"
"""As long as a line feed counts, which a channel of lines must not take for an end."""


@pytest.fixture
def refused():
    near, far = socket_pair()
    refuse(far, REASON)
    with near:
        yield near


@pytest.mark.parametrize(("kind", "has_asked"), [("unix", False), ("unix", True), ("tcp", False)])
def test_the_reason_arrives_and_the_connection_ends(kind, has_asked):
    near, far = socket_pair(kind)
    channel = Channel(near)
    try:
        if has_asked:
            channel.send(b"a request")
        refuse(far, "ModuleNotFoundError: No module named 'räpyc'")
        with pytest.raises(ConnectionLost, match=r"^ModuleNotFoundError: No module named 'räpyc'$"):
            channel.recv()
    finally:
        channel.close()


def test_a_reason_has_a_limit():
    near, far = socket_pair()
    channel = Channel(near)
    try:
        refuse(far, "x" * 100_000)
        with pytest.raises(ConnectionLost, match=r"^x{4096}$"):
            channel.recv()
    finally:
        channel.close()


def test_the_reason_arrives_on_the_bulk_channel(refused):
    bulk = BulkSocket(refused)
    with pytest.raises(ConnectionLost, match=f"^{REASON}$"):
        bulk.receive()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_still_sends_on_the_bulk_channel_hears_the_reason(kind):
    near, far = socket_pair(kind)
    bulk = BulkSocket(near)
    refuse(far, REASON)
    with near, pytest.raises(ConnectionLost, match=f"^{REASON}$"):
        for _ in range(1000):  # by TCP the first is taken
            bulk.send(bulk.encode({}))


def test_the_reason_arrives_on_the_debuggers_channel(refused):
    channel = DebugChannel(refused)
    with pytest.raises(ConnectionLost, match=f"{REASON}$"):
        channel.wait_until_ready(30)
    channel.close()


def test_a_peer_that_is_gone_is_no_error():
    near, far = socket_pair()
    near.close()
    refuse(far, "nobody hears it")


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
