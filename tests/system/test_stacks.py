"""Stacks of another process: one dump for each who asks, within the time of each, from a file that does not grow."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from rpyc_kernel.errors import KernelDied, WorkerBusy
from rpyc_kernel.system import stacks
from rpyc_kernel.system.processes import kill, spawn_module
from rpyc_kernel.system.stacks import STACK_SIGNAL, Stacks
from tests.support.processes import suspend
from tests.support.waiting import wait_until

NOBODY = 2**22 + 1
"""More than Linux ever gives out."""
PATIENCE_S = 50.0
ON_LINUX = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="what a signal does is read from /proc")

STAND = """
import faulthandler, os, signal, sys, threading

def wait_in_a_thread():
    threading.Event().wait()

def stand_here():
    os.write(1, b"ready")
    sum(range(10**12))  # holds the interpreter lock all the time

faulthandler.register(int(sys.argv[2]), open(sys.argv[1], "ab", buffering=0), all_threads=True, chain=False)
threading.Thread(target=wait_in_a_thread, daemon=True).start()
stand_here()
"""


@pytest.fixture
def standing(tmp_path, monkeypatch):
    """A child deep in a C call, and who asks for its stacks; no thread of the child answers."""
    monkeypatch.setattr(stacks, "_SILENCE_S", 0.0)
    (tmp_path / "stand.py").write_text(STAND)
    file = tmp_path / "stacks"
    file.write_text("from an earlier time\n")
    read_end, write_end = os.pipe()
    child = spawn_module("stand", [str(file), str(STACK_SIGNAL)], cwd=str(tmp_path), stdout=write_end)
    os.close(write_end)
    assert os.read(read_end, 5) == b"ready"
    os.close(read_end)
    asked = Stacks(child.pid, os.open(file, os.O_RDWR), Future)
    yield child.pid, asked, file
    kill(child.pid)
    child.wait()
    asked.close()


def test_stacks_come_while_a_c_call_holds_the_interpreter_lock(standing):
    _, asked, _ = standing
    for _ in range(2):
        stack = asked.ask(PATIENCE_S).result(PATIENCE_S)
        assert "in stand_here" in stack
        assert "in wait_in_a_thread" in stack
        assert "earlier" not in stack
        assert stack.count("in stand_here") == 1


def test_stacks_come_from_a_file_of_which_nothing_can_be_taken_out(standing, monkeypatch):
    def fail(*_):
        raise OSError("stale file handle")

    _, asked, file = standing
    monkeypatch.setattr(os, "ftruncate", fail)
    dumps = [asked.ask(PATIENCE_S).result(PATIENCE_S) for _ in range(3)]
    assert [(dump.count("in stand_here"), "earlier" in dump) for dump in dumps] == [(1, False)] * 3
    monkeypatch.undo()
    assert asked.ask(PATIENCE_S).result(PATIENCE_S).count("in stand_here") == 1
    assert file.stat().st_size == 0


def test_many_who_ask_at_once_get_one_dump_each_and_the_file_is_empty_again(standing):
    _, asked, file = standing
    answers = [asked.ask(PATIENCE_S) for _ in range(60)]
    dumps = [answer.result(PATIENCE_S) for answer in answers]
    assert [dump.count("in stand_here") for dump in dumps] == [1] * 60
    assert {dump.count("most recent call first") for dump in dumps} == {2}
    assert file.stat().st_size == 0


def test_each_waits_its_own_time_for_a_process_that_the_system_stopped(standing):
    pid, asked, _ = standing
    suspend(pid)
    patient = [asked.ask(PATIENCE_S) for _ in range(4)]
    with pytest.raises(WorkerBusy, match=r"no stack came within 0\.05 s: the system has stopped the worker"):
        asked.ask(0.05).result(PATIENCE_S)
    assert not any(answer.done() for answer in patient)
    os.kill(pid, signal.SIGCONT)
    assert [answer.result(PATIENCE_S).count("in stand_here") for answer in patient] == [1] * 4


def test_where_there_is_no_thread_left_who_asks_later_is_answered(standing, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    _, asked, _ = standing
    with monkeypatch.context() as context:
        context.setattr(stacks.threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            asked.ask(PATIENCE_S)
    assert "in stand_here" in asked.ask(PATIENCE_S).result(PATIENCE_S)


def test_a_process_that_goes_on_owes_no_dump_to_those_who_gave_up(standing):
    pid, asked, _ = standing
    suspend(pid)
    for _ in range(3):
        with pytest.raises(WorkerBusy):
            asked.ask(0.02).result(PATIENCE_S)
    os.kill(pid, signal.SIGCONT)
    for _ in range(3):
        assert asked.ask(PATIENCE_S).result(PATIENCE_S).count("in stand_here") == 1


def test_the_file_may_lose_its_name(standing):
    _, asked, file = standing
    file.unlink()
    assert "in stand_here" in asked.ask(PATIENCE_S).result(PATIENCE_S)


DUMP = b"in answer\n  _run_module_as_main\n"


class Process:
    """One that writes as it is asked to: ``asked`` counts questions to its thread, ``signals`` the signals it got."""

    def __init__(self, folder, monkeypatch):
        self.file = os.open(folder / "stacks", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.asked, self.signals, self.looks = [], [], threading.Semaphore(0)
        self.answers_by_thread, self.is_stopped = False, False
        monkeypatch.setattr(os, "kill", lambda _, number: self.signals.append(number) or os.write(self.file, DUMP))
        monkeypatch.setattr(stacks, "would_end", lambda *_: False)
        monkeypatch.setattr(stacks, "is_stopped", lambda _: self.looks.release() or self.is_stopped)
        self.stacks = Stacks(NOBODY, self.file, self.ask_thread)

    def ask_thread(self):
        self.asked.append(Future())
        if self.answers_by_thread:
            self.answer()
        return self.asked[-1]

    def answer(self):
        os.write(self.file, DUMP)
        self.asked[-1].set_result(None)

    def read(self):
        return self.stacks.ask(2 * PATIENCE_S).result(PATIENCE_S)


@pytest.fixture
def process(tmp_path, monkeypatch):
    process = Process(tmp_path, monkeypatch)
    yield process
    process.stacks.close()


def test_a_process_whose_thread_answers_gets_no_signal(process, monkeypatch):
    """What a signal's handler reads of a thread that runs may be half done."""
    monkeypatch.setattr(stacks, "_SILENCE_S", 2 * PATIENCE_S)
    process.answers_by_thread = True
    assert [process.read() for _ in range(3)] == [DUMP.decode()] * 3
    assert (len(process.asked), process.signals) == (3, [])


