import contextlib
import os
import signal
import socket
import threading
import tracemalloc
import zlib

import pytest
from rpyc.core.channel import Channel as StockChannel
from rpyc.core.stream import SocketStream
from rpyc.lib import socket_backoff_connect

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.budget import Budget
from rpyc_kernel.wire.channel import Channel, FrameTooLarge, whole_frames
from tests.support.waiting import wait_until
from tests.wire.peers import Serving, socket_pair
from tests.wire.stages import closing_all, wait_until_blocked

SIZES = [0, 1, 100, 3_001, 65_529, 65_530, 65_536, 65_537, 130_000, 1_000_000]


class CountedBytes(bytes):
    """Bytes that know how many of them were copied by slicing."""

    copied = 0

    def __getitem__(self, key):
        part = bytes.__getitem__(self, key)
        if not isinstance(part, bytes):
            return part
        CountedBytes.copied += len(part)
        return CountedBytes(part)


@pytest.fixture(autouse=True)
def _nothing_copied():
    CountedBytes.copied = 0


@pytest.fixture
def sockets():
    near, far = socket_pair()
    yield near, far
    near.close()
    far.close()


def drain(sock):
    while sock.recv(1 << 20):
        pass


def bytes_on_the_wire(channel, far, data):
    channel.send(data)
    channel.close()
    received = b""
    while part := far.recv(1 << 20):
        received += part
    return received


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_frames_of_all_sizes_arrive_whole_and_in_order(kind):
    near, far = (Channel(sock) for sock in socket_pair(kind))
    frames = [os.urandom(size) for size in SIZES * 2]
    with closing_all(near, far):
        sending = Serving(lambda: [near.send(frame) for frame in frames])
        assert [bytes(far.recv()) for _ in frames] == frames
        sending.join()


@pytest.mark.parametrize("size", SIZES)
def test_stock_and_our_channels_understand_each_other(size, sockets):
    data = bytes(size)  # compressible, and stock compresses it
    ours, stock = Channel(sockets[0]), StockChannel(SocketStream(sockets[1]))
    with closing_all(ours, stock):
        sending = Serving(lambda: stock.send(data))
        assert ours.recv() == data
        sending.join()
        sending = Serving(lambda: ours.send(data))
        assert stock.recv() == data
        sending.join()


def test_a_compressing_channel_is_understood(sockets):
    ours, stock = Channel(sockets[0], compress=True), StockChannel(SocketStream(sockets[1]))
    with closing_all(ours, stock):
        ours.send(b"a" * 50_000)
        assert stock.recv() == b"a" * 50_000


def test_polling_sees_what_was_read_ahead(sockets):
    near, far = Channel(sockets[0]), Channel(sockets[1])
    with closing_all(near, far):
        assert not far.poll(0)
        sockets[0].sendall(b"".join(near.pack(b"one") + near.pack(b"two")))
        assert far.recv() == b"one"
        assert far.poll(0)
        assert far.recv() == b"two"


# ---- delays and copies ----


def test_stock_leaves_tcp_delays_on():
    near, far = socket_pair("tcp")
    with closing_all(StockChannel(SocketStream(near)), far):
        assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_tcp_delays_are_off_and_dead_peers_are_noticed():
    near, far = socket_pair("tcp")
    with closing_all(Channel(near), far):
        assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_stock_copies_a_large_frame_again_for_every_piece_it_sends(sockets):
    data = CountedBytes(4_000_000)
    stock = StockChannel(SocketStream(sockets[0]), compress=False)
    receiving = Serving(lambda: drain(sockets[1]))
    with closing_all(stock):
        stock.send(data)
    receiving.join()
    assert CountedBytes.copied > 10 * len(data)


def test_a_large_frame_is_never_copied(sockets):
    data = CountedBytes(4_000_000)
    ours = Channel(sockets[0])
    receiving = Serving(lambda: drain(sockets[1]))
    with closing_all(ours):
        ours.send(data)
    receiving.join()
    assert CountedBytes.copied == 0


def test_stock_compresses_without_being_asked(sockets):
    assert len(bytes_on_the_wire(StockChannel(SocketStream(sockets[0])), sockets[1], bytes(10_000))) < 1_000


