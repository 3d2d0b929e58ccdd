import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.folders import RUNTIME_VARIABLE, STATE_VARIABLE, Folders, end_processes
from tests.support.leaks import find_belongings, find_new
from tests.support.processes import HAS_PROC, list_children, list_descendants, read_command, was_started_with
from tests.support.sshd import Host, Hosts
from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent
WAIT_FOR_STDIN = "import sys; sys.stdin.read()"


# Waiting


def test_waiting_returns_the_first_true_answer():
    answers = iter([None, 0, "here", "too late"])
    assert wait_until(lambda: next(answers)) == "here"


def test_waiting_in_vain_says_for_what():
    with pytest.raises(AssertionError, match=r"waited 0.01 s in vain for the moon"):
        wait_until(lambda: False, timeout_s=0.01, what="the moon")


def test_waiting_asks_at_least_once():
    assert wait_until(lambda: True, timeout_s=0)


# Leaks. Each offender runs in a pytest of its own, so that what it leaks ends with that.


PRELUDE = """
import gc, os, socket, subprocess, sys, threading
from tests.support import leaks

kept = []
"""


def run_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str, grace_s: float = 0.2):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none is needed, and loading them takes the most time
    pytester.makeconftest("pytest_plugins = ['tests.support.leaks', 'tests.support.folders']")
    pytester.makepyfile(f"{PRELUDE}\nleaks.GRACE_S = {grace_s}\n\n{body}")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")


LEAKS = {
    "thread": (
        "threading.Thread(target=threading.Event().wait, name='forgotten', daemon=True).start()",
        "*thread 'forgotten' (daemon)",
    ),
    "file": ("kept.append(open(__file__))", "*descriptor *: */test_*.py"),
    "pipe": ("os.pipe()", "*descriptor *pipe*"),
    "socket": ("kept.append(socket.socketpair())", "*descriptor *socket*"),
    "file in the place of another": (
        "number = os.open(__file__, os.O_RDONLY); os.dup2(number, numbers[0]); os.close(number)",
        "*descriptor *: */test_*.py",
    ),
    "child": (
        "kept.append(subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE))",
        "*child process *: *input()",
    ),
    "child that nobody waited for": (
        "kept.append(subprocess.Popen([sys.executable, '-c', '']))\n"
        "    os.waitid(os.P_PID, kept[0].pid, os.WEXITED | os.WNOWAIT)",
        "*child process *: ended, but nobody waited for it",
    ),
}


@pytest.mark.parametrize(("statement", "message"), LEAKS.values(), ids=LEAKS)
def test_a_test_that_leaks_fails(pytester, monkeypatch, statement, message):
    result = run_test(pytester, monkeypatch, f"numbers = os.pipe()\n\ndef test_leaky():\n    {statement}\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["left behind:", message])


def test_what_ends_within_the_grace_is_no_leak(pytester, monkeypatch):
    # The thread waits until it has been seen, so it is certainly there after the test.
    body = """
seen = threading.Event()
find_new = leaks.find_new

def find_and_tell(before):
    if new := find_new(before):
        seen.set()
    return new

leaks.find_new = find_and_tell

def test_slow_to_end():
    threading.Thread(target=seen.wait).start()

def test_it_was_seen():
    assert seen.is_set()
"""
    run_test(pytester, monkeypatch, body, grace_s=30).assert_outcomes(passed=2)


def test_a_file_in_a_reference_cycle_is_found_in_the_test_that_made_it(pytester, monkeypatch):
    body = """
gc.disable()

def test_cycle():
    class Cycle:
        pass

    cycle = Cycle()
    cycle.itself = cycle
    cycle.file = open(__file__)
"""
    result = run_test(pytester, monkeypatch, body)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ResourceWarning: unclosed file*"])


def test_a_tidy_test_passes(pytester, monkeypatch):
    body = """
def test_tidy(tmp_path, folders):
    with open(tmp_path / "file", "w"), socket.socket():
        pass
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", ""], check=True)
"""
    run_test(pytester, monkeypatch, body).assert_outcomes(passed=1)


def test_new_belongings_are_described():
    before = find_belongings()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="visible")
    thread.start()
    with socket.socket():
        found = find_new(before)
    release.set()
    thread.join()
    assert len(found) == 2
    assert found[0] == "thread 'visible'"


# Processes


@pytest.fixture
def start():
    """Starts children that end when their standard input does."""
    started = []

    def start_child(*arguments: str, **options) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", WAIT_FOR_STDIN, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
        started.append(process)
        wait_until(lambda: read_command(process.pid))  # for an instant it has no command line
        return process

    yield start_child
    for process in started:
        process.stdin.close()
        process.wait()


def test_children_are_listed(start):
    child = start("an argument")
    assert [process.pid for process in list_children()] == [child.pid]
    assert read_command(child.pid).endswith("an argument")
    assert read_command(os.getpid())


def test_descendants_include_grandchildren():
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {WAIT_FOR_STDIN!r}], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "child.communicate()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        grandchild = int(child.stdout.readline())
        assert {process.pid for process in list_descendants()} == {child.pid, grandchild}
        assert [process.pid for process in list_children()] == [child.pid]


def test_a_gone_process_has_no_command():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert read_command(child.pid) == ""
    assert not was_started_with(child.pid, "PATH", "")


