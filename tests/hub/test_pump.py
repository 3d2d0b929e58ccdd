"""The pump: what a worker writes into the ring and its pipes becomes reports, all of it and in order."""

import json
import os
import socket
import threading
import time

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.core.streams import raw_bytes
from rpyc_kernel.hub import pump
from rpyc_kernel.hub.pump import Pump, read_reports
from rpyc_kernel.system import ring
from rpyc_kernel.system.ring import ASLEEP, RECORD, SPILLED, STDERR, STDOUT, Frame, RingReader, RingWriter
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from tests.support.waiting import wait_until

FINISHED = (Kind.FINISHED, {"outcome": "ok", "duration_s": 0.1})
RESULT = (Kind.RESULT, {"data": {"text/plain": "1"}, "metadata": {}, "literal": "1"})


def record(kind, payload):
    return json.dumps([kind, payload]).encode()


def printed(text, execution=1, name="stdout"):
    return (Kind.STREAM, execution, {"name": name, "text": text})


class Rig:
    """A pump between a worker's ends and a list of reports."""

    def __init__(self, path):
        self.folder = RuntimeFolder(path)
        ring.create(self.folder.ring(1), 64 * 4096)
        self.bell_out, self._bell_in = socket.socketpair()
        self.writer = RingWriter(self.folder.ring(1), lambda: self.bell_out.send(b"!"), lambda: None)
        self.reader = RingReader(self.folder.ring(1), 0)
        (out_read, self.out), (err_read, self.err) = os.pipe(), os.pipe()
        self.running = 1
        self.batches, self.positions, self.damages = [], [], 0
        self.pump = Pump(
            self.folder,
            1,
            self.reader,
            self._bell_in,
            (out_read, err_read),
            running=lambda: self.running,
            deliver=self._deliver,
            damaged=self._note_damage,
        )

    def _deliver(self, reports, position):
        self.batches.append(reports)
        self.positions.append(position)
        self.reader.release(position)

    def _note_damage(self):
        self.damages += 1

    @property
    def reports(self):
        return [report for batch in list(self.batches) for report in batch]

    def text_of(self, name):
        return "".join(payload["text"] for kind, _, payload in self.reports if payload.get("name") == name)

    def is_asleep(self):
        return self.reader.words[ring.WORD_READER] == ASLEEP

    def close_pipes(self):
        for descriptor in (self.out, self.err):
            if descriptor is not None:
                os.close(descriptor)
        self.out = self.err = None


@pytest.fixture
def rig(tmp_path):
    """A pump that does not run yet; its end is that of the worker."""
    rig = Rig(tmp_path)
    yield rig
    rig.close_pipes()
    if rig.pump._thread.ident is None:
        rig.pump.start()
    if rig.pump._thread.is_alive():
        rig.pump.finish()
    rig.writer.close()
    rig.reader.close()
    rig.bell_out.close()
    rig._bell_in.close()


def finish(rig):
    rig.close_pipes()
    rig.pump.finish()
    return rig.reports


# Frames and what they mean


def test_neighbours_of_one_stream_become_one_report(rig):
    for kind, execution, text in (
        (STDOUT, 1, "a"),
        (STDOUT, 1, "b"),
        (STDERR, 1, "c"),
        (STDOUT, 2, "d"),
        (STDOUT, 0, "e"),
    ):
        rig.writer.put(kind, execution, text.encode())
    rig.pump.start()
    assert finish(rig) == [printed("ab"), printed("c", name="stderr"), printed("d", 2), printed("e", None)]


def test_a_report_keeps_its_place_between_prints(rig):
    rig.writer.put(STDOUT, 1, b"before")
    rig.writer.put(RECORD, 1, record(*RESULT))
    rig.writer.put(STDOUT, 1, b"after")
    rig.pump.start()
    kind, payload = RESULT
    assert finish(rig) == [printed("before"), (kind, 1, payload), printed("after")]


def test_what_is_no_text_is_shown_escaped_and_kept_as_bytes(rig):
    rig.writer.put(STDOUT, 1, b"\xff\xe4")
    os.write(rig.err, b"\x80")
    rig.pump.start()
    told = finish(rig)
    assert [payload["text"] for _, _, payload in told] == ["\\xff\\xe4", "\\x80"]
    assert [raw_bytes(payload) for _, _, payload in told] == [b"\xff\xe4", b"\x80"]


