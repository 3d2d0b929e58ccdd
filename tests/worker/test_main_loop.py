"""What the worker does with executions that it is handed: each is run once and said to be finished."""

import asyncio
import bdb
import contextvars
import ctypes
import os
import socket
import threading

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.system import frames, ring
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.threads import KernelThread
from rpyc_kernel.worker import failing, forks, main_loop
from rpyc_kernel.worker.capture import Stream, current_execution
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.main_loop import EventSink, MainLoop
from tests.support.waiting import wait_until


class FakeEngine:
    """Runs functions instead of code; the outcome is what they return."""

    def __init__(self):
        self.runs = []
        self.reported = []

    def run(self, execution, code, form=None, count=None):
        self.runs.append((execution, code, current_execution.get(), threading.current_thread().name))
        return self.behave(code) or Outcome.OK

    def behave(self, code):
        return None

    def start_up(self):
        pass

    def report(self, execution, error):
        self.reported.append((execution, type(error)))
        return Outcome.ERROR


class FakeOutput:
    def __init__(self):
        self.finished = []
        self.leave_after = 0
        self.on_finished = lambda: None

    def emit(self, kind, execution, payload):
        if kind == Kind.FINISHED:
            self.on_finished()
            self.finished.append((execution, payload["outcome"]))
            if len(self.finished) == self.leave_after:
                self.leave()

    def connect(self, hub):
        pass


