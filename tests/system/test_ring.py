"""The ring: everything put in comes out, once and in order, whoever waits, dies or scribbles."""

import contextlib
import ctypes
import inspect
import mmap
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.system import ring
from rpyc_kernel.system.ring import ASLEEP, AWAKE, LINGERING, RECORD, SPILLED, STDERR, STDOUT, Frame
from tests.support.waiting import wait_until

PAGE = 4096
LOST_S = 45.0
"""After so many seconds a wake-up counts as lost."""


class Full(Exception):
    """The writer would have to wait."""


def refuse_to_wait():
    raise Full


def ignore():
    pass


@contextlib.contextmanager
def open_ring(folder, capacity=PAGE, *, bell=ignore, check_interrupt=ignore):
    path = Path(folder) / "ring"
    ring.create(path, capacity)
    writer, reader = ring.RingWriter(path, bell, check_interrupt), ring.RingReader(path, 0)
    try:
        yield writer, reader
    finally:
        writer.close()
        reader.close()


def read_all(reader, *, release=True):
    frames = []
    while reader.has_frames:
        frames += reader.read(1 << 20)
    if release:
        reader.release(reader.position)
    return frames


def joined(frames):
    """The same frames with neighbours of one stream joined, as far as that can be done."""
    result = []
    for (kind, execution), group in groupby(frames, key=lambda frame: frame[:2]):
        if kind >= RECORD:
            result += [Frame(*frame) for frame in group]
        else:
            result.append(Frame(kind, execution, b"".join(frame[2] for frame in group)))
    return result


# What goes in comes out


frames = st.tuples(
    st.sampled_from((STDOUT, STDOUT, STDERR, RECORD, SPILLED)),
    st.integers(0, 2) | st.just(2**64 - 1),
    st.integers(0, PAGE // 8),
)
steps = st.lists(st.one_of(frames, frames, st.integers(1, 2 * PAGE)), max_size=120)


@settings(deadline=None)
@given(steps)
def test_frames_of_any_size_come_out_as_they_went_in(steps):
    """A step is a frame to put, or a number of bytes to read; before the writer would have to wait, all is read."""
    put, got = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ring(folder, check_interrupt=refuse_to_wait) as (writer, reader),
    ):
        for number, step in enumerate(steps):
            if isinstance(step, int):
                got += reader.read(step)
                reader.release(reader.position)
                continue
            kind, execution, size = step
            data = (b"%d " % number * PAGE)[:size]
            try:
                writer.put(kind, execution, data)
            except Full:
                got += read_all(reader)
                writer.put(kind, execution, data)
            put.append(Frame(kind, execution, data))
        got += read_all(reader)
    assert joined(got) == joined(put)


