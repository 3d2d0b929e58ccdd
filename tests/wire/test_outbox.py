import threading

import pytest

from rpyc_kernel.errors import CallTimeout, ConnectionLost
from rpyc_kernel.wire import outbox as outbox_module
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.outbox import Outbox
from tests.support.waiting import wait_until
from tests.wire.interrupts import interrupt_everywhere
from tests.wire.peers import DEADLINE_S, Serving, socket_pair
from tests.wire.stages import closing_all, wait_until_blocked

LARGE = 30_000_000
"""More than any socket takes at once."""


@pytest.fixture
def channels():
    near, far = (Channel(sock) for sock in socket_pair())
    with closing_all(near, far):
        yield near, far


def test_frames_leave_in_the_order_in_which_they_were_put(channels):
    near, far = channels
    outbox = Outbox(near)
    running = Serving(outbox.run)
    for number in range(1000):
        (outbox.put, outbox.send, outbox.put_uncounted)[number % 3](b"%d" % number)
    assert [far.recv() for _ in range(1000)] == [b"%d" % number for number in range(1000)]
    outbox.close()
    running.join()
    assert running.error is None


def test_what_was_queued_before_closing_is_sent(channels):
    near, far = channels
    outbox = Outbox(near)
    for number in range(10):
        outbox.put(b"%d" % number)
    outbox.close()
    Serving(outbox.run).join()
    assert [far.recv() for _ in range(10)] == [b"%d" % number for number in range(10)]


def test_many_threads_lose_nothing_and_mix_nothing(channels):
    near, far = channels
    outbox = Outbox(near)
    running = Serving(outbox.run)

    def produce(name):
        for number in range(300):
            frame = b"%d %d " % (name, number) + b"x" * (number * 37 % 5000)
            (outbox.put if number % 2 else outbox.send)(frame)

    producers = [Serving(lambda name=name: produce(name)) for name in range(6)]
    received = [bytes(far.recv()).split(b" ") for _ in range(1800)]
    for producer in producers:
        producer.join()
    for name in range(6):
        assert [int(number) for who, number, _ in received if int(who) == name] == list(range(300))
    outbox.close()
    running.join()


def test_producers_wait_for_room_and_get_it(channels):
    near, far = channels
    outbox = Outbox(near, limit_bytes=1000)
    outbox.put(bytes(LARGE))
    assert outbox.is_full
    with pytest.raises(CallTimeout):
        outbox.wait_for_room(0.01)
    waiting = Serving(outbox.wait_for_room)
    wait_until_blocked(waiting)
    running = Serving(outbox.run)
    assert len(far.recv()) == LARGE
    waiting.join()
    assert waiting.error is None
    outbox.close()
    running.join()


def test_closing_fails_producers(channels):
    outbox = Outbox(channels[0], limit_bytes=0)
    outbox.put(bytes(LARGE))
    waiting = Serving(outbox.wait_for_room)
    wait_until_blocked(waiting)
    outbox.close()
    waiting.join()
    assert isinstance(waiting.error, ConnectionLost)
    with pytest.raises(ConnectionLost):
        outbox.wait_for_room()


def test_a_lost_channel_ends_the_writer(channels):
    near, far = channels
    outbox = Outbox(near)
    running = Serving(outbox.run)
    outbox.put(bytes(LARGE))
    wait_until_blocked(running)
    far.close()
    running.join()
    assert isinstance(running.error, ConnectionLost)


def test_a_frame_taken_in_part_is_finished_before_anything_else(channels):
    near, far = channels
    blocked = threading.Event()
    outbox = Outbox(near, on_blocked=blocked.set)
    large = bytes(range(256)) * 40_000
    outbox.send(large)
    outbox.send(b"next")
    assert blocked.is_set()
    flushing = Serving(outbox.flush)
    assert [far.recv(), far.recv()] == [large, b"next"]
    flushing.join()


