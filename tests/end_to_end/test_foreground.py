"""Kernels in the foreground, as services, containers and terminals have them, and kernels that end by themselves."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.cli.program import run
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.system.home import Home
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import COMMAND, ROOT
from tests.support.folders import Folders
from tests.support.waiting import wait_until

Start = Callable[..., subprocess.Popen[str]]
ADOPTING = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "  # PR_SET_CHILD_SUBREAPER, as a first process
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture
def manager(folders: Folders) -> Iterator[socket.socket]:
    """Where a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.bind(str(folders.state / "notify"))
        yield sock


@pytest.fixture
def start(folders: Folders, manager: socket.socket) -> Iterator[Start]:
    """Starts a kernel 'demo' in the foreground, and ends it with the test."""
    with ExitStack() as opened:

        def start(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
            process = opened.enter_context(
                subprocess.Popen(
                    [*before, *COMMAND, "start", "demo", "--foreground", "--engine", "plain", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": manager.getsockname()},
                )
            )
            opened.callback(process.kill)
            return process

        yield start


def read_end(name: str = "demo") -> str:
    """Why a kernel has stopped, by its journal."""
    return str([event for event in Archive(name).events() if event.kind == Kind.HUB_STOPPED][-1].reason)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_kernel_in_the_foreground_says_when_it_is_ready_and_stops_in_good_order(
    start: Start, manager: socket.socket, folders: Folders, number: signal.Signals
) -> None:
    process = start()
    assert manager.recv(100) == b"READY=1"
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        assert kernel.status()["hub_pid"] == process.pid
        assert kernel.execute("import os; os.environ.get('NOTIFY_SOCKET')").value is None
        kernel.execute(f"import atexit; _ = atexit.register(open, {str(folders.state / 'left')!r}, 'w')")
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "")
    assert manager.recv(100) == b"STOPPING=1"
    assert (folders.state / "left").exists()  # the worker was told, and not killed
    assert read_end() == f"the hub got {number.name}"
    assert "kernel demo is ready" in err
    assert f"kernel demo ends: the hub got {number.name}\n" in err


def test_a_terminal_that_is_closed_ends_no_kernel_that_nohup_has_started(start: Start, manager: socket.socket) -> None:
    process = start(before=("/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"))
    assert manager.recv(100) == b"READY=1"
    process.send_signal(signal.SIGHUP)
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        assert kernel.execute("6 * 7").value == 42
    assert run_command("stop", "demo").returncode == 0
    assert process.wait(PATIENCE_S) == 0


def test_a_kernel_in_the_foreground_whose_worker_cannot_start_ends_and_says_why(start: Start) -> None:
    process = start("--env", "PYTHONHOME=/nowhere")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, "")
    assert "a worker cannot be started" in err
    assert "kernel demo ends: its worker cannot be started" in err


def test_a_kernel_that_is_there_already_is_not_started_in_the_foreground(demo: None, start: Start) -> None:
    process = start()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, "kernel 'demo' is running already" in err) == (2, "", True)


@pytest.mark.skipif(sys.platform != "linux", reason="where processes without parents go can be said on Linux only")
def test_nothing_is_left_of_the_children_whose_parents_have_ended(start: Start, manager: socket.socket) -> None:
    start(before=(sys.executable, "-c", ADOPTING))
    assert manager.recv(100) == b"READY=1"
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("import subprocess")
        orphan = int(kernel.execute("subprocess.check_output('sleep 0.1 >&2 & echo $!', shell=True).decode()").value)
        wait_until(lambda: not Path(f"/proc/{orphan}").exists(), PATIENCE_S, "the orphan's end")
        kernel.restart(timeout=PATIENCE_S)  # whose end is the worker's own
        assert [event.exit_code for event in kernel.events(follow=False) if event.kind == Kind.WORKER_DIED] == [0]
        kernel.shutdown(timeout=PATIENCE_S)


# Kernels that end by themselves


def test_a_kernel_that_nobody_uses_ends_also_with_another_hub_than_it_was_started_with(folders: Folders) -> None:
    with rpyc_kernel.start("demo", engine="plain", idle_timeout=0.5, nice=5, timeout=PATIENCE_S) as kernel:
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert kernel.eval("__import__('os').getpriority(0, 0)") == min(19, ours + 5)
        assert os.getpriority(os.PRIO_PROCESS, kernel.status()["hub_pid"]) == ours
        kernel.execute("import threading; gate = threading.Event()")
        run = kernel.submit("gate.wait()")
        hub = kernel.status()["hub_pid"]
        os.kill(hub, signal.SIGKILL)
        assert kernel.wait_until_closed(PATIENCE_S)
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        status = kernel.status()
        assert (status["idle_timeout_s"], status["idle_s"]) == (0.5, None)
        gate = kernel.eval("gate")
        looking = rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S)
        gate.set()
        assert kernel.execution(run.id).result(PATIENCE_S) is True
    with looking:
        assert looking.wait_until_closed(PATIENCE_S)
    wait_until(lambda: not Home(folders.state / "demo").has_hub, PATIENCE_S, "the hub's end")
    assert read_end() == "nobody was connected and nothing ran for 0.5 s"


HOLDING = """
from rpyc_kernel.client import launch

common = dict(engine="plain", python=None, cwd=None, env=None, listen=None, switch_interval=0.001, profile=False)
launch.launch("demo", face="terminal", is_private=False, is_held=True, **common)
print("started", flush=True)
input()
"""


def test_a_kernel_that_is_held_ends_when_its_holder_is_killed_whoever_is_there_and_whatever_runs(
    folders: Folders,
) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"started\n"
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
            run = kernel.submit("import threading; print('begun'); threading.Event().wait()")
            next(event for event in run.events() if event.kind == "stream")
            holder.kill()
            assert kernel.wait_until_closed(PATIENCE_S)
    wait_until(lambda: not Home(folders.state / "demo").has_hub, PATIENCE_S, "the hub's end")
    assert read_end() == "the process that held it is gone"


@pytest.mark.parametrize("switches", [["--nice=30"], ["--nice=-1"], ["--idle-timeout=-1"], ["--idle-timeout=nan"]])
def test_what_cannot_be_is_refused_before_anything_is_started(
    folders: Folders, switches: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rpyc-kernel", "start", "demo", *switches]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert switches[0].strip("-").partition("=")[0] in err
    assert rpyc_kernel.kernels() == []


def test_a_kernel_in_the_foreground_has_no_answer_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rpyc-kernel", "start", "demo", "--foreground", "--json"]) == 2
    assert "leave out --json" in capsys.readouterr().err