def test_nothing_is_compressed_unless_asked(sockets):
    assert len(bytes_on_the_wire(Channel(sockets[0]), sockets[1], bytes(10_000))) == 10_006


# ---- limits ----


def test_stock_waits_for_as_many_bytes_as_the_peer_claims(sockets):
    near, far = sockets
    stock = StockChannel(SocketStream(near))
    with closing_all(stock):
        far.sendall(StockChannel.FRAME_HEADER.pack(4_000_000_000, 0) + b"and some")
        far.close()
        with pytest.raises(EOFError, match="closed by peer"):
            stock.recv()


def test_an_announced_length_above_the_limit_is_refused_at_once(sockets):
    near, far = sockets
    ours = Channel(near, max_frame_bytes=1000)
    with closing_all(ours):
        far.sendall(Channel.FRAME_HEADER.pack(4_000_000_000, 0) + b"and some")
        with pytest.raises(FrameTooLarge, match=r"4000000000 bytes.*1000"):
            ours.recv()


def test_stock_inflates_whatever_comes(sockets):
    near, far = sockets
    stock = StockChannel(SocketStream(near))
    bomb = zlib.compress(bytes(20_000_000))
    with closing_all(stock):
        far.sendall(Channel.FRAME_HEADER.pack(len(bomb), 1) + bomb + b"\n")
        assert len(bomb) < 20_000
        assert len(stock.recv()) == 20_000_000


def test_what_inflates_beyond_the_limit_is_refused(sockets):
    near, far = sockets
    ours = Channel(near, max_frame_bytes=1_000_000)
    bomb = zlib.compress(bytes(20_000_000))
    with closing_all(ours):
        far.sendall(Channel.FRAME_HEADER.pack(len(bomb), 1) + bomb + b"\n")
        with pytest.raises(FrameTooLarge, match="inflates beyond"):
            ours.recv()


def test_what_inflates_beyond_the_limit_takes_no_memory_before_it_is_refused(sockets):
    near, far = sockets
    ours = Channel(near, max_frame_bytes=1_000_000)
    bomb = zlib.compress(bytes(20_000_000))
    with closing_all(ours):
        far.sendall(Channel.FRAME_HEADER.pack(len(bomb), 1) + bomb + b"\n")
        tracemalloc.start()
        try:
            with pytest.raises(FrameTooLarge):
                ours.recv()
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("packed", [b"no deflate", zlib.compress(b"something")[:-3]])
def test_broken_compression_ends_the_connection(packed, sockets):
    near, far = sockets
    ours = Channel(near)
    with closing_all(ours):
        far.sendall(Channel.FRAME_HEADER.pack(len(packed), 1) + packed + b"\n")
        with pytest.raises(ConnectionLost):
            ours.recv()


def test_sending_above_the_limit_fails_without_sending(sockets):
    near, far = Channel(sockets[0], max_frame_bytes=1000), Channel(sockets[1])
    with closing_all(near, far):
        with pytest.raises(FrameTooLarge, match=r"1001 bytes.*limit of 1000"):
            near.send(bytes(1001))
        near.send(bytes(1000))
        assert far.recv() == bytes(1000)


# ---- the end ----


def test_stock_takes_a_slow_peer_for_a_lost_one():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket_backoff_connect(socket.AF_INET, socket.SOCK_STREAM, 0, listener.getsockname(), 0.05, 1)
        far, _ = listener.accept()
    stock = StockChannel(SocketStream(near), compress=False)
    with closing_all(stock, far), pytest.raises(EOFError, match="timed out"):
        stock.send(bytes(30_000_000))


def test_a_slow_peer_is_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket_backoff_connect(socket.AF_INET, socket.SOCK_STREAM, 0, listener.getsockname(), 0.05, 1)
        far, _ = listener.accept()
    ours, other = Channel(near), Channel(far)
    with closing_all(ours, other):
        sending = Serving(lambda: ours.send(bytes(30_000_000)))
        wait_until_blocked(sending)
        assert len(other.recv()) == 30_000_000
        sending.join()
        assert sending.error is None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_closing_wakes_whoever_receives(kind):
    near, far = socket_pair(kind)
    ours = Channel(near)
    with closing_all(far):
        receiving = Serving(ours.recv)
        wait_until_blocked(receiving)
        ours.close()
        ours.close()
        receiving.join()
    assert isinstance(receiving.error, ConnectionLost)
    assert ours.closed
    assert near.fileno() == -1