class Worker:
    def __init__(self):
        self.engine, self.output = FakeEngine(), FakeOutput()
        self.loop = MainLoop(self.engine, self.output, Interrupts(), None, DebugServer("", Interrupts()))

    def run(self, *codes):
        """Hand codes over as a hub does, and run the loop until all of them have ended."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for number, code in enumerate(codes, len(self.output.finished) + 1):
                frames.send(ours, (number, code, None, None, number))
            self.output.leave_after = len(self.output.finished) + len(codes)
            self.output.leave = self.loop.leave
            self.loop.take_hub(theirs)
            self.loop.run()

    def wait_for_end(self, count):
        wait_until(lambda: len(self.output.finished) >= count, what=f"{count} ends")


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.loop.loop.close()


def test_a_side_lane_runs_in_a_thread_of_its_own_under_its_own_number(worker):
    worker.loop.start_side(3, "code", None)
    worker.wait_for_end(1)
    assert worker.engine.runs == [(3, "code", 3, "side-3")]
    assert worker.output.finished == [(3, Outcome.OK)]


def test_a_side_lane_handed_over_again_by_the_next_hub_does_not_run_again(worker):
    worker.loop.start_side(3, "code", None)
    worker.wait_for_end(1)
    worker.loop.start_side(3, "code", None)
    worker.loop.start_side(2, "other", None)
    worker.wait_for_end(2)
    assert [run[0] for run in worker.engine.runs] == [3, 2]


def test_side_lanes_that_have_ended_for_the_hub_are_forgotten_and_still_not_run_again(worker):
    for number in range(1, 101):
        worker.loop.start_side(number, "code", None, None, number)
        worker.wait_for_end(number)
    assert worker.loop._sides_received == {100}
    for number in (99, 100):
        worker.loop.start_side(number, "again", None, None, 99)
    assert worker.loop.last_execution == 100
    worker.loop.start_side(101, "code", None, None, 100)
    worker.wait_for_end(101)
    assert [run[1] for run in worker.engine.runs] == ["code"] * 101


def test_side_lanes_run_at_the_same_time(worker):
    together = threading.Barrier(3)
    worker.engine.behave = lambda code: together.wait(60) and None
    for number in (1, 2, 3):
        worker.loop.start_side(number, "", None)
    worker.wait_for_end(3)
    assert {outcome for _, outcome in worker.output.finished} == {Outcome.OK}


def test_the_hub_sees_how_many_side_lanes_run_without_asking(worker):
    both, go_on = threading.Barrier(3), threading.Event()
    worker.engine.behave = lambda code: (both.wait(10), go_on.wait(10), None)[-1]
    for number in (1, 2):
        worker.loop.start_side(number, "code", None)
    both.wait(10)
    words = worker.loop._interrupts._words
    assert words[ring.WORD_SIDES] == 2
    go_on.set()
    wait_until(lambda: words[ring.WORD_SIDES] == 0)
    assert len(worker.output.finished) == 2


def test_an_interrupted_side_lane_is_said_to_be_interrupted(worker):
    def raise_interrupt(code):
        raise KeyboardInterrupt

    worker.engine.behave = raise_interrupt
    worker.loop.start_side(1, "", None)
    worker.wait_for_end(1)
    assert worker.output.finished == [(1, Outcome.INTERRUPTED)]


def test_a_side_lane_that_a_hook_of_user_code_keeps_from_starting_says_why(worker, monkeypatch):
    def fail():
        raise ValueError("the hook's own")

    told = []
    emit = worker.output.emit
    monkeypatch.setattr(main_loop, "follow_tracers", fail)
    monkeypatch.setattr(worker.output, "emit", lambda *event: (told.append(event), emit(*event)))
    worker.loop.start_side(1, "code", None)
    worker.wait_for_end(1)
    assert worker.engine.runs == []
    assert worker.output.finished == [(1, Outcome.ERROR)]
    assert [payload["evalue"] for kind, _, payload in told if kind == Kind.ERROR] == ["the hook's own"]


def test_a_side_lane_that_has_ended_is_not_interrupted(worker):
    worker.loop.start_side(1, "", None)
    worker.wait_for_end(1)
    assert not worker.loop.interrupt_side(1)
    assert not worker.loop.interrupt_side(99)


# The main lane


def test_code_that_the_next_hub_hands_over_again_does_not_run_again(worker):
    (first, its_end), (second, other_end) = socket.socketpair(), socket.socketpair()
    with first, its_end, second, other_end:
        for hub, codes in ((first, ("one", "two")), (second, ("one", "two", "three"))):
            for number, code in enumerate(codes, 1):
                frames.send(hub, (number, code, None, None, number))
        worker.output.on_finished = lambda: len(worker.output.finished) == 1 and worker.loop.take_hub(other_end)
        worker.engine.behave = lambda code: worker.loop.leave() if code == "three" else None
        worker.loop.take_hub(its_end)
        worker.loop.run()
    assert [run[:2] for run in worker.engine.runs] == [(1, "one"), (2, "two"), (3, "three")]
    assert worker.output.finished == [(number, Outcome.OK) for number in (1, 2, 3)]


@pytest.fixture
def written_by_c(worker, tmp_path):
    """What C code has written to a file of its own when an execution is said to be finished; `behave` writes "c"."""
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(os.fsencode(tmp_path / "file"), b"w"))
    seen = []
    worker.engine.behave = lambda code: libc.fputs(b"c", file) and None
    worker.output.on_finished = lambda: seen.append((tmp_path / "file").read_text())
    yield seen
    libc.fclose(file)


def test_what_c_code_has_printed_is_out_before_its_execution_is_said_to_be_finished(worker, written_by_c):
    worker.run("one", "two")
    assert written_by_c == ["c", "cc"]


def test_what_c_code_has_printed_in_a_side_lane_is_out_before_its_end(worker, written_by_c):
    worker.loop.start_side(1, "", None)
    worker.wait_for_end(1)
    assert written_by_c == ["c"]


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


VARIABLE = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize("error", [bdb.BdbQuit, SystemExit, KeyboardInterrupt, RuntimeError])
def test_an_execution_has_ended_whatever_was_raised_past_the_engine(worker, error):
    def fail(code):
        if code == "fail":
            raise error

    async def fail_later():
        raise error

    worker.engine.behave = lambda code: fail_later() if code == "fail later" else fail(code)
    worker.run("fail", "fail later", "go on")
    assert worker.engine.reported == [(1, error), (2, error)]
    assert worker.output.finished == [(1, Outcome.ERROR), (2, Outcome.ERROR), (3, Outcome.OK)]


def test_what_executions_set_in_their_context_lasts_also_behind_those_that_await(worker):
    seen = []

    async def set_and_wait(code):
        seen.append((VARIABLE.get(), current_execution.get()))
        await asyncio.sleep(0)
        VARIABLE.set(code)
        await asyncio.sleep(0)
        seen.append((VARIABLE.get(), current_execution.get()))
        return Outcome.OK

    def behave(code):
        if code.startswith("await"):
            return set_and_wait(code)
        seen.append((VARIABLE.get(), current_execution.get()))
        VARIABLE.set(code)
        return None

    worker.engine.behave = behave
    worker.run("one", "await two", "three", "await four")
    assert seen == [
        ("unset", 1),
        ("one", 2),
        ("await two", 2),
        ("await two", 3),
        ("three", 4),
        ("await four", 4),
    ]
    assert (VARIABLE.get(), current_execution.get()) == ("unset", 0)


@pytest.mark.parametrize("failing_start", [1, 2])
def test_a_side_lane_for_which_there_is_no_thread_left_fails(worker, monkeypatch, failing_start):
    starts = []
    start = KernelThread.start

    def start_some(thread):
        starts.append(thread.name)
        if len(starts) == failing_start:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(KernelThread, "start", start_some)
    emit, told = worker.output.emit, []

    def emit_and_look(kind, execution, payload):
        # Where the ring is full this waits, and others need the lock.
        told.append((kind, worker.loop._side_lock.locked()))
        emit(kind, execution, payload)

    worker.output.emit = emit_and_look
    worker.loop.start_side(1, "code", None)
    worker.wait_for_end(1)
    assert (worker.output.finished, worker.engine.runs) == ([(1, Outcome.ERROR)], [])
    assert told == [(Kind.ERROR, False), (Kind.FINISHED, False)]


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_callbacks_that_end_themselves_end_nothing_else_however_many_they_are(worker, monkeypatch, ending):
    def end():
        raise ending

    monkeypatch.setattr(worker.loop._interrupts, "cancel", lambda: ending is KeyboardInterrupt)
    for _ in range(10 * failing.ATTEMPTS):
        worker.loop.loop.call_soon(end)
    worker.run("code")
    assert worker.output.finished == [(1, Outcome.OK)]


def test_handlers_of_signals_that_raise_now_and_then_end_nothing(worker, monkeypatch):
    select, left = worker.loop.loop._selector.select, [10 * failing.ATTEMPTS]

    def select_and_raise(timeout):
        left[0] -= 1
        if left[0] > 0 and left[0] % failing.ATTEMPTS:
            raise ValueError("a handler's")
        return select(timeout)

    monkeypatch.setattr(worker.loop.loop._selector, "select", select_and_raise)
    worker.run("code", "more")
    assert worker.output.finished == [(1, Outcome.OK), (2, Outcome.OK)]


def test_a_loop_that_does_not_work_any_more_ends_the_worker(worker, monkeypatch):
    class EndedError(BaseException):
        pass

    def end(error):
        raise EndedError from error

    monkeypatch.setattr(failing, "end_worker", end)
    monkeypatch.setattr(worker.loop.loop, "_run_once", None)
    with pytest.raises(EndedError) as ended:
        worker.loop.run()
    assert isinstance(ended.value.__cause__, TypeError)


@pytest.mark.parametrize("name", ["_begin", "_finish", "_take_message"])
def test_what_a_handler_of_a_signal_breaks_off_is_done_again(worker, monkeypatch, name):
    do, failures = getattr(worker.loop, name), [TimeoutError("a handler's")]

    def do_or_fail(*arguments):
        if failures:
            raise failures.pop()
        return do(*arguments)

    monkeypatch.setattr(worker.loop, name, do_or_fail)
    worker.run("code", "more")
    assert [run[:2] for run in worker.engine.runs] == [(1, "code"), (2, "more")]
    assert worker.output.finished == [(1, Outcome.OK), (2, Outcome.OK)]
