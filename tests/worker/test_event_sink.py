"""What events come to the hub: all of the worker's, in order, of any size."""

import os

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.system import ring
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.capture import Stream
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.interrupts import Interrupts


@pytest.fixture
def output(tmp_path):
    """What a worker publishes by, and the hub's end of it."""
    folder = RuntimeFolder(tmp_path)
    ring.create(folder.ring(1), 16 * 4096)
    output = EventSink(folder, 1, Interrupts())
    reader = ring.RingReader(folder.ring(1))
    yield output, reader
    output.ring.close()
    reader.close()


def test_a_forked_child_publishes_nothing(output, monkeypatch):
    writer, reader = output
    monkeypatch.setattr(forks, "_worker", os.getppid())
    for number in range(100):
        writer.emit(Kind.DISPLAY, 1, {"number": number})
    assert reader.read(1_000_000) == []
    monkeypatch.undo()
    writer.emit(Kind.DISPLAY, 1, {})
    assert len(reader.read(1_000_000)) == 1


def test_an_event_too_large_for_the_ring_goes_through_a_file_of_its_own(output, tmp_path):
    writer, reader = output
    for text in ("a", "b"):
        writer.emit(Kind.DISPLAY, 1, {"text": text * 100_000})
    assert [(frame.kind, frame.data) for frame in reader.read(1_000_000)] == [
        (ring.SPILLED, b"1"), (ring.SPILLED, b"2")
    ]  # fmt: skip
    assert [RuntimeFolder(tmp_path).spill(1, number).stat().st_size > 100_000 for number in (1, 2)] == [True, True]


def test_what_was_written_comes_before_the_next_event_even_if_it_is_half_a_character(output):
    writer, reader = output
    stream = Stream("<stdout>", ring.STDOUT, 1, writer.ring, Interrupts())
    writer.streams = (stream,)
    stream.buffer.write(b"\xe2")
    writer.emit(Kind.DISPLAY, 1, {})
    assert [frame.kind for frame in reader.read(1_000_000)] == [ring.STDOUT, ring.RECORD]
