"""What user code prints: every character goes into the ring, under the execution that printed it."""

import _thread
import asyncio
import contextlib
import contextvars
import io
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.system.ring import STDERR, STDOUT
from rpyc_kernel.worker import capture
from rpyc_kernel.worker.capture import Stream, begin_execution, current_execution, end_execution, follow_threads
from rpyc_kernel.worker.interrupts import Interrupts
from tests.support.waiting import wait_until


class FakeRing:
    """Remembers what was put; a put may call back, as an interrupt or a finalizer would."""

    def __init__(self, max_data_bytes=64):
        self.max_data_bytes = max_data_bytes
        self.frames = []

    def put(self, kind, execution, data, may_interrupt=True):
        assert 0 < len(data) <= self.max_data_bytes
        self.frames.append((kind, execution, bytes(data)))

    @property
    def data(self):
        return b"".join(data for _, _, data in self.frames)

    @property
    def text(self):
        return self.data.decode()


@pytest.fixture
def ring():
    return FakeRing()


@pytest.fixture
def interrupts():
    return Interrupts()


@pytest.fixture
def stream(ring, interrupts):
    return Stream("<stdout>", STDOUT, 1, ring, interrupts)


@pytest.fixture
def execution():
    """Run as execution 7, beside the main lane."""
    token = current_execution.set(7)
    begin_execution(7, is_main=False)
    yield 7
    end_execution(7)
    current_execution.reset(token)


@pytest.fixture
def main_lane():
    """What runs on the main lane is execution 9."""
    begin_execution(9, is_main=True)
    yield 9
    end_execution(9)


# Text


def test_a_print_is_there_at_once_under_its_execution(stream, ring, execution):
    assert stream.write("hi\n") == 3
    assert ring.frames == [(STDOUT, 7, b"hi\n")]


def test_an_error_stream_has_a_kind_of_its_own(ring, interrupts):
    Stream("<stderr>", STDERR, 2, ring, interrupts).write("x")
    assert ring.frames == [(STDERR, 0, b"x")]


def test_nothing_written_is_no_frame(stream, ring):
    assert stream.write("") == 0
    assert ring.frames == []


@given(st.text(st.characters() | st.sampled_from("aä€😀"), max_size=300), st.integers(4, 70))
def test_text_of_any_length_arrives_whole_and_no_character_is_cut(text, max_data_bytes):
    ring = FakeRing(max_data_bytes)
    assert Stream("<stdout>", STDOUT, 1, ring, Interrupts()).write(text) == len(text)
    assert "".join(data.decode() for _, _, data in ring.frames) == text.encode("utf-8", "backslashreplace").decode()


def test_what_cannot_be_encoded_is_shown_escaped(stream, ring):
    assert stream.write("a\ud800b") == 3
    assert ring.text == "a\\ud800b"


def test_user_code_says_what_becomes_of_text_that_cannot_be_encoded(stream, ring):
    stream.reconfigure(errors="surrogateescape")
    stream.write("\udc80")
    stream.reconfigure(errors="strict")
    assert (stream.errors, ring.data) == ("strict", b"\x80")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        stream.write("\ud800")
    with pytest.raises(LookupError, match="nonsense"):
        stream.reconfigure(errors="nonsense")
    assert stream.errors == "strict"


@pytest.mark.parametrize("value", [b"x", 3, None])
def test_only_text_can_be_written(stream, value):
    with pytest.raises(TypeError, match=f"must be str, not {type(value).__name__}"):
        stream.write(value)


def test_print_and_writelines_and_redirection_work(stream, ring):
    print("a", 1, file=stream, flush=True)
    stream.writelines(["b", "c"])
    with contextlib.redirect_stdout(stream):
        print("d", end="")
    assert ring.text == "a 1\nbcd"


