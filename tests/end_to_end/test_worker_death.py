import sys
from contextlib import suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionLost, Event, KernelClient, KernelDied, KernelError, RequestError
from rpyc_kernel.core.contract import Kind, Lane, Outcome, State
from rpyc_kernel.core.kernel_state import MAX_FAILED_STARTS
from tests.end_to_end.clients import PATIENCE_S, Connect
from tests.support.folders import Folders
from tests.support.waiting import wait_until

SEGFAULT = "import ctypes\ndef touch_nothing(): ctypes.string_at(0)\ntouch_nothing()"
DEATHS = {
    "a segmentation fault": (SEGFAULT, "killed by SIGSEGV"),
    "an abort": ("import os; os.abort()", "killed by SIGABRT"),
    "SIGKILL": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    "an exit of its own": ("import os; os._exit(3)", "exited with status 3"),
}
LINES = 50_000


def wait_for_output(run) -> None:
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)


def follow_until_died(client: KernelClient) -> Event:
    return next(event for event in client.events() if event.kind == Kind.WORKER_DIED)


@pytest.mark.parametrize(("code", "reason"), DEATHS.values(), ids=DEATHS)
def test_everybody_hears_how_the_worker_died_and_a_new_one_serves(
    kernel: KernelClient, connect: Connect, code: str, reason: str
):
    bob = connect(name="bob")
    kernel.execute("import threading; gate = threading.Event(); before = 1", timeout=PATIENCE_S)
    fatal = kernel.submit(f"gate.wait()\n{code}")
    queued = [kernel.submit("'never'"), bob.submit("'never either'")]
    beside = bob.submit("import threading\nprint('begun')\nthreading.Event().wait()", lane="side")
    wait_for_output(beside)
    with suppress(ConnectionLost):  # the worker dies of it, perhaps before it answers
        kernel.eval("gate.set()")
    for lost in (fatal, *queued, beside):
        error = lost.exception(PATIENCE_S)
        assert isinstance(error, KernelDied)
        assert (error.reason, error.generation) == (reason, 1)
        assert lost.status == Outcome.LOST
    for client in (kernel, bob):
        died = follow_until_died(client)
        assert (died.reason, died.generation) == (reason, 1)
    again = kernel.submit("'before' in globals()")
    assert again.result(PATIENCE_S) is False
    assert bob.execute("6 * 7", timeout=PATIENCE_S).value == 42
    assert kernel.status()["generation"] == 2


BROKEN = {
    "for its loop": ("import builtins; builtins.len = None", "TypeError: 'NoneType' object is not callable"),
    "for what hears the hub": ("import builtins; del builtins.max", "NameError: name 'max' is not defined"),
    "by code that awaits": (
        "import asyncio, builtins; await asyncio.sleep(0); builtins.isinstance = None",
        "TypeError: 'NoneType' object is not callable",
    ),
    "by code that raises": (
        "import builtins\ndef fail(*a): 1/0\nbuiltins.len = fail",
        "ZeroDivisionError: division by",
    ),
    "by a side lane": ("import builtins; builtins.len = None", "TypeError: 'NoneType' object is not callable"),
}


def test_a_worker_whose_builtins_are_gone_dies_and_says_why_instead_of_being_busy_for_ever(kernel: KernelClient):
    for what, (code, reason) in BROKEN.items():
        broken = kernel.submit(code, lane=Lane.SIDE if "lane" in what else Lane.MAIN)
        after = kernel.submit("'after'", stop_on_error=False)
        error = broken.exception(PATIENCE_S) or after.exception(PATIENCE_S)
        assert isinstance(error, KernelDied), what
        assert error.reason.startswith(f"the kernel's own code failed ({reason}"), what
        assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_the_last_python_stack_of_a_segmentation_fault_reaches_everybody(kernel: KernelClient, connect: Connect):
    bob = connect(name="bob")
    kernel.execute("import threading; gate = threading.Event()", timeout=PATIENCE_S)
    fatal = kernel.submit(f"gate.wait()\n{SEGFAULT}")
    queued = bob.submit("'never'")
    with suppress(ConnectionLost):
        kernel.eval("gate.set()")
    stacks = [lost.exception(PATIENCE_S).stack for lost in (fatal, queued)]
    stacks += [follow_until_died(client).stack for client in (kernel, bob)]
    assert len(set(stacks)) == 1
    assert "Segmentation fault" in stacks[0]
    assert f'File "<In {fatal.count}>", line 3 in touch_nothing' in stacks[0]
    assert f'File "<In {fatal.count}>", line 4 in <module>' in stacks[0]


