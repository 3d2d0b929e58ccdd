"""Whatever user code and its children write arrives, under the execution that wrote it, before that is finished."""

import pytest

from rpyc_kernel import Event, Execution, KernelClient
from rpyc_kernel.core.contract import Kind
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60


def run(kernel: KernelClient, code: str) -> Execution:
    return kernel.execute(code, timeout=DEADLINE_S)


def follow_until(execution: Execution, text: str) -> str:
    """Follow an execution that goes on until it has printed ``text``; what it printed up to there."""
    seen = ""
    for event in execution.events(timeout=DEADLINE_S):
        seen += event.text if event.kind == Kind.STREAM else ""
        if text in seen:
            break
    return seen


def streams_of(kernel: KernelClient, number: int | None) -> list[Event]:
    return [event for event in kernel.events(follow=False) if event.kind == Kind.STREAM and event.execution == number]


def text_of(kernel: KernelClient, number: int | None) -> str:
    return "".join(event.text for event in streams_of(kernel, number))


def assert_goes_on(kernel: KernelClient) -> None:
    again = run(kernel, "print('still here'); 6 * 7")
    assert (again.stdout, again.value) == ("still here\n", 42)
    assert "damaged" not in "".join(event.text for event in kernel.events(follow=False) if event.kind == Kind.STREAM)


# What does not go through Python's streams


OUTSIDE_PYTHON = {
    "C's buffered printf": ("import ctypes; ctypes.CDLL(None).printf(b'from %s\\n', b'C')", "from C\n", ""),
    "C's puts": ("import ctypes; ctypes.CDLL(None).puts(b'from puts')", "from puts\n", ""),
    "the system call": ("import ctypes; ctypes.CDLL(None).write(1, b'raw\\n', 4)", "raw\n", ""),
    "the system call on standard error": ("import os; os.write(2, b'raw\\n')", "", "raw\n"),
    "os.system": ("import os; os.system('echo out; echo err >&2')", "out\n", "err\n"),
    "a subprocess that inherits the descriptors": (
        "import subprocess; subprocess.run(['sh', '-c', 'echo out; echo err >&2'])",
        "out\n",
        "err\n",
    ),
    "a subprocess that is given the streams": (
        "import subprocess, sys\n"
        "subprocess.run('echo out; echo err >&2', shell=True, stdout=sys.stdout, stderr=sys.stderr)",
        "out\n",
        "err\n",
    ),
    "Python's own original stream": ("import sys; print('original', file=sys.__stdout__)", "original\n", ""),
}


@pytest.mark.parametrize(("code", "stdout", "stderr"), OUTSIDE_PYTHON.values(), ids=OUTSIDE_PYTHON)
def test_output_beside_pythons_streams_is_there_when_the_code_has_finished(kernel, code, stdout, stderr):
    execution = run(kernel, code)
    assert (execution.stdout, execution.stderr) == (stdout, stderr)
    assert list(kernel.events(follow=False))[-1].kind == Kind.FINISHED


def test_output_of_c_code_belongs_to_the_execution_that_made_it(kernel):
    run(kernel, "import os, ctypes")
    codes = [f"os.system('echo {number}'); ctypes.CDLL(None).puts(b'{number}')" for number in range(30)]
    executions = [kernel.submit(code) for code in codes]
    for number, execution in enumerate(executions):
        execution.result(DEADLINE_S)
        assert sorted(execution.stdout.split()) == [str(number)] * 2


def test_a_lot_of_output_of_a_subprocess_is_complete(kernel):
    execution = run(kernel, "import os; os.system('seq 1 300000')")
    assert execution.stdout == "".join(f"{number}\n" for number in range(1, 300_001))


def test_characters_cut_by_the_pipe_are_put_together(kernel):
    execution = run(kernel, "import os\nfor byte in 'größer 漢字 🎉'.encode(): os.write(1, bytes([byte]))")
    assert execution.stdout == "größer 漢字 🎉"


def test_bytes_that_are_no_text_are_shown_escaped(kernel):
    assert run(kernel, r"import os; os.write(1, b'\xff\xfe ok\n')").stdout == "\\xff\\xfe ok\n"


# Child processes of multiprocessing


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_multiprocessing_child_that_prints_disturbs_nothing(kernel, method):
    execution = run(
        kernel,
        f"""
import multiprocessing
context = multiprocessing.get_context({method!r})
print("before")
child = context.Process(target=print, args=("from the child",))
child.start()
child.join()
print("after", child.exitcode)
""",
    )
    assert sorted(execution.stdout.splitlines()) == ["after 0", "before", "from the child"]
    assert execution.stderr == ""
    assert_goes_on(kernel)