def test_a_program_whose_outermost_frame_is_its_own_has_told_all_when_its_thread_says_so(process, monkeypatch):
    monkeypatch.setattr(stacks, "_SILENCE_S", 2 * PATIENCE_S)
    answer = process.stacks.ask(2 * PATIENCE_S)
    wait_until(lambda: process.asked, PATIENCE_S)
    os.write(process.file, b'File "train.py", line 1 in <module>\n')
    assert not answer.done()
    process.asked[0].set_result(None)
    assert answer.result(PATIENCE_S) == 'File "train.py", line 1 in <module>\n'
    assert process.signals == []


def test_where_the_thread_is_held_up_it_is_asked_once_and_the_process_gets_signals(process, monkeypatch):
    monkeypatch.setattr(stacks, "_SILENCE_S", 0.0)
    assert [process.read() for _ in range(3)] == [DUMP.decode()] * 3
    assert (len(process.asked), process.signals) == (1, [STACK_SIGNAL] * 3)
    monkeypatch.setattr(stacks, "_SILENCE_S", 2 * PATIENCE_S)
    process.answer()  # it has come to it at last
    process.answers_by_thread = True
    assert process.read() == DUMP.decode()
    assert (len(process.asked), process.signals) == (2, [STACK_SIGNAL] * 3)


def test_a_thread_whose_dump_was_read_before_it_answered_is_asked_again(process, monkeypatch):
    monkeypatch.setattr(stacks, "_SILENCE_S", 2 * PATIENCE_S)
    first = process.stacks.ask(2 * PATIENCE_S)
    wait_until(lambda: process.asked, PATIENCE_S)
    os.write(process.file, DUMP)
    assert first.result(PATIENCE_S) == DUMP.decode()
    again = process.stacks.ask(2 * PATIENCE_S)
    process.asked[0].set_result(None)
    wait_until(lambda: len(process.asked) == 2, PATIENCE_S)
    process.answer()
    assert again.result(PATIENCE_S) == DUMP.decode()
    assert process.signals == []


def test_a_process_that_is_stopped_gets_no_signal_that_would_meet_it_when_it_goes_on(process, monkeypatch):
    monkeypatch.setattr(stacks, "_SILENCE_S", 0.0001)
    process.is_stopped = True
    answer = process.stacks.ask(PATIENCE_S)
    for _ in range(5):
        assert process.looks.acquire(timeout=PATIENCE_S)
    assert process.signals == []
    process.is_stopped = False
    assert answer.result(PATIENCE_S) == DUMP.decode()


def test_a_dump_is_not_shared_by_those_who_came_after_it_began(tmp_path, monkeypatch):
    """They would see where the process was before they asked."""
    monkeypatch.setattr(stacks, "_SILENCE_S", 0.0)
    file = os.open(tmp_path / "stacks", os.O_RDWR | os.O_CREAT)
    asked = Stacks(NOBODY, file, Future)
    late = []
    texts = iter(["", "", "half of it", "half of it\n_run_module_as_main\n", "half of it\n_run_module_as_main\n", ""])

    def read():
        text = next(texts, "then\n_run_module_as_main\n").encode()
        if text == b"half of it":
            late.append(asked.ask(PATIENCE_S))
        return text

    monkeypatch.setattr(asked, "_read", read)
    early = asked.ask(PATIENCE_S)
    assert early.result(PATIENCE_S).startswith("half of it")
    assert late[0].result(PATIENCE_S).startswith("then")
    asked.close()


@ON_LINUX
def test_a_process_that_the_signal_would_end_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks, "_SILENCE_S", 0.0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        asked = Stacks(child.pid, os.open(tmp_path / "stacks", os.O_RDWR | os.O_CREAT), Future)
        with pytest.raises(WorkerBusy, match="has taken the signal away"):
            asked.ask(PATIENCE_S).result(PATIENCE_S)
        asked.close()
        child.communicate(b"\n")
    assert child.returncode == 0


def test_nobody_waits_for_a_process_that_is_gone(tmp_path):
    asked = Stacks(NOBODY, os.open(tmp_path / "stacks", os.O_RDWR | os.O_CREAT), Future)
    answer = asked.ask(PATIENCE_S)
    asked.close()
    with pytest.raises(KernelDied):
        answer.result(PATIENCE_S)
    with pytest.raises(KernelDied):
        asked.ask(PATIENCE_S).result(PATIENCE_S)


def test_the_stack_of_a_fault_is_told_from_those_that_were_asked_for(tmp_path):
    file = tmp_path / "stacks"
    file.write_text("asked for\n  _run_module_as_main\nFatal Python error: Segmentation fault\n\nin crash\n")
    asked = Stacks(NOBODY, os.open(file, os.O_RDWR), Future)
    assert asked.read_fault().startswith("Fatal Python error: Segmentation fault")
    asked.close()