def test_neighbours_of_one_stream_come_joined(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        for kind, execution, data in (
            (STDOUT, 1, b"a"),
            (STDOUT, 1, b"b"),
            (STDERR, 1, b"c"),
            (STDERR, 2, b"d"),
            (RECORD, 2, b"[1]"),
            (RECORD, 2, b"[2]"),
            (STDOUT, 2, b"e"),
        ):
            writer.put(kind, execution, data)
        assert reader.read(PAGE) == [
            Frame(STDOUT, 1, b"ab"),
            Frame(STDERR, 1, b"c"),
            Frame(STDERR, 2, b"d"),
            Frame(RECORD, 2, b"[1]"),
            Frame(RECORD, 2, b"[2]"),
            Frame(STDOUT, 2, b"e"),
        ]


@pytest.mark.parametrize("capacity", [PAGE, 1 << 21])
def test_a_frame_that_grows_stays_within_its_limit(tmp_path, capacity):
    """Else the writer would wait for room that the reader cannot give back."""
    with open_ring(tmp_path, capacity, check_interrupt=refuse_to_wait) as (writer, reader):
        for _ in range(3 * capacity // 400):
            writer.put(STDOUT, 1, bytes(400))
            assert sum(len(frame.data) for frame in read_all(reader)) == 400
            assert reader.words[ring.WORD_TAIL] >= reader.position - ring.MAX_GROWN_BYTES - 16


def test_a_frame_of_the_greatest_size_fits(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        for size in (writer.max_data_bytes, writer.max_data_bytes - 1, 0):
            for _ in range(20):
                writer.put(RECORD, 1, b"x" * size)
                assert [len(frame.data) for frame in read_all(reader)] == [size]


def test_a_read_takes_about_what_it_was_asked_for(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        for number in range(10):
            writer.put(RECORD, number, bytes(80))
        assert [frame.execution for frame in reader.read(250)] == [0, 1, 2]
        assert [frame.execution for frame in reader.read(1)] == [3]
        assert reader.backlog_bytes == 6 * 96


def test_an_empty_ring_has_nothing(tmp_path):
    with open_ring(tmp_path) as (_, reader):
        assert not reader.has_frames
        assert reader.backlog_bytes == 0
        assert reader.read(PAGE) == []


@pytest.mark.parametrize("size", [100, ring.HEADER_BYTES, ring.HEADER_BYTES + 100])
def test_a_ring_that_was_cut_is_refused(tmp_path, size):
    ring.create(tmp_path / "ring", PAGE)
    os.truncate(tmp_path / "ring", size)
    with pytest.raises(ValueError, match="is cut short"):
        ring.RingReader(tmp_path / "ring", 0)


def test_a_file_that_is_no_ring_is_refused(tmp_path):
    (tmp_path / "ring").write_bytes(bytes(2 * PAGE))
    with pytest.raises(ValueError, match="is not an output ring"):
        ring.RingReader(tmp_path / "ring")


def test_a_ring_is_private_and_has_its_room_reserved(tmp_path):
    ring.create(tmp_path / "ring", 1 << 20)
    status = (tmp_path / "ring").stat()
    assert status.st_mode & 0o777 == 0o600
    assert status.st_blocks * 512 >= 1 << 20
    with pytest.raises(FileExistsError):
        ring.create(tmp_path / "ring", 1 << 20)


# Positions


def test_what_is_read_but_not_released_is_read_again_by_the_next_reader(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        writer.put(RECORD, 1, b"safe")
        reader.read(PAGE)
        reader.release(reader.position)
        safe = reader.position
        writer.put(RECORD, 2, b"not safe")
        assert len(reader.read(PAGE)) == 1
        with contextlib.closing(ring.RingReader(tmp_path / "ring", safe)) as following:
            assert following.read(PAGE) == [Frame(RECORD, 2, b"not safe")]


def test_a_reader_goes_on_where_the_journal_says(tmp_path):
    """The hub before committed this far, and died before it could say so to the writer."""
    with open_ring(tmp_path) as (writer, reader):
        for number in range(1, 4):
            writer.put(RECORD, number, b"x")
        reader.read(1)
        with contextlib.closing(ring.RingReader(tmp_path / "ring", reader.position)) as following:
            assert [frame.execution for frame in following.read(PAGE)] == [2, 3]


def test_a_reader_never_goes_back_to_what_the_writer_may_have_written_over(tmp_path):
    """The last frames led to no events, so the journal knows nothing of their position."""
    with open_ring(tmp_path) as (writer, reader):
        for _ in range(20):
            writer.put(RECORD, 1, bytes(400))
            read_all(reader)
        writer.put(RECORD, 2, b"x")
        with contextlib.closing(ring.RingReader(tmp_path / "ring", 432)) as following:
            assert following.read(PAGE) == [Frame(RECORD, 2, b"x")]


def test_releasing_what_was_read_from_a_ring_that_is_closed_is_no_error(tmp_path):
    """The hub may commit the last output of a worker that is gone already."""
    with open_ring(tmp_path) as (_, reader):
        reader.close()
        reader.release(4096)


@pytest.mark.parametrize("has_said_so", [False, True])
def test_a_reader_goes_on_in_the_middle_of_a_frame_that_grows(tmp_path, has_said_so):
    """The hub before committed this far; where it could say so to the writer, the journal need not know."""
    with open_ring(tmp_path) as (writer, reader):
        for kind in (RECORD, STDOUT):
            writer.put(kind, 1, b"safe ")
        reader.read(PAGE)
        if has_said_so:
            reader.release(reader.position)
        writer.put(STDOUT, 1, b"second")
        journal = 0 if has_said_so else reader.position
        with contextlib.closing(ring.RingReader(tmp_path / "ring", journal)) as following:
            assert following.read(PAGE) == [Frame(STDOUT, 1, b"second")]
            assert not following.has_frames
            writer.put(STDOUT, 1, b"third")
            writer.put(RECORD, 1, b"last")
            assert following.read(PAGE) == [Frame(STDOUT, 1, b"third"), Frame(RECORD, 1, b"last")]


# Back-pressure


def test_a_full_ring_makes_the_writer_wait_and_loses_nothing(tmp_path):
    count = 3000
    with open_ring(tmp_path, 4 * PAGE) as (writer, reader):
        thread = threading.Thread(
            target=lambda: [writer.put(RECORD, number, b"%d" % number * 20) for number in range(count)]
        )
        thread.start()
        wait_until(lambda: reader.backlog_bytes > 4 * PAGE - 200, what="a full ring")
        got = []
        while len(got) < count:
            got += reader.read(PAGE)
            reader.release(reader.position)
        thread.join()
    assert [(frame.execution, frame.data) for frame in got] == [(n, b"%d" % n * 20) for n in range(count)]


def test_what_is_read_makes_no_room_before_it_is_released(tmp_path):
    with open_ring(tmp_path, check_interrupt=refuse_to_wait) as (writer, reader):
        for _ in range(8):
            writer.put(RECORD, 1, bytes(PAGE // 8 - 16))
        reader.read(PAGE)
        with pytest.raises(Full):
            writer.put(RECORD, 1, b"x")
        reader.release(reader.position)
        writer.put(RECORD, 1, b"x")


def test_an_interrupted_wait_leaves_nothing_of_its_frame(tmp_path):
    interrupts = []

    def check():
        if interrupts:
            raise interrupts.pop()

    with open_ring(tmp_path, check_interrupt=check) as (writer, reader):
        for number in range(8):
            writer.put(RECORD, number, bytes(PAGE // 8 - 16))
        interrupts.append(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            writer.put(RECORD, 8, b"given up")
        assert [frame.execution for frame in read_all(reader)] == list(range(8))
        writer.put(RECORD, 9, b"next")
        assert read_all(reader) == [Frame(RECORD, 9, b"next")]


def test_a_frame_that_must_not_be_lost_waits_through_interrupts(tmp_path):
    with open_ring(tmp_path, check_interrupt=refuse_to_wait) as (writer, reader):
        for number in range(8):
            writer.put(RECORD, number, bytes(PAGE // 8 - 16))
        thread = threading.Thread(target=writer.put, args=(RECORD, 8, b"finished", False))
        thread.start()
        assert len(read_all(reader)) == 8
        thread.join()
        assert read_all(reader) == [Frame(RECORD, 8, b"finished")]


def test_a_writer_that_waits_rings_the_bell(tmp_path):
    """Else a consumer that slept before the ring was full would sleep on."""
    bell = threading.Event()
    with open_ring(tmp_path, bell=bell.set) as (writer, reader):
        for number in range(8):
            writer.put(STDOUT, number, bytes(PAGE // 8 - 16))
        reader.announce(LINGERING)
        thread = threading.Thread(target=writer.put, args=(STDOUT, 8, b"x"))
        thread.start()
        assert bell.wait(LOST_S)
        read_all(reader)
        thread.join()


def test_threads_share_a_ring_without_tearing_frames(tmp_path):
    count = 400
    with open_ring(tmp_path, 4 * PAGE) as (writer, reader):

        def write(name):
            for number in range(count):
                writer.put(RECORD, name, b"%d:%d" % (name, number))

        threads = [threading.Thread(target=write, args=(name,)) for name in (1, 2, 3)]
        for thread in threads:
            thread.start()
        got = []
        while len(got) < 3 * count:
            got += read_all(reader)
        for thread in threads:
            thread.join()
    for name in (1, 2, 3):
        assert [f.data for f in got if f.execution == name] == [b"%d:%d" % (name, n) for n in range(count)]


# Code that prints in the middle of printing


def fill(writer):
    for _ in range(8):
        writer.put(RECORD, 0, bytes(PAGE // 8 - 16))


def test_what_a_finalizer_prints_in_the_middle_of_a_frame_follows_it(tmp_path):
    def print_meanwhile():
        # As a finalizer or a signal handler would, in the thread that writes.
        if reader.has_frames:
            writer.put(STDERR, 2, b"from a finalizer")
            read_all(reader)

    with open_ring(tmp_path, check_interrupt=print_meanwhile) as (writer, reader):
        fill(writer)
        writer.put(STDOUT, 1, b"whole")
        assert read_all(reader) == [Frame(STDOUT, 1, b"whole"), Frame(STDERR, 2, b"from a finalizer")]


def test_what_was_put_aside_outlasts_an_interrupt(tmp_path):
    waits = []

    def interrupt():
        waits.append(1)
        if len(waits) == 2:
            raise KeyboardInterrupt
        for number in range(3):
            writer.put(RECORD, number, b"aside")

    with open_ring(tmp_path, check_interrupt=interrupt) as (writer, reader):
        fill(writer)
        with pytest.raises(KeyboardInterrupt):
            writer.put(RECORD, 100, b"x")
        read_all(reader)
        writer.put(RECORD, 101, b"next")
        assert [frame.execution for frame in read_all(reader)] == [101, 0, 1, 2]


def test_an_interrupt_while_room_is_made_for_what_was_put_aside_waits(tmp_path):
    aside = range(12)  # more than the ring holds
    waits = []
    has_read = threading.Event()

    def interrupt():
        waits.append(1)
        if len(waits) > 1:
            raise KeyboardInterrupt
        for number in aside:
            writer.put(RECORD, number, bytes(PAGE // 8 - 16))
        read_all(reader)
        has_read.set()

    with open_ring(tmp_path, check_interrupt=interrupt) as (writer, reader):
        fill(writer)
        thread = threading.Thread(target=writer.put, args=(RECORD, 100, b"x"))
        thread.start()
        assert has_read.wait(LOST_S)
        got = []
        wait_until(lambda: got.extend(read_all(reader)) or len(got) > len(aside))
        thread.join()
    assert [frame.execution for frame in got] == [100, *aside]
    assert len(waits) == 1


def test_an_exception_in_the_middle_of_a_frame_does_not_silence_the_ring(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        with pytest.raises(TypeError):
            writer.put(STDOUT, 1, "not bytes")
        writer.put(STDOUT, 1, b"goes on")
        assert read_all(reader) == [Frame(STDOUT, 1, b"goes on")]


@pytest.mark.parametrize("seed", range(3))
def test_an_exception_raised_from_another_thread_leaves_the_ring_to_the_others(tmp_path, seed):
    """So a side lane is interrupted, between any two steps of what its thread does, in the middle of a print too."""
    delays = random.Random(seed)

    def print_until_interrupted(writer, reader, has_begun):
        with contextlib.suppress(KeyboardInterrupt):
            has_begun.set()
            while True:
                writer.put(STDOUT, 1, b"side")
                read_all(reader)

    for number in range(50):
        (tmp_path / str(number)).mkdir()
        with open_ring(tmp_path / str(number)) as (writer, reader):
            has_begun = threading.Event()
            side = threading.Thread(target=print_until_interrupted, args=(writer, reader, has_begun))
            side.start()
            has_begun.wait()
            for _ in range(delays.randrange(500)):
                pass
            interrupt = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(side.ident), interrupt)
            side.join()
            head = reader.words[ring.WORD_HEAD]
            other = threading.Thread(target=writer.put, args=(STDOUT, 2, b"main"), daemon=True)
            other.start()
            other.join(LOST_S)
            assert not other.is_alive(), "the ring stays locked"
            assert reader.words[ring.WORD_HEAD] > head, "what is put stays aside"


# Damage


def scribble(path, offset, data):
    with path.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
        memory[PAGE + offset : PAGE + offset + len(data)] = data


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (32, b"\xff"),
        (36, b"\xff\xff\xff\xff"),
        (40, b"\xff"),
        (48, b"?"),
        (32, bytes(32)),
    ],
    ids=["check", "length", "execution", "data", "cleared"],
)
def test_damage_is_told_after_what_stood_before_it_and_reading_goes_on(tmp_path, offset, data):
    with open_ring(tmp_path) as (writer, reader):
        for number in range(3):
            writer.put(RECORD, number, b"%d" % number)
        scribble(tmp_path / "ring", offset, data)
        assert reader.read(PAGE) == [Frame(RECORD, 0, b"0")]
        with pytest.raises(ring.RingDamaged, match="damaged before byte 64") as caught:
            reader.read(PAGE)
        assert caught.value.position == reader.position == 64
        writer.put(RECORD, 3, b"after")
        assert reader.read(PAGE) == [Frame(RECORD, 2, b"2"), Frame(RECORD, 3, b"after")]


def test_damage_to_the_newest_frame_too_is_told_only_once(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        for number in range(3):
            writer.put(RECORD, number, b"x")
        scribble(tmp_path / "ring", 0, bytes(96))
        with pytest.raises(ring.RingDamaged):
            reader.read(PAGE)
        assert not reader.has_frames
        writer.put(RECORD, 3, b"after")
        assert reader.read(PAGE) == [Frame(RECORD, 3, b"after")]


@pytest.mark.parametrize(
    ("offset", "data"), [(0, b"\xff" * 8), (0, bytes(8)), (18, b"?")], ids=["length", "none", "data"]
)
def test_what_the_newest_frame_grows_by_is_lost_with_it_and_the_next_is_not(tmp_path, offset, data):
    with open_ring(tmp_path) as (writer, reader):
        writer.put(STDOUT, 1, b"a")
        read_all(reader)
        writer.put(STDOUT, 1, b"bcd")
        scribble(tmp_path / "ring", offset, data)
        with pytest.raises(ring.RingDamaged):
            reader.read(PAGE)
        assert not reader.has_frames
        assert reader.announce(ASLEEP)
        writer.put(STDOUT, 1, b"e")
        assert reader.read(PAGE) == []
        writer.put(RECORD, 1, b"next")
        writer.put(STDOUT, 1, b"f")
        assert reader.read(PAGE) == [Frame(RECORD, 1, b"next"), Frame(STDOUT, 1, b"f")]


@pytest.mark.parametrize("data", [bytes(16), b"\xff" * 16], ids=["zeros", "ones"])
def test_damage_to_the_filling_at_the_end_is_found_too(tmp_path, data):
    with open_ring(tmp_path) as (writer, reader):
        for _ in range(7):
            writer.put(RECORD, 1, bytes(500))
        read_all(reader)
        start = 7 * 528
        writer.put(RECORD, 2, bytes(112))  # leaves less than the next one needs
        writer.put(RECORD, 3, bytes(500))
        assert reader.backlog_bytes > 128 + 528, "there is no filling to damage"
        scribble(tmp_path / "ring", start + 128, data)
        assert [frame.execution for frame in reader.read(PAGE)] == [2]
        with pytest.raises(ring.RingDamaged):
            reader.read(PAGE)
        assert [frame.execution for frame in reader.read(PAGE)] == [3]


@pytest.mark.parametrize("garbage", [0, 1, 10**6, 2**64 - 1])
def test_a_head_that_was_written_over_is_told_once_and_mended_by_the_next_frame(tmp_path, garbage):
    with open_ring(tmp_path) as (writer, reader):
        for kind in (RECORD, STDOUT):
            writer.put(kind, 1, b"first")
        read_all(reader)
        writer.put(STDOUT, 1, b"second")
        reader.words[ring.WORD_HEAD] = garbage
        with pytest.raises(ring.RingDamaged, match=f"damaged before byte {reader.position}"):
            reader.read(PAGE)
        assert reader.read(PAGE) == []
        assert not reader.has_frames
        writer.put(RECORD, 1, b"third")
        assert read_all(reader) == [Frame(STDOUT, 1, b"second"), Frame(RECORD, 1, b"third")]


def test_a_tail_that_was_written_over_is_mended_when_the_consumer_sleeps(tmp_path):
    with open_ring(tmp_path) as (writer, reader):
        writer.put(STDOUT, 1, b"first")
        read_all(reader)
        for word in (ring.WORD_TAIL, ring.WORD_SAFE):
            reader.words[word] = 12345
        reader.announce(ring.ASLEEP)
        assert (reader.words[ring.WORD_TAIL], reader.words[ring.WORD_SAFE]) == (0, reader.position)


def test_a_frame_that_becomes_visible_late_is_not_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(ring, "_LOOK_AGAIN_S", LOST_S)
    with open_ring(tmp_path) as (writer, reader):
        writer.put(RECORD, 1, b"late")
        scribble(tmp_path / "ring", 16, b"????")
        timer = threading.Timer(0.02, scribble, (tmp_path / "ring", 16, b"late"))
        timer.start()
        assert reader.read(PAGE) == [Frame(RECORD, 1, b"late")]
        timer.join()


# Who wakes whom


@pytest.mark.parametrize(
    ("state", "kind", "rings"),
    [
        (AWAKE, STDOUT, False),
        (AWAKE, RECORD, False),
        (LINGERING, STDOUT, False),
        (LINGERING, STDERR, False),
        (LINGERING, RECORD, True),
        (LINGERING, SPILLED, True),
        (ASLEEP, STDOUT, True),
        (ASLEEP, RECORD, True),
    ],
)
def test_the_bell_rings_for_those_who_want_to_hear_it(tmp_path, state, kind, rings):
    heard = []
    with open_ring(tmp_path, bell=lambda: heard.append(1)) as (writer, reader):
        assert reader.announce(state)
        writer.put(kind, 1, b"x")
        assert bool(heard) == rings


@pytest.mark.parametrize(
    ("state", "kind", "may"),
    [
        (ASLEEP, STDOUT, False),
        (ASLEEP, RECORD, False),
        (LINGERING, STDOUT, True),
        (LINGERING, STDERR, False),
        (LINGERING, RECORD, False),
    ],
)
def test_a_consumer_must_not_sleep_on_what_came_meanwhile_nor_linger_but_on_more_of_the_same(
    tmp_path, state, kind, may
):
    with open_ring(tmp_path) as (writer, reader):
        writer.put(STDOUT, 1, b"x")
        read_all(reader)
        writer.put(kind, 1, b"x")
        assert reader.announce(state) == may
        assert reader.announce(AWAKE)


def produce(writer, bell, count):
    """Put each frame when the one before was read, so that no later one makes good for a lost wake-up."""
    delays = random.Random(1)
    for number in range(count):
        writer.put(RECORD, number, b"x")
        if not bell.recv(1):
            return
        for _ in range(delays.randrange(200)):
            pass


PRODUCER = f"""
import random, socket, sys
from pathlib import Path
from rpyc_kernel.system.ring import RECORD, RingWriter

{inspect.getsource(produce)}
with socket.socket(fileno=int(sys.argv[2])) as bell:
    writer = RingWriter(Path(sys.argv[1]), lambda: bell.send(b"!"), lambda: None)
    produce(writer, bell, int(sys.argv[3]))
"""


def consume(reader, bell, count):
    """Read ``count`` frames, asleep whenever nothing is there; fail if a wake-up does not come."""
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    numbers, sleeps = [], 0
    while len(numbers) < count:
        frames = reader.read(PAGE)
        reader.release(reader.position)
        numbers += [frame.execution for frame in frames]
        bell.send(b"." * len(frames))
        if not frames and reader.announce(ASLEEP):
            sleeps += 1
            assert poll.poll(LOST_S * 1000), f"no bell came after {len(numbers)} frames"
            bell.recv(4096)
        reader.announce(AWAKE)
    assert numbers == list(range(count))
    assert sleeps


def test_no_wake_up_is_lost_between_processes(tmp_path):
    count = 10_000
    ring.create(tmp_path / "ring", PAGE)
    ours, theirs = socket.socketpair()
    with contextlib.closing(ring.RingReader(tmp_path / "ring", 0)) as reader:
        arguments = [tmp_path / "ring", theirs.fileno(), count]
        child = subprocess.Popen(
            [sys.executable, "-c", PRODUCER, *map(str, arguments)], pass_fds=[theirs.fileno()], env=environment()
        )
        theirs.close()
        try:
            with ours:
                consume(reader, ours, count)
        finally:
            assert child.wait(LOST_S) == 0


def test_no_wake_up_is_lost_between_threads(tmp_path):
    count = 3000
    ours, theirs = socket.socketpair()
    with theirs, open_ring(tmp_path, bell=lambda: theirs.send(b"!")) as (writer, reader):
        thread = threading.Thread(target=produce, args=(writer, theirs, count))
        thread.start()
        with ours:
            consume(reader, ours, count)
        thread.join()


# Death


ENDLESS = """
import os, sys
from pathlib import Path
from rpyc_kernel.system import ring

writer = ring.RingWriter(Path(sys.argv[1]), lambda: None, lambda: None)
for number in range(1, 1 << 30):
    writer.put(ring.RECORD, number, b"%d" % number * 7)
    os.write(1, number.to_bytes(8, "big"))
"""


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.mark.parametrize("completed", [1, 500, 3000])
def test_a_killed_writer_loses_nothing_it_had_put(tmp_path, completed):
    ring.create(tmp_path / "ring", 64 * PAGE)
    with contextlib.closing(ring.RingReader(tmp_path / "ring", 0)) as reader:
        child = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(tmp_path / "ring")], stdout=subprocess.PIPE, env=environment()
        )
        frames, told = [], 0
        while told < completed:
            told = int.from_bytes(child.stdout.read(8), "big")
            frames += read_all(reader)
        child.send_signal(signal.SIGKILL)
        told = max([told, *last_number(child.stdout.read())])
        child.stdout.close()
        child.wait()
        frames += read_all(reader)
    assert [frame.execution for frame in frames] == list(range(1, len(frames) + 1))
    assert all(frame.data == b"%d" % frame.execution * 7 for frame in frames)
    assert told <= len(frames) <= told + 1


def last_number(told):
    whole = len(told) // 8 * 8
    return [int.from_bytes(told[whole - 8 : whole], "big")] if whole else []
