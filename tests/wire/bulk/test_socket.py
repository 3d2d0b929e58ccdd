"""The bulk channel's messages over real sockets, and what a broken or hostile other side can do with them."""

import contextlib
import json
import os
import resource
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from rpyc_kernel.errors import CallTimeout, ConnectionLost, NotPlain, RequestError
from rpyc_kernel.system import shared_memory
from rpyc_kernel.wire.bulk import codec
from rpyc_kernel.wire.bulk.codec import pack
from rpyc_kernel.wire.bulk.socket import BulkSocket

DEADLINE_S = 30.0
LARGE = numpy.arange(3_000_000.0)


def connect_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return near, far


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as near:
        server.bind(str(path))
        server.listen()
        near.connect(str(path))
        far, _ = server.accept()
        return near.dup(), far


@pytest.fixture(params=["unix", "tcp"])
def ends(request, tmp_path):
    """Both ends of a connection, as sockets."""
    near, far = connect_unix(tmp_path / "sock") if request.param == "unix" else connect_tcp()
    with near, far:
        for sock in (near, far):
            sock.settimeout(DEADLINE_S)
        yield near, far


@pytest.fixture
def pair(ends):
    """Both ends, each with its deadline."""
    bulks = [BulkSocket(sock) for sock in ends]
    for bulk in bulks:
        bulk.set_timeout(DEADLINE_S)
        bulk.meet(os.getpid())
    return bulks


def send(sender, value, progress=None, *, allow_pickle=False, **head):
    sender.send(sender.encode(head, pack(value, allow_pickle=allow_pickle)), progress)


def transfer(pair, value, *, allow_pickle=False, **options):
    sender, receiver = pair
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, sender, value, allow_pickle=allow_pickle, about="it")
        message = receiver.receive(**options)
        sending.result(DEADLINE_S)
    assert message.head == {"about": "it"}
    return message.open(allow_pickle=allow_pickle)


VALUES = {
    "nothing": None,
    "an empty array": numpy.zeros((0, 5)),
    "a small array": numpy.arange(5),
    "a large array": LARGE,
    "a large view": LARGE.reshape(1000, 3000)[::2, ::-1],
    "large bytes": bytes(range(256)) * 20_000,
    "a large text": "aé€\ud800" * 500_000,
    "large and small ones mixed": {"a": [LARGE, b"x" * 5_000_000, 7], "b": (numpy.float32(1), LARGE[:3])},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_arrive(pair, value):
    numpy.testing.assert_equal(transfer(pair, value), value)


def test_one_message_after_another_arrives(pair):
    for value in (LARGE, 1, b"x" * 3_000_000, [LARGE[:10], "end"]):
        numpy.testing.assert_equal(transfer(pair, value), value)


def test_a_large_array_is_the_receivers_own(pair):
    arrived = transfer(pair, LARGE)
    arrived[0] = -1
    assert LARGE[0] == 0


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd_create")
def test_where_there_is_no_room_in_shared_memory_the_socket_carries_it():
    near, far = socket.socketpair()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with near, far, contextlib.ExitStack() as after:
        after.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        pair = BulkSocket(near), BulkSocket(far)
        pair[0].meet(os.getpid())
        numpy.testing.assert_equal(transfer(pair, LARGE), LARGE)


# Progress and limits


def test_progress_is_told_on_both_sides(pair):
    sender, receiver = pair
    sent, received = [], []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, sender, LARGE, lambda done, total: sent.append((done, total)))
        receiver.receive(lambda done, total: received.append((done, total)))
        sending.result(DEADLINE_S)
    for told in (sent, received):
        assert told[0] == (0, LARGE.nbytes)
        assert told[-1] == (LARGE.nbytes, LARGE.nbytes)
        assert told == sorted(told)


def test_what_the_progress_function_raises_is_raised_as_it_is(pair):
    def stop(done, total):
        raise ValueError("enough")

    with pytest.raises(ValueError, match=r"^enough$"):
        send(pair[0], LARGE, stop)


def test_more_bytes_than_wanted_are_refused_before_any_is_received(pair):
    sender, receiver = pair
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, sender, LARGE)
        with pytest.raises(RequestError, match=f"the value has {LARGE.nbytes} bytes, over the limit of 1000"):
            receiver.receive(max_bytes=1000)
        receiver.close()
        assert sending.exception(DEADLINE_S) is None or isinstance(sending.exception(), ConnectionLost)


def test_more_parts_than_a_head_can_name_are_refused(monkeypatch):
    monkeypatch.setattr(codec, "MAX_BUFFERS", 10)
    assert len(pack([b""] * 10, allow_pickle=False).buffers) == 10
    with pytest.raises(RequestError, match="too many parts"):
        pack([b""] * 11, allow_pickle=False)


def test_a_long_description_counts_too(pair):
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, pair[0], [*range(30_000)])
        with pytest.raises(RequestError, match="over the limit of 1000"):
            pair[1].receive(max_bytes=1000)
        sending.result(DEADLINE_S)