def test_an_event_too_large_for_the_ring_comes_from_its_file(rig):
    data = {"text/plain": "x" * 100_000}
    kind, payload = Kind.DISPLAY, {"data": data, "metadata": {}, "display_id": None, "is_update": False}
    rig.folder.spill(1, 7).write_bytes(record(kind, payload))
    rig.writer.put(SPILLED, 3, b"7")
    rig.pump.start()
    assert finish(rig) == [(kind, 3, payload)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b"3",
        b"[]",
        b'["stream"]',
        b'[["stream"], {}]',
        b'["unheard_of", {}]',
        b'["result", []]',
        b'["result", {"data": {}}]',
        b'["finished", {}]',
        b'["input_requested", {"token": 1}]',
        b'["hub_stopped", {"reason": "I say so"}]',
        b'["started", {"generation": 1}]',
    ],
)
def test_what_is_no_event_of_a_worker_is_left_out(tmp_path, data):
    frames = [Frame(STDOUT, 1, b"before"), Frame(RECORD, 1, data), Frame(STDOUT, 1, b"after")]
    assert read_reports(frames, RuntimeFolder(tmp_path), 1) == [printed("before"), printed("after")]


@pytest.mark.parametrize("data", [b"99", b"nonsense", b""])
def test_a_file_that_is_not_there_is_left_out(tmp_path, data):
    assert read_reports([Frame(SPILLED, 1, data), Frame(STDOUT, 1, b"x")], RuntimeFolder(tmp_path), 1) == [printed("x")]


def test_damage_is_told_and_does_not_stop_the_pump(rig):
    rig.writer.put(STDOUT, 1, b"good")
    rig.writer.put(STDOUT, 2, b"bad")
    rig.reader._mapping.memory[ring.HEADER_BYTES + 32] ^= 0xFF
    rig.pump.start()
    wait_until(lambda: "damaged" in rig.text_of("stderr"))
    rig.writer.put(STDOUT, 3, b"after")
    reports = finish(rig)
    assert reports[0] == printed("good")
    assert reports[-1] == printed("after", 3)
    assert "some output is lost" in rig.text_of("stderr")
    assert rig.damages == 1


# Pipes


def test_what_comes_by_a_pipe_belongs_to_what_runs(rig):
    rig.running = 5
    rig.pump.start()
    os.write(rig.err, "ä".encode())
    wait_until(lambda: rig.reports)
    assert finish(rig) == [printed("ä", 5, "stderr")]


def test_what_comes_by_a_pipe_while_nothing_runs_belongs_to_nobody(rig):
    rig.running = None
    rig.pump.start()
    os.write(rig.out, b"x")
    wait_until(lambda: rig.reports)
    assert finish(rig) == [printed("x", None)]


def test_pipes_are_drained_before_an_execution_is_said_to_be_finished(rig):
    rig.running = 2
    os.write(rig.out, b"from a child process")
    os.write(rig.err, b"its error")
    rig.writer.put(STDOUT, 1, b"last print")
    rig.writer.put(RECORD, 1, record(*FINISHED))
    rig.pump.start()
    kind, payload = FINISHED
    assert finish(rig) == [
        printed("last print"),
        printed("from a child process", 1),
        printed("its error", 1, "stderr"),
        (kind, 1, payload),
    ]


def test_half_a_character_of_a_pipe_comes_before_the_end_of_its_execution(rig):
    os.write(rig.out, b"\xe2")
    rig.writer.put(RECORD, 1, record(*FINISHED))
    rig.pump.start()
    told = finish(rig)
    assert [kind for kind, _, _ in told] == [Kind.STREAM, Kind.FINISHED]
    assert raw_bytes(told[0][2]) == b"\xe2"


def test_what_was_printed_before_a_child_wrote_comes_first_although_both_are_there(rig):
    for number in range(3):
        rig.writer.put(STDOUT, 1, b"print %d\n" % number)
    os.write(rig.out, b"child\n")
    rig.pump.start()
    wait_until(lambda: len(rig.reports) == 2)
    assert finish(rig) == [printed("print 0\nprint 1\nprint 2\n"), printed("child\n")]


def test_a_print_that_comes_while_the_pump_looks_comes_before_what_was_written_after_it(rig, monkeypatch):
    # Between the look at the pipes and the look at the ring: a print, and a child that writes. The bytes have to wait.
    look = rig.reader.read

    def print_and_write(max_bytes):
        rig.reader.read = look
        rig.writer.put(STDOUT, 1, b"print\n")
        os.write(rig.out, b"child\n")
        frames = look(max_bytes)
        rig.writer.put(STDOUT, 1, b"second print\n")
        return frames

    rig.reader.read = print_and_write
    os.write(rig.out, b"earlier child\n")
    rig.pump.start()
    wait_until(lambda: rig.text_of("stdout").count("\n") == 4)
    first, second, *_ = finish(rig)
    assert (first, second) == (printed("print\n"), printed("earlier child\n"))


