"""Processes: whether they live, how they ended, what they held."""

import os
import resource
import signal
import subprocess
import sys
import threading

import pytest

from rpyc_kernel.system.processes import (
    AdoptedProcess,
    Child,
    children_of,
    collect_orphans,
    describe_exit,
    foreground_of,
    has_children,
    is_alive,
    is_stopped,
    kill,
    memory_bytes,
    spawn_module,
    would_end,
)
from tests.support.waiting import wait_until

NOBODY = 2**22 + 1
"""More than Linux ever gives out."""

WAIT_FOR_STDIN = "import sys; sys.stdin.read()"


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", WAIT_FOR_STDIN], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


# How a process ended


def test_who_collects_orphans_leaves_the_end_of_a_child_to_who_waits_for_it():
    child = Child(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    collect_orphans()
    assert child.wait().exit_code == 3


def test_the_end_of_a_child_that_nobody_waits_for_is_collected():
    orphan = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
    collect_orphans()
    with pytest.raises(ChildProcessError):
        os.waitpid(orphan, 0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_code_is_put_in_words(code, words):
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "exited with status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ],
)
def test_a_child_tells_how_it_ended_and_what_it_held(code, reason):
    ending = Child(subprocess.Popen([sys.executable, "-c", code])).wait()
    assert ending.reason == reason
    # A child that has not become another program yet shares its parent's memory, and so its peak.
    own_peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert 1_000_000 < ending.peak_memory_bytes < own_peak_bytes + 1_000_000_000


def test_of_a_stranger_only_the_end_is_known(child):
    endings = []
    thread = threading.Thread(target=lambda: endings.append(AdoptedProcess(child.pid).wait()))
    thread.start()
    assert not endings
    child.kill()
    thread.join(60)
    assert "how is unknown" in endings[0].reason
    assert endings[0].peak_memory_bytes is None


def test_a_stranger_that_is_gone_has_ended():
    assert "how is unknown" in AdoptedProcess(NOBODY).wait().reason


# Whether a process lives


def test_a_running_process_is_alive(child):
    assert is_alive(child.pid)
    assert is_alive(os.getpid())


def test_a_zombie_is_not_alive(child):
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.kill(child.pid, 0)  # it has a number still
    assert not is_alive(child.pid)


@pytest.mark.parametrize("pid", [None, 0, NOBODY])
def test_what_is_no_process_is_not_alive(pid):
    assert not is_alive(pid)


def test_a_process_of_another_user_is_alive(monkeypatch):
    def refuse(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(1)


def test_killing_what_is_gone_is_no_error(child):
    kill(child.pid)
    assert child.wait() == -signal.SIGKILL
    kill(NOBODY)


# What it holds


def test_the_memory_of_a_process_is_told_in_bytes(child):
    wait_until(lambda: (memory_bytes(child.pid) or 0) > 1_000_000, what="an interpreter to be in memory")
    assert memory_bytes(child.pid) < 1_000_000_000


def test_what_has_ended_holds_no_memory(child):
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert memory_bytes(child.pid) is None
    assert memory_bytes(NOBODY) is None


# Starting


REPORT = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.getpid() == os.getsid(0), os.environ.get("SPECIAL"), sys.stdin.read()]))
"""


def test_a_module_runs_in_a_session_of_its_own(tmp_path):
    (tmp_path / "report.py").write_text(REPORT)
    read_end, write_end = os.pipe()
    child = spawn_module("report", ["a", "b"], cwd=str(tmp_path), environment={"SPECIAL": "1"}, stdout=write_end)
    os.close(write_end)
    with os.fdopen(read_end) as opened:
        told = opened.read()
    assert child.wait().reason == "exited with status 0"
    assert told.strip() == f'[["a", "b"], "{os.path.realpath(tmp_path)}", true, "1", ""]'


def test_an_interpreter_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        spawn_module("this", [], cwd=str(tmp_path), python=str(tmp_path / "python"))


# Nobody's child


def test_a_detached_process_is_nobodys_child():
    code = (
        "import os; from rpyc_kernel.system import processes\n"
        "first = os.getpid(); processes.detach(); print(os.getpid() != first, flush=True)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True).stdout
    assert told == b"True\n"


# Its signals


BLOCK = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.signal(signal.SIGUSR2, lambda number, frame: None)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="what a signal does is read from /proc")
def test_it_is_known_whether_a_process_is_stopped_and_whether_a_signal_would_end_it():
    with subprocess.Popen([sys.executable, "-c", BLOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        assert not is_stopped(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert is_stopped(child.pid)
        ending = [name for name in ("SIGALRM", "SIGUSR2", "SIGVTALRM") if would_end(child.pid, getattr(signal, name))]
        assert ending == ["SIGVTALRM"]
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not would_end(child.pid, signal.SIGVTALRM)  # which nothing does any more


# Its children


def test_the_foreground_is_what_descends_from_a_leader_and_is_in_its_group():
    # A leader with a child, a grandchild, one in a group of its own and one that is spared.
    code = """
import os, subprocess, sys
WAIT = "print('begun', flush=True); input()"
def start(*before, **options):
    command = [sys.executable, "-c", WAIT]
    child = subprocess.Popen([*before, *command], stdin=0, stdout=subprocess.PIPE, **options)
    child.stdout.readline()
    return child.pid
plain, apart, spared = start(), start(start_new_session=True), start()
nested = subprocess.Popen(
    [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}])"],
    stdin=0, stdout=subprocess.PIPE,
)
nested.stdout.readline()
print(plain, apart, spared, nested.pid, flush=True)
input()
"""
    leader = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with leader:
        plain, apart, spared, nested = map(int, leader.stdout.readline().split())
        try:
            assert sorted(children_of(leader.pid)) == sorted([plain, apart, spared, nested])
            found = foreground_of(leader.pid, {spared})
            assert {plain, nested} < set(found)
            assert len(found) == 3  # and the child of the nested one
            assert not {apart, spared} & set(found)
        finally:
            os.kill(apart, signal.SIGKILL)
            os.killpg(leader.pid, signal.SIGKILL)


def test_a_process_that_is_gone_has_no_children():
    assert children_of(NOBODY) == foreground_of(NOBODY) == []
    assert children_of(NOBODY, NOBODY) == children_of(os.getpid(), NOBODY) == []
    assert not has_children()