def test_a_killed_worker_is_reported_with_the_memory_it_held(kernel: KernelClient):
    megabytes = 200
    kernel.execute(f"held = b'x' * {megabytes << 20}", timeout=PATIENCE_S)
    wait_until(lambda: (kernel.status()["memory_bytes"] or 0) > megabytes << 20, PATIENCE_S, "a look at the memory")
    fatal = kernel.submit("import os; os.kill(os.getpid(), 9)")
    assert isinstance(fatal.exception(PATIENCE_S), KernelDied)
    died = follow_until_died(kernel)
    assert died.reason == "killed by SIGKILL"
    for held in (died.memory_bytes, died.peak_memory_bytes):
        assert megabytes << 20 < held < 2 * megabytes << 20


@pytest.mark.parametrize(("code", "reason"), DEATHS.values(), ids=DEATHS)
def test_everything_printed_before_the_death_is_in_the_journal(kernel: KernelClient, code: str, reason: str):
    fatal = kernel.submit(f"for number in range({LINES}): print('line', number)\n{code}")
    assert isinstance(fatal.exception(PATIENCE_S), KernelDied)
    events = [event for event in kernel.events(follow=False) if event.execution == fatal.id]
    printed = "".join(event.text for event in events if event.kind == Kind.STREAM and event.name == "stdout")
    assert printed.splitlines() == [f"line {number}" for number in range(LINES)]
    assert events[-1].kind == Kind.FINISHED


def test_output_past_pythons_streams_is_recorded_too_when_the_worker_dies(kernel: KernelClient):
    fatal = kernel.submit("import os\nos.write(1, b'raw\\n' * 1000)\nos._exit(3)")
    assert isinstance(fatal.exception(PATIENCE_S), KernelDied)
    assert fatal.stdout == "raw\n" * 1000


def test_an_idle_worker_that_dies_is_replaced_too(kernel: KernelClient, connect: Connect):
    bob = connect(name="bob")
    kernel.execute(
        "import os, threading\ngate = threading.Event()\n"
        "threading.Thread(target=lambda: (gate.wait(), os._exit(3)), daemon=True).start()",
        timeout=PATIENCE_S,
    )
    with suppress(ConnectionLost):
        kernel.eval("gate.set()")
    assert follow_until_died(bob).reason == "exited with status 3"
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_a_worker_that_dies_again_and_again_is_replaced_each_time(kernel: KernelClient, folders: Folders):
    for generation in range(1, 8):
        fatal = kernel.submit("import os; os._exit(3)")
        error = fatal.exception(PATIENCE_S)
        assert isinstance(error, KernelDied)
        assert error.generation == generation
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42
    # Nothing of the dead piles up in what is memory on most systems.
    assert [path.name for path in (folders.runtime / "demo").glob("ring-*")] == ["ring-8"]


def test_events_too_large_for_the_ring_leave_no_files_behind(kernel: KernelClient, folders: Folders):
    for _ in range(3):
        run = kernel.execute("'x' * 3_000_000", timeout=PATIENCE_S)
        assert run.outputs[-1].data["text/plain"] == repr("x" * 3_000_000)
    # The last goes when the next thing is read from the ring.
    kernel.execute("pass", timeout=PATIENCE_S)
    wait_until(lambda: not list((folders.runtime / "demo").glob("spill-*")), PATIENCE_S, what="the end of the files")


def test_the_objects_of_a_dead_worker_fail_and_those_of_the_next_are_reached(kernel: KernelClient):
    old = kernel.execute("[1, 2, 3]", timeout=PATIENCE_S).value
    assert len(old) == 3
    assert isinstance(kernel.submit("import os; os._exit(3)").exception(PATIENCE_S), KernelDied)
    with pytest.raises((rpyc_kernel.ConnectionLost, EOFError)):
        len(old)
    assert list(kernel.execute("[4, 5]", timeout=PATIENCE_S).value) == [4, 5]


# A worker that cannot start


def wait_until_dead(kernel: KernelClient) -> list[str]:
    """Wait until the kernel has given up; the reasons it gave."""

    def read_reasons() -> list[str]:
        return [event.reason for event in kernel.events(follow=False) if event.kind == Kind.WORKER_DIED]

    wait_until(lambda: kernel.status()["state"] == State.DEAD, PATIENCE_S, what="the state 'dead'")
    # What is decided shows in the status a moment before it is recorded.
    wait_until(lambda: len(read_reasons()) >= MAX_FAILED_STARTS, PATIENCE_S, what="the last reason")
    return read_reasons()


def write_interpreter(path: Path, condition: str) -> None:
    """An interpreter that runs a worker only under a condition, in the shell's words."""
    check = f'[ "$1" = -c ] || {condition} || {{ echo no licence >&2; exit 7; }}'
    path.write_text(f'#!/bin/sh\n{check}\nexec {sys.executable} "$@"\n')
    path.chmod(0o700)