def test_a_flood_of_prints_does_not_keep_the_pipes_waiting(rig, monkeypatch):
    monkeypatch.setattr(pump, "BATCH_BYTES", 64)
    look = rig.reader.read

    def go_on_printing(max_bytes):
        frames = look(max_bytes)
        if "child" not in rig.text_of("stdout"):
            rig.writer.put(STDOUT, 1, b"x" * 48)
        return frames

    rig.reader.read = go_on_printing
    rig.writer.put(STDOUT, 1, b"x" * 480)
    os.write(rig.out, b"child")
    rig.pump.start()
    wait_until(lambda: "child" in rig.text_of("stdout"))
    finish(rig)


def test_a_full_pipe_is_drained_to_its_end_before_finished(rig):
    os.set_blocking(rig.out, False)
    written = 0
    with pytest.raises(BlockingIOError):
        while True:
            written += os.write(rig.out, b"x" * 4096)
    rig.writer.put(RECORD, 1, record(*FINISHED))
    rig.pump.start()
    reports = finish(rig)
    assert [kind for kind, _, _ in reports][-1] == Kind.FINISHED
    assert len(rig.text_of("stdout")) == written


def test_a_character_cut_in_two_by_a_pipe_is_put_together(rig):
    rig.pump.start()
    for byte in "€".encode():
        count = len(rig.batches)
        os.write(rig.out, bytes([byte]))
        wait_until(lambda seen=count: len(rig.batches) > seen or rig.is_asleep())
    wait_until(lambda: rig.text_of("stdout") == "€")


def test_half_a_character_at_the_end_is_shown_escaped(rig):
    rig.pump.start()
    os.write(rig.out, "a€".encode()[:2])
    finish(rig)
    assert rig.text_of("stdout") == "a\\xe2"


def test_somebody_who_writes_without_end_does_not_hold_up_the_others(rig):
    is_done = threading.Event()
    descriptor = os.dup(rig.out)

    def write_endlessly():
        while not is_done.is_set():
            os.write(descriptor, b"x" * 4096)

    thread = threading.Thread(target=write_endlessly)
    thread.start()
    rig.pump.start()
    try:
        rig.writer.put(RECORD, 1, record(*FINISHED))
        wait_until(lambda: any(kind == Kind.FINISHED for kind, _, _ in rig.reports))
    finally:
        is_done.set()
        thread.join()
        os.close(descriptor)


def count_rounds(rig):
    """How often the pump looks around in about a second."""
    rounds = []
    announce = rig.reader.announce
    wait_until(rig.is_asleep)
    rig.reader.announce = lambda state: rounds.append(state) or announce(state)
    end = time.monotonic() + 1
    wait_until(lambda: time.monotonic() > end)
    return len(rounds)


def test_a_worker_that_closes_its_descriptors_does_not_keep_the_hub_busy(rig):
    rig.pump.start()
    rig.close_pipes()
    assert count_rounds(rig) < 50
    rig.writer.put(STDOUT, 1, b"still there")
    assert finish(rig) == [printed("still there")]


def test_a_worker_whose_end_of_the_bell_is_gone_does_not_keep_the_hub_busy(rig):
    rig.pump.start()
    rig.bell_out.close()
    assert count_rounds(rig) < 50
    assert rig.pump.is_cut_off


# Sleeping, waking and ending


def test_a_print_wakes_a_pump_that_sleeps(rig):
    rig.pump.start()
    for number in range(20):
        wait_until(rig.is_asleep)
        rig.writer.put(STDOUT, number + 1, b"x")
        wait_until(lambda expected=number + 1: len(rig.reports) == expected, what="a wake-up")
    assert finish(rig) == [printed("x", number + 1) for number in range(20)]


def test_a_look_finds_what_nobody_rang_for(rig):
    rig.pump.start()
    rig.writer._bell = lambda: None
    for number in range(3):
        wait_until(rig.is_asleep)
        rig.writer.put(STDOUT, number + 1, b"x")
        rig.pump.look()
        wait_until(lambda expected=number + 1: len(rig.reports) == expected, what="a wake-up")
    wait_until(rig.is_asleep)
    assert count_rounds(rig) < 50
    finish(rig)
    rig.pump.look()