def test_closing_wakes_whoever_sends(sockets):
    ours = Channel(sockets[0])
    sending = Serving(lambda: ours.send(bytes(30_000_000)))
    wait_until_blocked(sending)
    ours.close()
    sending.join()
    assert isinstance(sending.error, ConnectionLost)
    assert sockets[0].fileno() == -1


def test_the_end_of_the_peer_is_told_apart_from_ours(sockets):
    near, far = Channel(sockets[0]), Channel(sockets[1])
    far.close()
    with pytest.raises(ConnectionLost, match="closed by the peer"):
        near.recv()
    near.close()
    with pytest.raises(ConnectionLost):
        near.send(b"late")


def test_a_frame_cut_short_ends_the_connection(sockets):
    near, far = sockets
    ours = Channel(near)
    far.sendall(Channel.FRAME_HEADER.pack(100_000, 0) + bytes(70_000))
    far.close()
    with closing_all(ours), pytest.raises(ConnectionLost):
        ours.recv()


def test_abandoning_leaves_the_connection_to_others(sockets):
    copy = sockets[0].dup()
    Channel(sockets[0]).abandon()
    with closing_all(copy):
        copy.sendall(b"still there")
        assert sockets[1].recv(100) == b"still there"


def test_what_the_socket_does_not_take_at_once_is_left_to_the_caller(sockets):
    ours = Channel(sockets[0])
    with closing_all(ours):
        sent = []
        ours.transmit(memoryview(bytes(30_000_000)), sent)
        assert len(sent) == 1
        assert 0 < sent[0] < 30_000_000
        ours.transmit(memoryview(b"x"), sent)
        assert len(sent) == 1


MIB = 1024 * 1024


def begin_frame(sock, length, sent):
    sock.sendall(Channel.FRAME_HEADER.pack(length, 0) + bytes(sent))


def test_memory_is_taken_as_bytes_arrive_and_not_as_they_are_announced(sockets):
    near, far = sockets
    channel = Channel(far)
    tracemalloc.start()
    try:
        sending = Serving(lambda: (begin_frame(near, 60 * MIB, 3 * MIB), near.close()))
        with closing_all(channel), pytest.raises(ConnectionLost):
            channel.recv()
        sending.join()
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


@pytest.fixture
def budgeted():
    """Three connections that share a budget of 2 MiB, each as the far end's socket and the channel."""
    budget = Budget(2 * MIB)
    with contextlib.ExitStack() as opened:
        pairs = [socket_pair() for _ in range(3)]
        for near, _ in pairs:
            opened.callback(near.close)
        channels = [Channel(far, budget=budget) for _, far in pairs]
        opened.enter_context(closing_all(*channels))
        yield budget, [near for near, _ in pairs], channels


def test_large_frames_of_several_connections_keep_within_their_budget(budgeted):
    budget, nears, channels = budgeted
    received = []
    for near in nears:
        begin_frame(near, MIB, 10)
    serving = [Serving(lambda channel=channel: received.append(len(channel.recv()))) for channel in channels]
    wait_until(lambda: budget.taken_bytes == 2 * MIB)
    begun = [channel for channel in channels if id(channel) in budget._taken]
    for near, channel in zip(nears, channels, strict=True):
        if channel in begun:
            near.sendall(bytes(MIB - 10) + b"\n")
    wait_until(lambda: len(received) == 2)
    assert budget.taken_bytes == 2 * MIB  # what came is still being dealt with
    begun[0].close()
    wait_until(lambda: all(id(channel) in budget._taken for channel in channels if channel not in begun))
    for near, channel in zip(nears, channels, strict=True):
        if channel not in begun:
            near.sendall(bytes(MIB - 10) + b"\n")
    for each in serving:
        each.join()
    assert received == [MIB] * 3