def test_forked_children_that_print_much_while_the_parent_does_leave_the_ring_whole(kernel):
    execution = run(
        kernel,
        """
import multiprocessing
context = multiprocessing.get_context("fork")

def chatter(who):
    for number in range(3000):
        print(f"{who} {number}\\n", end="")

children = [context.Process(target=chatter, args=(f"child{number}",)) for number in range(2)]
for child in children:
    child.start()
chatter("parent")
for child in children:
    child.join()
[child.exitcode for child in children]
""",
    )
    # Pieces of child and parent may come in any order, but none is lost, doubled or torn.
    lines = execution.stdout.splitlines()
    for who in ("parent", "child0", "child1"):
        assert [line for line in lines if line.startswith(who)] == [f"{who} {number}" for number in range(3000)]
    assert len(lines) == 9000
    assert str(execution.outputs[-1].data["text/plain"]) == "[0, 0]"
    assert_goes_on(kernel)


def test_a_fork_while_another_thread_prints_disturbs_nothing(kernel):
    execution = run(
        kernel,
        """
import os, threading
stop = threading.Event()

def chatter():
    while not stop.is_set():
        print("x" * 50)

thread = threading.Thread(target=chatter)
thread.start()
statuses = []
for number in range(20):
    pid = os.fork()
    if not pid:
        try:
            print(f"child {number}")
        finally:
            os._exit(0)
    statuses.append(os.waitpid(pid, 0)[1])
stop.set()
thread.join()
statuses
""",
    )
    assert execution.outputs[-1].data["text/plain"] == str([0] * 20)
    for number in range(20):
        assert f"child {number}\n" in execution.stdout
    assert_goes_on(kernel)


# Late output


def test_output_of_a_task_that_outlives_its_execution_belongs_to_what_runs_on_the_main_lane(kernel):
    first = run(
        kernel,
        """
import asyncio
go = asyncio.Event()

async def speak():
    await go.wait()
    print("from the task")

task = asyncio.create_task(speak())
""",
    )
    second = run(kernel, "print('from the second'); go.set(); await task")
    assert second.stdout == "from the second\nfrom the task\n"
    assert text_of(kernel, first.id) == ""


def test_output_of_a_thread_belongs_to_the_execution_that_started_it_while_that_runs(kernel):
    side = kernel.submit("import threading; go = threading.Event(); go.wait()", lane="side")
    wait_until(lambda: kernel.eval("'go' in globals()"), DEADLINE_S, "the side lane")
    thread = "thread = threading.Thread(target=print, args=['from the thread']); thread.start(); thread.join()"
    assert run(kernel, thread).stdout == "from the thread\n"
    kernel.eval("go.set()")
    side.result(DEADLINE_S)
    assert side.stdout == ""


def test_output_of_a_thread_whose_execution_has_ended_belongs_to_what_runs_on_the_main_lane(kernel):
    first = run(
        kernel,
        """
import threading
go = threading.Event()

def speak():
    go.wait()
    print("from the thread")

thread = threading.Thread(target=speak)
thread.start()
""",
    )
    second = run(kernel, "print('from the second'); go.set(); thread.join()")
    assert second.stdout == "from the second\nfrom the thread\n"
    assert text_of(kernel, first.id) == ""


def test_what_an_executor_runs_belongs_to_the_execution_that_handed_it_in(kernel):
    first = run(kernel, "from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(1)")
    for word in ("one", "two"):
        assert run(kernel, f"pool.submit(print, {word!r}).result()").stdout == f"{word}\n"
    run(kernel, "pool.shutdown()")
    assert text_of(kernel, first.id) == ""


def test_output_after_the_end_is_background_output_while_nothing_runs(kernel):
    execution = run(
        kernel,
        """
import asyncio, threading
loop, go = asyncio.get_running_loop(), threading.Event()
waiting = loop.run_in_executor(None, go.wait)
waiting.add_done_callback(lambda done: print("late"))
""",
    )
    assert execution.stdout == ""
    kernel.eval("go.set()")
    wait_until(lambda: text_of(kernel, None) == "late\n", DEADLINE_S, "the late output")


# At once


@pytest.mark.parametrize(
    "write", ["print('dots ...', end='')", "sys.stdout.write('dots ...')", "os.write(1, b'dots ...')"]
)
def test_output_without_a_line_end_shows_before_the_code_ends(kernel, write):
    run(kernel, "import os, sys, threading; go = threading.Event()")
    execution = kernel.submit(f"{write}\ngo.wait()\nprint(' done')")
    assert follow_until(execution, "...") == "dots ..."
    assert not execution.done()
    kernel.eval("go").set()
    execution.result(DEADLINE_S)
    assert execution.stdout == "dots ... done\n"


def test_output_without_a_line_end_shows_before_the_code_asks(kernel):
    execution = kernel.submit("print('your name', end=''); name = input('? '); print(f' is {name}')")
    kinds = []
    for event in execution.events(timeout=DEADLINE_S):
        kinds.append(event.kind)
        if event.kind == Kind.INPUT_REQUESTED:
            assert execution.stdout == "your name"
            kernel.answer_input("Ada", execution.id)
    assert kinds.index(Kind.STREAM) < kinds.index(Kind.INPUT_REQUESTED)
    assert execution.stdout == "your name is Ada\n"


# Unusual text