def test_the_position_told_with_the_reports_is_behind_them(rig):
    rig.pump.start()
    for number in range(100):
        rig.writer.put(RECORD, number + 1, record(*RESULT))
    finish(rig)
    assert rig.positions == sorted(rig.positions)
    assert rig.positions[-1] == rig.reader.position
    assert not rig.reader.has_frames
    assert [execution for _, execution, _ in rig.reports] == list(range(1, 101))


def test_the_ring_is_not_released_before_delivery(rig):
    begun, may_go_on = threading.Event(), threading.Event()
    deliver = rig._deliver

    def deliver_slowly(reports, position):
        begun.set()
        may_go_on.wait(60)
        deliver(reports, position)

    rig.pump._deliver = deliver_slowly
    rig.writer.put(STDOUT, 1, b"x")
    rig.pump.start()
    assert begun.wait(60)
    assert rig.reader.words[ring.WORD_SAFE] == 0
    may_go_on.set()
    finish(rig)
    assert rig.reader.words[ring.WORD_SAFE] == rig.reader.position > 0


def test_one_delivery_that_fails_does_not_end_the_pump(rig, caplog):
    def fail(reports, position):
        rig.pump._deliver = rig._deliver
        raise LookupError("of this delivery")

    rig.pump._deliver = fail
    rig.writer.put(STDOUT, 1, b"x")
    rig.pump.start()
    wait_until(lambda: "some output could not be passed on" in caplog.text)
    rig.writer.put(STDOUT, 2, b"y")
    wait_until(lambda: rig.reports == [printed("y", 2)])


@pytest.mark.parametrize("failures", [1, pump._LAST_ATTEMPTS - 1])
def test_a_delivery_that_fails_at_the_end_costs_nothing_but_what_it_held(rig, caplog, monkeypatch, failures):
    monkeypatch.setattr(pump, "BATCH_BYTES", 1)
    fails = iter(range(failures))

    def fail_some(reports, position):
        if next(fails, None) is not None:
            raise LookupError("of this delivery")
        rig._deliver(reports, position)

    rig.pump._deliver = fail_some
    for number in range(failures):
        rig.writer.put(STDOUT, number + 1, b"x")
    os.write(rig.out, b"of a child")
    os.write(rig.err, b"its error")
    rig.pump._stop.set()  # the worker's end was seen before anything was read
    rig.pump.start()
    assert finish(rig) == [printed("of a child"), printed("its error", name="stderr")]
    assert caplog.text.count("could not be passed on") == failures


def test_a_hub_that_can_deliver_nothing_more_ends_all_the_same(rig, caplog):
    def fail(*_):
        raise LookupError("of every round")

    rig.pump._remove_spills = fail
    rig.pump._stop.set()
    rig.pump.start()
    finish(rig)
    assert caplog.text.count("could not be passed on") == pump._LAST_ATTEMPTS


def test_finishing_reads_everything_that_is_there(rig):
    rig.pump.start()
    for _ in range(1000):
        rig.writer.put(STDOUT, 1, b"x" * 100)
    os.write(rig.out, b"y" * 1000)
    finish(rig)
    assert rig.text_of("stdout").count("x") == 100_000
    assert rig.text_of("stdout").count("y") == 1000


def test_all_that_a_dead_worker_has_left_is_read_however_small_the_portions(rig, monkeypatch):
    monkeypatch.setattr(pump, "BATCH_BYTES", 1024)
    for number in range(2500):
        rig.writer.put(RECORD, number, record(*FINISHED))
    rig.pump._stop.set()  # the worker's end was seen before anything was read
    rig.pump.start()
    finish(rig)
    assert [execution or 0 for kind, execution, _ in rig.reports if kind == Kind.FINISHED] == [*range(2500)]


def test_an_execution_costs_the_pump_no_look_into_empty_pipes(rig, monkeypatch):
    looks = []
    rig.pump.start()
    wait_until(rig.is_asleep)
    monkeypatch.setattr(pump, "pending_bytes", lambda pipe: looks.append(pipe) or 0)
    rig.pump._drain = lambda pipe, *_, **__: looks.append(pipe) or []
    for number in range(20):
        rig.writer.put(RECORD, number + 1, record(*FINISHED))
        wait_until(lambda expected=number + 1: len(rig.reports) == expected and rig.is_asleep())
    assert looks == []