def test_memory_is_shared_only_with_the_process_that_the_socket_leads_to(tmp_path):
    near, far = connect_unix(tmp_path / "sock")
    with near, far:
        bulk = BulkSocket(near)
        bulk.meet(os.getpid() + 1)
        assert not bulk.can_share
        bulk.meet(os.getpid())
        assert bulk.can_share == hasattr(os, "memfd_create")


def test_memory_is_never_shared_through_a_pair_whose_other_end_passes_on_what_comes_from_elsewhere():
    near, far = socket.socketpair()
    with near, far:
        for end in (near, far):
            bulk = BulkSocket(end)
            bulk.meet(os.getpid())
            assert not bulk.can_share


# Somebody else at the other end


def say(sock, head, body=b""):
    data = head if isinstance(head, bytes) else json.dumps(head).encode()
    sock.sendall(struct.pack("!I", len(data)) + data + body)


ARRAY = {"k": "array", "dtype": "<f8", "shape": [2], "order": "C", "b": 0}

SAID = {
    "garbage": (b"\x80\x05garbage", "no message"),
    "another value": ([1, 2], "no message"),
    "no value": ({"buffers": []}, "no message"),
    "no list of buffers": ({"value": 1, "buffers": 7}, "no message"),
    "a buffer without its kind": ({"value": 1, "buffers": [[1]]}, "no message"),
    "a negative length": ({"value": 1, "buffers": [[-1, False]]}, "no message"),
    "a length that is no number": ({"value": 1, "buffers": [["1", False]]}, "no message"),
    "a length beyond memory": ({"value": ARRAY, "buffers": [[2**62, False]]}, "cannot be (received|transferred)"),
    "a length beyond counting": ({"value": ARRAY, "buffers": [[2**80, False]]}, "cannot be (received|transferred)"),
}


@pytest.mark.parametrize(("head", "message"), SAID.values(), ids=SAID)
def test_what_is_no_message_is_an_error(ends, head, message):
    say(ends[0], head)
    with pytest.raises(RequestError, match=message):
        BulkSocket(ends[1]).receive()


def test_a_head_over_the_cap_is_refused_before_memory_is_set_aside(ends):
    ends[0].sendall(b"\xff\xff\xff\xff")
    with pytest.raises(RequestError, match="over the limit"):
        BulkSocket(ends[1]).receive()


@pytest.mark.parametrize("count", [0, 2, 30, 100])
def test_a_message_that_breaks_off_is_a_lost_connection(ends, count):
    head = json.dumps({"value": ARRAY, "buffers": [[16, False]]}).encode()
    whole = struct.pack("!I", len(head)) + head + bytes(16)
    ends[0].sendall(whole[: min(count, len(whole) - 1)])
    ends[0].close()
    with pytest.raises(ConnectionLost):
        BulkSocket(ends[1]).receive()


def test_a_message_that_stops_in_the_middle_is_a_time_out(ends):
    say(ends[0], {"value": ARRAY, "buffers": [[16, False]]}, bytes(3))
    receiver = BulkSocket(ends[1])
    receiver.set_timeout(0.05)
    with pytest.raises(CallTimeout):
        receiver.receive()


def test_a_receiver_that_takes_nothing_is_a_time_out(pair):
    pair[0].set_timeout(0.05)
    pair[0].can_share = False
    with pytest.raises(CallTimeout):
        send(pair[0], LARGE)


def test_a_receiver_that_goes_is_a_lost_connection(pair):
    pair[0].can_share = False

    def take_a_little():
        pair[1]._sock.recv(1000)
        pair[1].close()

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(take_a_little)
        with pytest.raises(ConnectionLost):
            send(pair[0], LARGE)
        going.result(DEADLINE_S)


def test_a_pickle_nobody_asked_for_is_not_opened(pair):
    class Trap:
        def __reduce__(self):
            return os._exit, (7,)

    sender, receiver = pair
    send(sender, Trap(), allow_pickle=True)
    message = receiver.receive()
    with pytest.raises(NotPlain):
        message.open(allow_pickle=False)


# Shared memory from somebody else


@pytest.fixture
def local():
    near, far = socket.socketpair()
    with near, far:
        yield near, BulkSocket(far)


def pass_descriptor(sock, descriptor):
    say(sock, {"value": ARRAY, "buffers": [[16, True]]})
    socket.send_fds(sock, [b"\0"], [descriptor])
    os.close(descriptor)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd_create")
@pytest.mark.parametrize("make", [lambda: os.memfd_create("open"), lambda: os.open(os.devnull, os.O_RDWR)])
def test_memory_that_is_not_sealed_is_refused(local, make):
    descriptor = make()
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 16)
    pass_descriptor(local[0], descriptor)
    with pytest.raises(RequestError, match=r"is not sealed|is no shared memory"):
        local[1].receive()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd_create")
def test_memory_of_another_length_is_refused(local):
    pass_descriptor(local[0], shared_memory.create([memoryview(bytes(8))]))
    with pytest.raises(RequestError, match="8 bytes instead of 16"):
        local[1].receive()


def test_shared_memory_that_is_announced_and_does_not_come_is_an_error(local):
    say(local[0], {"value": ARRAY, "buffers": [[16, True]]}, b"\0")
    with pytest.raises(RequestError, match="without a descriptor"):
        local[1].receive()