def test_an_interpreter_that_is_not_there_is_named(folders: Folders):
    with pytest.raises(KernelError, match="/nowhere/python"):
        rpyc_kernel.start("demo", python="/nowhere/python")
    assert rpyc_kernel.kernels() == []


def test_a_worker_that_cannot_start_leaves_the_kernel_dead_with_the_reason(folders: Folders, tmp_path: Path):
    write_interpreter(tmp_path / "python", "false")
    with rpyc_kernel.start("demo", python=str(tmp_path / "python"), timeout=PATIENCE_S) as kernel:
        reasons = wait_until_dead(kernel)
        assert len(reasons) == MAX_FAILED_STARTS
        for reason in reasons:
            assert "exited with status 7" in reason
            assert "no licence" in reason
        with pytest.raises(RequestError, match="restart"):
            kernel.submit("6 * 7")
        assert wait_until_dead(kernel) == reasons
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_worker_that_cannot_load_what_serves_clients_has_not_started(folders: Folders, tmp_path: Path):
    (tmp_path / "rpyc.py").write_text("raise RuntimeError('no rpyc today')")
    environment = {"PYTHONPATH": str(tmp_path)}
    with rpyc_kernel.start("demo", env=environment, timeout=PATIENCE_S) as kernel:
        reasons = wait_until_dead(kernel)
        assert len(reasons) == MAX_FAILED_STARTS
        for reason in reasons:
            assert "RuntimeError: no rpyc today" in reason
        assert all(event.kind != Kind.WORKER_STARTED for event in kernel.events(follow=False))
        kernel.shutdown(timeout=PATIENCE_S)
    assert "no rpyc today" in (folders.state / "demo" / "hub.log").read_text()


def test_what_waits_for_a_worker_that_cannot_start_is_told_why(folders: Folders, tmp_path: Path):
    write_interpreter(tmp_path / "python", f"{{ until [ -e {tmp_path / 'gate'} ]; do sleep 0.01; done; false; }}")
    with rpyc_kernel.start("demo", python=str(tmp_path / "python"), timeout=PATIENCE_S) as kernel:
        runs = [kernel.submit("6 * 7"), kernel.submit("6 * 7", lane="side")]
        (tmp_path / "gate").touch()
        for run in runs:
            error = run.exception(PATIENCE_S)
            assert isinstance(error, KernelDied)
            assert "exited with status 7" in error.reason
            assert "no licence" in error.reason
        kernel.shutdown(timeout=PATIENCE_S)


def test_what_waits_runs_when_a_later_worker_starts(folders: Folders, tmp_path: Path):
    once = f"mkdir {tmp_path / 'first'} 2>/dev/null && until [ -e {tmp_path / 'gate'} ]; do sleep 0.01; done"
    write_interpreter(tmp_path / "python", f"! {{ {once}; }}")
    with rpyc_kernel.start("demo", python=str(tmp_path / "python"), timeout=PATIENCE_S) as kernel:
        run = kernel.submit("6 * 7")
        (tmp_path / "gate").touch()
        assert run.result(PATIENCE_S) == 42
        assert kernel.status()["generation"] == 2
        kernel.shutdown(timeout=PATIENCE_S)


def test_restarting_a_dead_kernel_in_vain_says_why(folders: Folders, tmp_path: Path):
    write_interpreter(tmp_path / "python", "false")
    with rpyc_kernel.start("demo", python=str(tmp_path / "python"), timeout=PATIENCE_S) as kernel:
        wait_until_dead(kernel)
        with pytest.raises(KernelDied, match="no licence"):
            kernel.restart(timeout=PATIENCE_S)
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_dead_kernel_can_be_restarted_when_the_cause_is_gone(folders: Folders, tmp_path: Path):
    write_interpreter(tmp_path / "python", f"[ -e {tmp_path / 'licence'} ]")
    with rpyc_kernel.start("demo", python=str(tmp_path / "python"), timeout=PATIENCE_S) as kernel:
        wait_until_dead(kernel)
        (tmp_path / "licence").touch()
        kernel.restart(timeout=PATIENCE_S)
        assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_worker_whose_engine_cannot_be_made_says_why(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins\n"
        "def refuse(values, count): raise RuntimeError('no room for values')\n"
        "def build(function, name, *bases, **others):\n"
        "    kind = make(function, name, *bases, **others)\n"
        "    if name == 'Values': kind.__init__ = refuse\n"
        "    return kind\n"
        "make, builtins.__build_class__ = builtins.__build_class__, build\n"
    )
    with rpyc_kernel.start("demo", engine="plain", env={"PYTHONPATH": str(tmp_path)}, timeout=PATIENCE_S) as kernel:
        died = follow_until_died(kernel)
        kernel.shutdown(timeout=PATIENCE_S)
    assert died.reason.endswith("RuntimeError: no room for values")