def test_lone_surrogates_are_printed_escaped(kernel):
    execution = run(kernel, r"import sys; print('a\ud800b'); print('\udfff', file=sys.stderr); 'c\udc80'")
    assert execution.stdout == "a\\ud800b\n"
    assert execution.stderr == "\\udfff\n"
    assert execution.value == "c\udc80"
    assert_goes_on(kernel)


def test_every_other_text_arrives_as_it_was_printed(kernel):
    text = "".join(map(chr, [*range(0x300), 0x2028, 0x1F389, 0x10FFFF]))
    assert run(kernel, f"print({text!r}, end='')").stdout == text


def test_a_single_print_of_20_mb_is_complete(kernel):
    run(kernel, "text = ''.join(f'{number:07}é\\n' for number in range(2_000_000))")
    execution = run(kernel, "print(text, end=''); len(text.encode())")
    assert execution.value == 20_000_000
    assert execution.stdout == "".join(f"{number:07}é\n" for number in range(2_000_000))


def test_the_binary_stream_can_be_written(kernel):
    code = r"""
import sys
assert sys.stdout.buffer.write(b"bytes\n") == 6
sys.stderr.buffer.write(bytearray(b"error\n"))
sys.stdout.buffer.write(memoryview("größe\n".encode()))
sys.stdout.buffer.flush()
"""
    execution = run(kernel, code)
    assert (execution.stdout, execution.stderr) == ("bytes\ngröße\n", "error\n")


def test_characters_cut_between_writes_of_bytes_are_put_together(kernel):
    execution = run(kernel, "import sys\nfor byte in 'é漢🎉'.encode(): sys.stdout.buffer.write(bytes([byte]))")
    assert execution.stdout == "é漢🎉"


def test_what_is_no_text_is_refused_as_by_python(kernel):
    execution = run(
        kernel,
        """
import sys
try:
    sys.stdout.write(b"bytes")
except TypeError as error:
    print(error)
""",
    )
    assert execution.stdout == "write() argument must be str, not bytes\n"


# From anywhere


def test_printing_from_a_finalizer_in_the_middle_of_printing_loses_nothing(kernel):
    execution = run(
        kernel,
        """
import gc

class Talker:
    def __init__(self, number):
        self.number = number
        self.itself = self

    def __del__(self):
        print(f"gone {self.number}\\n", end="")

older = gc.get_threshold()
gc.set_threshold(1, 1, 1)
try:
    for number in range(2000):
        Talker(number)
        print(f"line {number}\\n", end="")
finally:
    gc.set_threshold(*older)
gc.collect()
""",
    )
    lines = execution.stdout.splitlines()
    assert [line for line in lines if line.startswith("line")] == [f"line {number}" for number in range(2000)]
    assert sorted(line for line in lines if line.startswith("gone")) == sorted(f"gone {n}" for n in range(2000))
    assert len(lines) == 4000
    assert_goes_on(kernel)


def test_printing_from_a_signal_handler_in_the_middle_of_printing_loses_nothing(kernel):
    execution = run(
        kernel,
        """
import signal, time
ticks = 0

def tick(number, frame):
    global ticks
    ticks += 1
    print(f"tick {ticks}\\n", end="")

older = signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
lines = 0
while ticks < 300:
    lines += 1
    print(f"line {lines}\\n", end="")
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, older)
(lines, ticks)
""",
    )
    lines, ticks = execution.value
    printed = execution.stdout.splitlines()
    assert [line for line in printed if line.startswith("line")] == [f"line {n}" for n in range(1, lines + 1)]
    told = sorted(line for line in printed if line.startswith("tick"))
    assert told == sorted(f"tick {n}" for n in range(1, ticks + 1))
    assert len(printed) == lines + ticks
    assert_goes_on(kernel)


@pytest.mark.parametrize("statement", ["print(who, number)", "sys.stdout.write(f'{who} {number}\\n')"])
def test_lines_of_threads_that_print_at_the_same_time_stay_whole(kernel, statement):
    execution = run(
        kernel,
        f"""
import sys, threading
together = threading.Barrier(4)

def chatter(who):
    together.wait()
    for number in range(20_000):
        {statement}

threads = [threading.Thread(target=chatter, args=(who,)) for who in "abcd"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""",
    )
    lines = execution.stdout.splitlines()
    assert len(lines) == 80_000
    for who in "abcd":
        assert [line for line in lines if line.startswith(who)] == [f"{who} {number}" for number in range(20_000)]


def test_printing_while_threads_do_and_the_ring_is_full_loses_nothing(kernel):
    execution = run(
        kernel,
        """
import threading

def chatter(who):
    for number in range(200):
        print(f"{who} {number} " + "x" * 100_000 + "\\n", end="")

threads = [threading.Thread(target=chatter, args=(who,)) for who in "abc"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""",
    )
    lines = [line.removesuffix(" " + "x" * 100_000) for line in execution.stdout.splitlines()]
    for who in "abc":
        assert [line for line in lines if line.startswith(who)] == [f"{who} {number}" for number in range(200)]
    assert len(lines) == 600