@pytest.mark.parametrize("has_proc", [True, False])
def test_both_ways_to_ask_agree(start, monkeypatch, has_proc):
    if has_proc and not HAS_PROC:
        pytest.skip("no /proc here")
    child = start("agreed")
    monkeypatch.setattr("tests.support.processes.HAS_PROC", has_proc)
    assert [(process.pid, process.is_zombie) for process in list_children()] == [(child.pid, False)]
    assert "agreed" in read_command(child.pid)


# Folders


def record(runtime: Path, **pids: int | None) -> None:
    (runtime / "demo").mkdir()
    (runtime / "demo" / "kernel.json").write_text(json.dumps(pids))


def test_folders_are_private_short_and_in_the_environment(folders: Folders):
    assert os.environ[RUNTIME_VARIABLE] == str(folders.runtime)
    assert os.environ[STATE_VARIABLE] == str(folders.state)
    assert folders.runtime.stat().st_mode & 0o777 == 0o700
    assert len(str(folders.runtime)) < 30


def test_folders_and_their_kernels_do_not_outlive_the_test(pytester, monkeypatch):
    body = """
def test_kernel_left(folders):
    command = [sys.executable, "-c", "import signal; signal.pause()", "rpyc_kernel.hub"]
    kept.append(subprocess.Popen(command))
    with open("left", "w") as file:
        print(folders.runtime.parent, kept[0].pid, file=file)
"""
    run_test(pytester, monkeypatch, body).assert_outcomes(passed=1)
    folder, pid = (pytester.path / "left").read_text().split()
    assert not Path(folder).exists()
    assert read_command(int(pid)) == ""


@pytest.mark.parametrize("module", ["rpyc_kernel.hub", "rpyc_kernel.worker"])
def test_a_recorded_process_is_ended(folders, start, module):
    child = start(module)
    record(folders.runtime, hub_pid=None, worker_pid=child.pid)
    end_processes(folders.runtime)
    assert list_children() == []


def test_a_recorded_number_that_belongs_to_a_stranger_is_left_alone(folders, start, monkeypatch):
    monkeypatch.delenv(RUNTIME_VARIABLE)
    stranger = start("something else")
    record(folders.runtime, hub_pid=stranger.pid)
    end_processes(folders.runtime)
    assert [process.pid for process in list_children()] == [stranger.pid]


def test_a_descendant_kernel_is_ended_unless_spared(folders, start, monkeypatch):
    monkeypatch.delenv(RUNTIME_VARIABLE)
    shared = start("rpyc_kernel.hub")
    start("rpyc_kernel.hub")
    end_processes(folders.runtime, spared=[shared.pid])
    assert [process.pid for process in list_children()] == [shared.pid]


@pytest.mark.skipif(not HAS_PROC, reason="the environment of a process is read from /proc")
def test_an_orphan_is_found_by_its_environment(folders):
    code = (
        "import subprocess, sys\n"
        "orphan = subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=subprocess.DEVNULL)\n"
        "print(orphan.pid, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    orphan = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)
    wait_until(lambda: read_command(orphan) == "sleep 300")  # for an instant it has no command line
    end_processes(folders.runtime)
    assert read_command(orphan) == ""


def test_an_unreadable_record_is_passed_over(folders):
    record(folders.runtime)
    (folders.runtime / "demo" / "kernel.json").write_text('{"hub_pid": 12')
    end_processes(folders.runtime)


# Other machines


def log_in(hosts: Hosts, name: str, command: str) -> subprocess.CompletedProcess[str]:
    ssh = [*shlex.split(hosts.command), "-o", "BatchMode=yes", name, command]
    return subprocess.run(ssh, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_a_host_has_a_home_and_nothing_but_a_python_of_its_own(ssh_hosts: Hosts):
    look = "import os, sys; print(os.environ['HOME'], sys.prefix != sys.base_prefix)\nimport rpyc"
    answer = log_in(ssh_hosts, "alpha", f'$SHELL -lc "python3 -c \\"{look}\\""')
    assert answer.stdout == f"{ssh_hosts.alpha.home} True\n"
    assert "No module named 'rpyc'" in answer.stderr
    ssh_hosts.alpha.use_python(None)
    assert log_in(ssh_hosts, "alpha", "python3").returncode == 127


def test_one_host_leads_to_the_other(ssh_hosts: Hosts):
    before = [host.logins for host in ssh_hosts]
    assert log_in(ssh_hosts, "gamma", "echo $HOME").stdout == f"{ssh_hosts.beta.home}\n"
    assert [host.logins for host in ssh_hosts] == [count + 1 for count in before]


@pytest.mark.parametrize("way_out", [Host.drop, Host.stop])
def test_connections_to_a_host_can_be_cut(ssh_hosts: Hosts, way_out):
    ssh = [*shlex.split(ssh_hosts.command), "alpha", "echo in; read x"]
    with subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as session:
        assert session.stdout.read(3) == b"in\n"
        way_out(ssh_hosts.alpha)
        assert session.wait(30) == 255
    assert log_in(ssh_hosts, "alpha", "true").returncode == (0 if way_out is Host.drop else 255)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "Could not resolve hostname"),
        ("refusing", "Connection refused"),
        ("locked", "Permission denied"),
        ("stranger", "No ED25519 host key is known"),
        ("changed", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
    ],
)
def test_other_hosts_cannot_be_reached(ssh_hosts: Hosts, name: str, said: str):
    answer = log_in(ssh_hosts, name, "true")
    assert answer.returncode == 255
    assert said in answer.stderr