def test_a_frame_above_the_budget_comes_alone_and_small_ones_are_not_counted(budgeted):
    budget, nears, channels = budgeted
    sending = Serving(lambda: nears[0].sendall(Channel.FRAME_HEADER.pack(5 * MIB, 0) + bytes(5 * MIB) + b"\n"))
    assert len(channels[0].recv()) == 5 * MIB
    sending.join()
    begin_frame(nears[1], 1000, 1000), nears[1].sendall(b"\n")
    assert len(channels[1].recv()) == 1000
    assert budget.taken_bytes == 5 * MIB
    channels[0].close()
    assert budget.taken_bytes == 0


def test_a_connection_that_waits_for_its_share_can_be_closed(budgeted):
    _, nears, channels = budgeted
    begin_frame(nears[0], 2 * MIB, 10), begin_frame(nears[1], 2 * MIB, 10)
    serving = [Serving(channel.recv) for channel in channels[:2]]
    for each in channels[:2]:
        each.close()
    for each in serving:
        each.join()
        assert isinstance(each.error, ConnectionLost)


@pytest.fixture
def peeking():
    near, far = socket.socketpair()
    channel = Channel(near, may_peek=True)
    with closing_all(channel, far):
        yield channel, far


def frame(data):
    return StockChannel.FRAME_HEADER.pack(len(data), 0) + data + b"\n"


def test_what_is_peeked_at_stays_until_it_is_taken(peeking):
    channel, far = peeking
    far.sendall(frame(b"one") + frame(b"two"))
    taken = []
    (first, end), (second, _) = whole_frames(channel.peek())
    assert (first, second) == (b"one", b"two")
    channel.take(end, [], taken)
    assert taken == []
    channel.take(end, [True], taken)
    assert taken == [frame(b"one")]
    assert channel.recv() == b"two"
    assert channel.received_bytes == len(frame(b"one") + frame(b"two"))


def test_peeking_looks_up_now_and_then_and_at_the_end_of_its_time(peeking):
    channel, far = peeking
    assert channel.peek() == b""
    assert channel.peek(0.001) == b""
    far.sendall(b"x")
    assert channel.peek(0.001) == b"x"


def test_receiving_does_not_look_up(peeking):
    channel, far = peeking
    receiving = Serving(lambda: channel.peek() or channel.recv())
    wait_until_blocked(receiving)
    far.sendall(frame(b"late"))
    receiving.join()
    assert receiving.error is None


def test_only_whole_frames_that_are_not_packed_are_seen():
    packed = StockChannel.FRAME_HEADER.pack(3, 1) + b"abc\n"
    data = frame(b"one") + packed + frame(b"two")
    assert [seen for seen, _ in whole_frames(data)] == [b"one"]
    for cut in range(len(frame(b"one"))):
        assert list(whole_frames(data[:cut])) == []


def test_peeking_hears_of_the_end(peeking):
    channel, far = peeking
    peeks = Serving(channel.peek)
    far.close()
    peeks.join()
    assert isinstance(peeks.error, ConnectionLost)
    channel.close()
    with pytest.raises(ConnectionLost):
        channel.peek()


def test_an_error_of_a_signals_handler_is_not_taken_for_one_of_the_socket(peeking):
    channel, _ = peeking

    def stop(*_):
        raise TimeoutError("from the handler")

    main = threading.main_thread()

    def strike():
        wait_until_blocked(main)
        signal.pthread_kill(main.ident, signal.SIGUSR2)

    former = signal.signal(signal.SIGUSR2, stop)
    try:
        with pytest.raises(TimeoutError, match="from the handler"):
            striking = Serving(strike)
            while True:
                channel.peek()
        striking.join()
    finally:
        signal.signal(signal.SIGUSR2, former)


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/status"), reason="the system does not count switches")
def test_who_waits_is_not_woken_by_a_peer_that_only_takes_what_was_sent(sockets):
    near, far = sockets
    channel, switches = Channel(near), []

    def count_switches():
        with open("/proc/thread-self/status") as status:
            switches.append(int(next(line.split()[1] for line in status if line.startswith("voluntary"))))

    def receive():
        count_switches()
        channel.recv()
        count_switches()

    receiving = Serving(receive)
    wait_until_blocked(receiving)
    for _ in range(200):
        channel.send(b"answer")
        far.recv(1000)
        os.sched_yield()
    Channel(far).send(b"call")
    receiving.join()
    assert switches[1] - switches[0] < 50
