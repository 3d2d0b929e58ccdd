import socket

import pytest

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.wire.debug_adapter import DebugChannel


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    channel = DebugChannel(near)
    yield channel, far
    channel.close()
    far.close()


def test_messages_cross_as_they_are(pair):
    channel, far = pair
    other = DebugChannel(far)
    for message in ({}, {"text": "é€\n\r\n"}, {"body": {"long": "x" * 70_000}}):
        channel.send(message)
        assert other.receive() == message
    other.close()


def test_other_headers_are_passed_over_and_pieces_joined(pair):
    channel, far = pair
    for piece in (b"Content-Type: any\r\ncontent-", b"length: ", b"9\r\n\r\n", b'{"a"', b": 12}"):
        far.sendall(piece)
    assert channel.receive() == {"a": 12}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Content-Length: 10\r\n\r\n{}",
        b"Content-Length: x\r\n\r\n{}",
        b"Content-Length: -2\r\n\r\n{}",
        b"Content-Length: 99999999999\r\n\r\n{}",
        b"\r\n{}",
        b"Content-Length: 2\r\n\r\n[]",
        b"Content-Length: 2\r\n\r\n{{",
        b"Content-Length: 2\r\n\r\n\xff\xff",
    ],
)
def test_what_is_no_message_ends_the_conversation(pair, data):
    channel, far = pair
    far.sendall(data)
    far.close()
    with pytest.raises(ConnectionLost):
        channel.receive()


def test_to_nobody_nothing_is_sent(pair):
    channel, far = pair
    far.close()
    with pytest.raises(ConnectionLost):
        for _ in range(3):
            channel.send({})


def test_a_refusal_says_why(pair):
    channel, far = pair
    other = DebugChannel(far)
    other.send({"ready": False, "message": "no time"})
    with pytest.raises(RequestError, match="no time"):
        channel.wait_until_ready(10)
    other.send({"ready": True})
    channel.wait_until_ready(10)
    other.close()
