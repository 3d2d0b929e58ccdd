"""Detached jobs from a shell: submit, wait, output, result, and time limits of exec."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.terminals import ROOT
from tests.support.folders import Folders

pytestmark = pytest.mark.shares_kernel

GATE = "import threading; gate = threading.Event()"
STUBBORN = """\
import time
end = time.monotonic() + 300
while time.monotonic() < end:
    try:
        time.sleep(300)
    except BaseException:
        print('ignored', flush=True)
"""


def submit(*arguments: str, input_text: str = "") -> str:
    """The number that submit writes."""
    done = run_command("submit", "demo", *arguments, input_text=input_text)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.removesuffix("\n")


def test_a_job_is_left_behind_waited_for_and_read(kernel: KernelClient, start_command: StartCommand) -> None:
    kernel.execute(GATE)
    number = submit("import sys", "print('begun', flush=True); gate.wait()", "print('late', file=sys.stderr); 6 * 7")
    late = run_command("wait", "demo", number, "--timeout", "0")
    assert (late.returncode, late.stdout) == (124, f"execution {number} goes on\n")
    assert run_command("result", "demo", number, "--timeout", "0.1").returncode == 124
    following = start_command("output", "demo", number, "--follow")
    assert following.read_line() == "begun"
    waiting, asking = start_command("wait", "demo", number, number), start_command("result", "demo", number)
    kernel.eval("gate.set()")
    status, out, err = waiting.wait()
    assert (status, out.count(f"execution {number}: ok, after "), err) == (0, 2, "")
    assert asking.wait() == (0, "42\n", "")
    assert following.wait() == (0, "", "late\n")


def test_ctrl_c_leaves_what_is_waited_for_running(kernel: KernelClient, start_command: StartCommand) -> None:
    kernel.execute(GATE)
    first, second = kernel.execute("1"), kernel.submit("gate.wait()")
    waiting = start_command("wait", "demo", str(first.id), str(second.id))
    assert waiting.read_line().startswith(f"execution {first.id}: ok")
    waiting.signal(signal.SIGINT)
    assert waiting.wait()[0] == 130
    assert second.status == "running"
    kernel.eval("gate.set()")


def test_a_program_is_run_with_its_arguments_and_its_exit_status_told(kernel: KernelClient, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(int(sys.argv[2]))\n")
    number = submit("--file", os.path.relpath(tmp_path / "job.py"), "--", "--status", "7")
    assert run_command("wait", "demo", number).returncode == 7
    assert run_command("output", "demo", number).stdout == "['--status', '7']\n"


def test_steps_of_one_session_are_dropped_behind_the_one_that_fails(kernel: KernelClient) -> None:
    kernel.execute(GATE)
    answer = json.loads(
        run_command("submit", "demo", "--json", "--as", "nightly", "-", input_text="gate.wait()\n1 / 0\n").stdout
    )
    number = answer["execution"]
    assert answer == {"kernel": "demo", "session": answer["session"], "execution": number}
    behind = submit("print('never')", "--session", answer["session"])
    beside = submit("'beside'", "--side")
    assert kernel.execution(int(beside)).result(PATIENCE_S) == "beside"
    kernel.eval("gate.set()")
    dropped = run_command("result", "demo", behind)
    assert (dropped.returncode, dropped.stdout) == (1, "")
    assert f"execution {behind} is aborted: execution {number} of the same session failed" in dropped.stderr
    failed = run_command("result", "demo", str(number))
    assert (failed.returncode, failed.stderr.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")
    assert next(kernel.events(execution=number)).name == "nightly"


def test_exec_takes_part_as_the_session_that_is_named(kernel: KernelClient) -> None:
    done = run_command("exec", "demo", "--session", kernel.session, "--as", "ann", "print('here')")
    assert (done.returncode, done.stdout) == (0, "here\n")
    queued = [event for event in kernel.events(follow=False) if event.kind == Kind.QUEUED][-1]
    assert (queued.session, queued.name) == (kernel.session, "ann")


# What exec does when its time is over


def test_code_that_takes_too_long_is_interrupted(kernel: KernelClient) -> None:
    done = run_command("exec", "demo", "--timeout", "0.5", "import threading", "threading.Event().wait()")
    assert (done.returncode, done.stdout) == (124, "")
    first, *_, last = done.stderr.splitlines()
    assert first.endswith("has taken 0.5 s; it is interrupted")
    assert last.startswith("KeyboardInterrupt")
    assert kernel.status()["state"] == "idle"


def test_code_whose_turn_never_came_is_taken_out_of_the_queue(kernel: KernelClient) -> None:
    kernel.execute(GATE)
    before = kernel.submit("gate.wait()")
    done = run_command("exec", "demo", "--timeout", "0.2", "print('never')")
    assert done.returncode == 124
    assert f"execution {before.id + 1} is cancelled" in done.stderr
    assert kernel.status()["running"]["execution"] == before.id
    kernel.eval("gate.set()")


def test_code_that_ignores_it_goes_on_where_no_more_was_asked_for(kernel: KernelClient) -> None:
    done = run_command("exec", "demo", "--timeout", "0.5", "--force", "signal", STUBBORN)
    assert (done.returncode, done.stdout) == (124, "ignored\n")
    number = kernel.status()["running"]["execution"]
    assert [line for line in done.stderr.splitlines() if line.startswith("execution")] == [
        f"execution {number} has taken 0.5 s; it is interrupted",
        f"execution {number} goes on in kernel 'demo'; "
        f"stop it with 'rpyc-kernel interrupt demo {number} --force terminate'",
    ]
    kernel.interrupt(number, force="terminate", wait=PATIENCE_S)


def test_code_that_is_detached_goes_on_when_its_time_is_over(kernel: KernelClient) -> None:
    kernel.execute(GATE)
    done = run_command("exec", "demo", "--timeout", "0.2", "--detach", "print('begun', flush=True); gate.wait()")
    assert done.returncode == 124
    first, number = done.stdout.splitlines()
    assert (first, kernel.status()["running"]["execution"]) == ("begun", int(number))
    assert f"execution {number} goes on in kernel 'demo'" in done.stderr
    kernel.eval("gate.set()")
    assert kernel.execution(int(number)).result(PATIENCE_S) is True


def test_code_that_is_done_in_time_is_none_the_wiser(kernel: KernelClient) -> None:
    done = run_command("exec", "demo", "--timeout", "60", "--detach", "import sys", "sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


# Where there is next to nothing: no terminal, no home, no standard input


@pytest.mark.own_kernel
def test_cron_has_no_home_no_terminal_and_no_runtime_folder_of_its_own(folders: Folders, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "PYTHONPATH": str(ROOT), **folders.environment}
    script = (
        'set -e; exec <&-; k() { "$PYTHON" -m rpyc_kernel "$@"; }; k start demo >&2\n'
        'number=$(k submit demo "print(1); 6 * 7"); k result demo "$number"; k output demo "$number"\n'
        'k exec demo "input()" 2>&1 | tail -n 1; k stop demo >&2\n'
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={**environment, "PYTHON": sys.executable},
        cwd="/",
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (0, "42\n1\nEOFError: EOF when reading a line\n"), done.stderr