def test_a_stream_looks_like_a_text_file_that_is_no_terminal(stream):
    assert (stream.encoding, stream.errors, stream.name) == ("utf-8", "backslashreplace", "<stdout>")
    assert stream.writable()
    assert not stream.readable()
    assert not stream.isatty()
    assert stream.line_buffering
    assert stream.mode == "w"
    stream.reconfigure(encoding="UTF8", newline="", line_buffering=True)
    with pytest.raises(io.UnsupportedOperation):
        stream.read()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        (
            {"encoding": "latin-1"},
            io.UnsupportedOperation,
            r"sys.stdout = io.TextIOWrapper\(sys.stdout.buffer, 'latin-1'\)",
        ),
        ({"newline": "\r\n"}, io.UnsupportedOperation, "line ends"),
        ({"encoding": "nonsense"}, LookupError, "nonsense"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_what_a_stream_cannot_be_is_refused_and_not_forgotten(stream, options, error, told):
    with pytest.raises(error, match=told):
        stream.reconfigure(errors="strict", **options)
    assert stream.errors == "backslashreplace"


def test_what_is_detached_from_a_stream_can_be_wrapped_anew(stream, ring):
    with io.TextIOWrapper(stream.detach(), "latin-1") as wrapped:
        wrapped.write("ä")
    stream.write("b")
    assert ring.data == b"\xe4b"


def test_closing_a_stream_changes_nothing(stream, ring):
    with stream:
        stream.close()
    stream.__del__()
    stream.write("x")
    assert not stream.closed
    assert ring.text == "x"


# Bytes


def test_bytes_go_the_same_way(stream, ring):
    assert stream.buffer.write(b"a\n") == 2
    stream.buffer.write(bytearray(b"b"))
    stream.buffer.write(memoryview(b"c"))
    stream.buffer.flush()
    stream.write("d")
    assert ring.text == "a\nbcd"


def test_a_character_cut_between_two_writes_of_bytes_is_put_together(stream, ring):
    for byte in "a€😀".encode():
        stream.buffer.write(bytes([byte]))
    assert ring.text == "a€😀"


def test_bytes_that_are_no_text_are_handed_on_as_they_are(stream, ring):
    stream.buffer.write(b"\xff\x80.")
    assert ring.data == b"\xff\x80."


@given(st.lists(st.binary(max_size=300)), st.integers(4, 70))
def test_bytes_of_any_length_arrive_whole(pieces, max_data_bytes):
    ring = FakeRing(max_data_bytes)
    stream = Stream("<stdout>", STDOUT, 1, ring, Interrupts())
    for piece in pieces:
        assert stream.buffer.write(piece) == len(piece)
    stream.let_go()
    assert ring.data == b"".join(pieces)


def test_half_a_character_comes_before_what_is_written_as_text(stream, ring, execution):
    stream.buffer.write(b"\xe2\x82")
    stream.write("x")
    assert ring.frames == [(STDOUT, 7, b"\xe2\x82"), (STDOUT, 7, b"x")]


def test_half_a_character_belongs_to_who_has_written_it(stream, ring, execution):
    stream.buffer.write(b"\xe2\x82")
    contextvars.Context().run(stream.let_go)
    stream.let_go()
    assert ring.frames == [(STDOUT, 7, b"\xe2\x82")]


def test_half_a_character_of_the_parent_is_not_written_by_its_child(ring, interrupts):
    read_end, write_end = os.pipe()
    stream = Stream("<stdout>", STDOUT, write_end, ring, interrupts)
    stream.buffer.write(b"\xe2")
    stream.after_fork()
    stream.write("x")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as opened:
        assert opened.read() == b"x"


@pytest.mark.parametrize("value", [3, "text", None])
def test_only_bytes_can_be_written_to_the_binary_face(stream, ring, value):
    with pytest.raises(TypeError, match="bytes-like"):
        stream.buffer.write(value)
    assert ring.frames == []


def test_the_binary_face_cannot_be_closed_either(stream, ring):
    stream.buffer.close()
    stream.buffer.write(b"x")
    assert ring.text == "x"


# Descriptors


def test_a_child_process_may_write_to_the_streams_descriptor(ring, interrupts):
    read_end, write_end = os.pipe()
    stream = Stream("<stdout>", STDOUT, write_end, ring, interrupts)
    subprocess.run([sys.executable, "-c", "print('from a child')"], stdout=stream, check=True)
    os.close(write_end)
    with os.fdopen(read_end) as opened:
        assert opened.read() == "from a child\n"


def test_a_forked_child_writes_to_the_descriptor_and_not_to_the_ring(ring, interrupts):
    read_end, write_end = os.pipe()
    stream = Stream("<stdout>", STDOUT, write_end, ring, interrupts)
    stream.after_fork()
    stream.write("x" * 200)
    stream.buffer.write(b"y")
    os.close(write_end)
    with os.fdopen(read_end) as opened:
        assert opened.read() == "x" * 200 + "y"
    assert ring.frames == []
    stream.write("nobody reads this")  # and nobody hears of it


# Interrupts


def test_an_interrupt_that_came_while_writing_is_raised_after_it(stream, ring, interrupts):
    interrupts.is_pending = True
    with pytest.raises(KeyboardInterrupt):
        stream.write("whole")
    assert ring.text == "whole"
    stream.write("x")


def test_an_interrupt_is_left_to_the_main_thread(stream, ring, interrupts):
    interrupts.is_pending = True
    thread = threading.Thread(target=stream.write, args=("from a thread",))
    thread.start()
    thread.join()
    assert ring.text == "from a thread"
    assert interrupts.is_pending


# Whose output it is


@pytest.fixture
def followed(monkeypatch):
    for name in ("start", "_bootstrap_inner"):
        monkeypatch.setattr(threading.Thread, name, getattr(threading.Thread, name))
    for name in ("__init__", "run"):
        monkeypatch.setattr(capture._WorkItem, name, getattr(capture._WorkItem, name))
    follow_threads()


def run_thread(target):
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_a_thread_prints_under_the_execution_that_started_it(stream, ring, execution, followed):
    run_thread(lambda: stream.write("x")).join()
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_a_thread_of_a_thread_prints_under_the_same_execution(stream, ring, execution, followed):
    run_thread(lambda: run_thread(lambda: stream.write("x")).join()).join()
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_what_goes_on_after_its_execution_prints_under_what_runs_on_the_main_lane(stream, ring, execution, followed):
    go = threading.Semaphore(0)
    thread = run_thread(lambda: [(go.acquire(timeout=60), stream.write(text)) for text in ("a", "b", "c")])

    def print_one(count):
        go.release()
        wait_until(lambda: len(ring.frames) == count, what="what the thread prints")

    print_one(1)
    end_execution(execution)
    begin_execution(9, is_main=True)
    print_one(2)
    end_execution(9)
    print_one(3)
    thread.join()
    assert ring.frames == [(STDOUT, 7, b"a"), (STDOUT, 9, b"b"), (STDOUT, 0, b"c")]


def test_what_a_loop_itself_has_to_say_stands_with_what_runs_on_the_main_lane(stream, ring):
    begin_execution(8, is_main=True)
    try:
        contextvars.Context().run(stream.write, "an exception was never retrieved")
    finally:
        end_execution(8)
    contextvars.Context().run(stream.write, "late")
    assert [execution for _, execution, _ in ring.frames] == [8, 0]


def test_what_an_executor_runs_prints_under_the_execution_that_handed_it_in(stream, ring, main_lane, followed):
    with ThreadPoolExecutor(1) as executor:
        for number in (7, 8):
            token = current_execution.set(number)
            begin_execution(number, is_main=False)
            executor.submit(stream.write, "x").result()
            current_execution.reset(token)
        end_execution(7)
        end_execution(8)
    assert ring.frames == [(STDOUT, 7, b"x"), (STDOUT, 8, b"x")]


def test_what_is_run_in_an_executor_for_a_loop_prints_under_the_execution_that_asked(stream, ring, execution, followed):
    async def hand_over():
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, stream.write, "a")
        await asyncio.to_thread(stream.write, "b")

    asyncio.run(hand_over())
    assert ring.frames == [(STDOUT, 7, b"a"), (STDOUT, 7, b"b")]


