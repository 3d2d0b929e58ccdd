"""Messages between hub and worker: whole, in order, with their descriptors, whatever the socket cuts."""

import contextlib
import os
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.system import frames
from rpyc_kernel.system.frames import DescriptorReader, FrameReader

messages = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def frame(body):
    return struct.pack("!I", len(body)) + body


def encoded(*to_send):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for message in to_send:
            frames.send(ours, message)
        return theirs.recv(1 << 20)


@given(st.lists(messages, max_size=5), st.data())
def test_messages_survive_being_cut_anywhere(to_send, data):
    stream = encoded(*to_send) if to_send else b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        reader = FrameReader(theirs)
        got = []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            ours.send(stream[start:end])
            got += reader.receive_available()
        assert got == to_send


def test_a_blocking_reader_waits_for_a_whole_message(pair):
    ours, theirs = pair
    stream = encoded({"code": "ä" * 100})
    ours.send(stream[:10])
    timer = threading.Timer(0.02, ours.send, (stream[10:],))
    timer.start()
    assert FrameReader(theirs).receive() == {"code": "ä" * 100}
    timer.join()


def test_a_message_larger_than_the_sockets_buffer_arrives(pair):
    ours, theirs = pair
    message = ["x" * 3_000_000]
    thread = threading.Thread(target=frames.send, args=(ours, message))
    thread.start()
    assert FrameReader(theirs).receive() == message
    thread.join()


def test_lone_surrogates_cross_as_they_are(pair):
    ours, theirs = pair
    frames.send(ours, "\ud800")
    assert FrameReader(theirs).receive() == "\ud800"


def test_descriptors_come_with_their_message(pair):
    ours, theirs = pair
    read_end, write_end = os.pipe()
    frames.send(ours, "here", [write_end])
    os.close(write_end)
    reader = DescriptorReader(theirs)
    assert reader.receive() == "here"
    (received,) = reader.descriptors
    os.write(received, b"through it")
    os.close(received)
    assert os.read(read_end, 100) == b"through it"
    os.close(read_end)


def test_descriptors_that_nobody_asked_for_are_closed(pair):
    ours, theirs = pair
    read_end, write_end = os.pipe()
    frames.send(ours, "here", [write_end])
    os.close(write_end)
    assert FrameReader(theirs).receive() == "here"
    assert os.read(read_end, 100) == b""
    os.close(read_end)


def test_descriptors_come_with_a_message_larger_than_the_sockets_buffer(pair):
    ours, theirs = pair
    with open(os.devnull) as opened:
        thread = threading.Thread(target=frames.send, args=(ours, "x" * 2_000_000, [opened.fileno()]))
        thread.start()
        reader = DescriptorReader(theirs)
        assert len(reader.receive()) == 2_000_000
        thread.join()
    (received,) = reader.descriptors
    os.close(received)


def test_what_was_sent_before_the_end_is_returned_before_the_end(pair):
    ours, theirs = pair
    frames.send(ours, 1)
    frames.send(ours, 2)
    ours.close()
    theirs.setblocking(False)
    reader = FrameReader(theirs)
    assert reader.receive_available() == [1, 2]
    with pytest.raises(EOFError):
        reader.receive_available()


def test_nothing_there_is_no_end(pair):
    _, theirs = pair
    theirs.setblocking(False)
    assert FrameReader(theirs).receive_available() == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        frame(b"[1")[:-1],
        frame(b"[1"),
        frame(b"\xff"),
        frame(b"[" * 100_000),
        struct.pack("!I", 300 * 1024 * 1024),
    ],
    ids=["nothing", "half a length", "half a message", "no JSON", "no text", "too deep", "too long"],
)
def test_what_is_no_message_ends_the_conversation(pair, data):
    ours, theirs = pair
    thread = threading.Thread(target=lambda: (ours.sendall(data), ours.close()))
    thread.start()
    with pytest.raises(EOFError):
        FrameReader(theirs).receive()
    thread.join()


def test_descriptors_that_are_received_are_not_inherited(pair):
    ours, theirs = pair
    frames.send(ours, "take this", (ours.fileno(),))
    reader = DescriptorReader(theirs)
    assert reader.receive() == "take this"
    (descriptor,) = reader.descriptors
    try:
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_sending_to_somebody_who_is_gone_says_so(pair):
    ours, theirs = pair
    theirs.close()
    with pytest.raises(OSError, match="Broken pipe"):
        frames.send(ours, 1)


def test_a_deadline_ends_the_wait(pair):
    _, theirs = pair
    theirs.settimeout(0.01)
    with pytest.raises(EOFError, match="timed out"), contextlib.closing(theirs):
        FrameReader(theirs).receive()
