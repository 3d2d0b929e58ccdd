"""Nothing that the kernel sends brings SIGPIPE, which would end a worker whose code has put the default back."""

import contextlib
import os
import signal
import socket

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system import frames
from rpyc_kernel.wire.bulk.codec import pack
from rpyc_kernel.wire.bulk.socket import BulkSocket
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.debug_adapter import DebugChannel
from rpyc_kernel.wire.refusal import refuse
from rpyc_kernel.worker import forks


def send_bulk(sock):
    bulk = BulkSocket(sock)
    bulk.send(bulk.encode({}, pack(b"x", allow_pickle=False)))


def send_shared(sock):
    bulk = BulkSocket(sock)
    bulk.meet(os.getpid())
    message = bulk.encode({}, pack(b"x" * 20_000_000, allow_pickle=False))
    bulk._send_shared(message.buffers[0], None)


SENDERS = {
    "a frame": lambda sock: frames.send(sock, {}),
    "a frame with a descriptor": lambda sock: frames.send(sock, {}, [sock.fileno()]),
    "a message of a connection": lambda sock: Channel(sock).send(b"x"),
    "as much of it as is taken at once": lambda sock: Channel(sock).transmit(b"x", []),
    "a bulk message": send_bulk,
    "shared memory": send_shared,
    "a debugger's message": lambda sock: DebugChannel(sock).send({}),
    "a refusal": lambda sock: refuse(sock, "no"),
}


@pytest.fixture
def struck():
    """The signals that have come."""
    struck = []
    before = signal.signal(signal.SIGPIPE, lambda number, frame: struck.append(number))
    yield struck
    signal.signal(signal.SIGPIPE, before)


@pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
def test_what_is_sent_to_nobody_brings_no_signal(struck, send):
    near, far = socket.socketpair()
    far.close()
    with near, contextlib.suppress(OSError, ConnectionLost):
        send(forks.keep_from_children(near))
    assert not struck


def test_a_socket_of_others_brings_one(struck):
    """So that the test above can fail."""
    near, far = socket.socketpair()
    far.close()
    with near, pytest.raises(BrokenPipeError):
        near.send(b"x")
    assert struck == [signal.SIGPIPE]