def test_what_is_handed_to_a_loop_prints_under_the_execution_of_who_hands_it_over(stream, ring, execution, followed):
    async def be_called():
        loop, is_done = asyncio.get_running_loop(), asyncio.Event()

        def call():
            stream.write("x")
            is_done.set()

        def hand_over():
            current_execution.set(7)
            loop.call_soon_threadsafe(call)

        current_execution.set(0)
        run_thread(hand_over).join()
        await is_done.wait()

    asyncio.run(be_called())
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_a_context_that_is_taken_along_says_whose_output_it_is(stream, ring, execution, followed):
    tasks, context = queue.SimpleQueue(), contextvars.copy_context()
    token = current_execution.set(0)
    thread = run_thread(lambda: tasks.get()())
    current_execution.reset(token)
    tasks.put(lambda: context.run(stream.write, "x"))
    thread.join()
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_a_subclass_of_thread_prints_under_the_execution_that_started_it(stream, ring, execution, followed):
    class Speaker(threading.Thread):
        def __init__(self):
            super().__init__()
            self.start()

        def run(self):
            stream.write("x")

    Speaker().join()
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_a_timer_prints_under_the_execution_that_started_it(stream, ring, execution, followed):
    timer = threading.Timer(0, stream.write, ("x",))
    timer.start()
    timer.join()
    assert ring.frames == [(STDOUT, 7, b"x")]


def test_a_thread_that_nobodys_execution_started_prints_for_nobody(stream, ring, followed):
    run_thread(lambda: stream.write("x")).join()
    assert ring.frames == [(STDOUT, 0, b"x")]


def test_a_thread_made_by_hand_prints_for_nobody(stream, ring, execution, followed):
    is_done = threading.Event()
    _thread.start_new_thread(lambda: (stream.write("x"), is_done.set()), ())
    assert is_done.wait(60)
    assert ring.frames == [(STDOUT, 0, b"x")]


def test_a_task_prints_under_the_execution_that_made_it(stream, ring):
    async def print_later():
        await asyncio.sleep(0)
        stream.write("x")

    async def main():
        def make():
            current_execution.set(7)
            begin_execution(7, is_main=False)
            return asyncio.ensure_future(print_later())

        await contextvars.copy_context().run(make)

    asyncio.run(main())
    end_execution(7)
    assert ring.frames == [(STDOUT, 7, b"x")]
    assert capture.current_execution.get() == 0