def test_what_finalizers_leave_is_dealt_with_by_the_writer(channels):
    buried = []
    near, far = channels

    def bury(thing):
        buried.append(threading.get_ident())
        return [thing]

    outbox = Outbox(near, bury=bury)
    running = Serving(outbox.run)
    outbox.leave(b"one")
    outbox.leave(b"two")
    assert [far.recv(), far.recv()] == [b"one", b"two"]
    assert buried == [running.ident] * 2
    outbox.close()
    running.join()


def test_a_frame_does_not_wait_behind_what_finalizers_leave(channels, monkeypatch):
    monkeypatch.setattr(outbox_module, "_LINGER_S", 10 * DEADLINE_S)
    near, far = channels
    outbox = Outbox(near, bury=lambda thing: [thing])
    running = Serving(outbox.run)
    for _ in range(20):
        outbox.leave(b"left")
        outbox.put_uncounted(b"frame")  # which rings for the writer
        assert {far.recv(), far.recv()} == {b"left", b"frame"}
    outbox.leave(b"last")
    outbox.close()
    assert far.recv() == b"last"
    running.join()


def test_counts_recover_from_an_interrupted_producer(channels):
    near, far = channels
    outbox = Outbox(near, limit_bytes=1000)
    outbox._queued_bytes = 5000  # what an interrupt at the worst moment could leave
    running = Serving(outbox.run)
    outbox.put(b"x")
    far.recv()
    outbox.wait_for_room(DEADLINE_S)
    outbox.close()
    running.join()


def test_a_frame_is_written_at_once_where_nothing_is_in_its_way(channels):
    near, far = channels
    rung = []
    outbox = Outbox(near, on_blocked=lambda: rung.append(True))
    outbox.put(b"one")
    outbox.send(b"two")
    assert [far.recv(), far.recv()] == [b"one", b"two"]
    assert not rung
    assert outbox._bell.empty()


def test_one_flush_at_a_time_is_asked_for(channels):
    near, far = channels
    rung = []
    outbox = Outbox(near, on_blocked=lambda: rung.append(True))
    for _ in range(3):
        outbox.send(bytes(LARGE))
    assert rung == [True]
    flushing = Serving(outbox.flush)
    for _ in range(3):
        far.recv()
    flushing.join()
    outbox.send(bytes(LARGE))
    assert rung == [True, True]


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_an_interrupt_at_any_point_tears_no_frame(size):
    near, far = (Channel(sock) for sock in socket_pair())
    received = []

    def receive():
        while (frame := bytes(far.recv())) != b"end":
            received.append(frame)

    with closing_all(near, far):
        outbox = Outbox(near)
        running, receiving = Serving(outbox.run), Serving(receive)
        number = 0
        sure = []

        def put():
            outbox.put(b"%d" % number + b"." * size)

        for _ in interrupt_everywhere(put):
            number += 1
            put()  # nobody interrupts this one
            sure.append(number)
            number += 1
            wait_until(lambda: not outbox._has_work())
        outbox.put(b"end")
        receiving.join()
        outbox.close()
        running.join()
    assert number > 40
    numbers = [int(frame.split(b".")[0]) for frame in received]
    assert all(len(frame) == size + len(b"%d" % number) for frame, number in zip(received, numbers, strict=True))
    assert numbers == sorted(set(numbers)), "frames were repeated or have changed places"
    assert set(sure) <= set(numbers)


def test_a_finalizer_that_sends_while_its_thread_is_sending_blocks_nobody(channels):
    near, far = channels
    outbox = Outbox(near)
    pack = Channel.pack

    class Interrupting(Channel):
        __slots__ = ()

        def pack(self, frame):
            if frame == b"outer":
                outbox.put(b"inner")  # what a collection in here could lead to
            return pack(self, frame)

    near.__class__ = Interrupting
    running = Serving(outbox.run)
    Serving(lambda: outbox.put(b"outer")).join()
    Serving(lambda: outbox.send(b"outer")).join()
    assert sorted(far.recv() for _ in range(4)) == [b"inner", b"inner", b"outer", b"outer"]
    outbox.close()
    running.join()
