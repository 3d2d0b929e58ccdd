"""A kernel of a group is killed, stands still or is cut off: who failed is told, and why, and the others go on.

The tests share four kernels, and those that one has ended are started for the next.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import (
    ConnectionFailed,
    ExecutionDropped,
    Group,
    GroupExecution,
    GroupFailed,
    KernelDied,
    KernelError,
    RequestError,
)
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S, ROOT
from tests.support.folders import Folders, temporary_folders
from tests.support.processes import suspended
from tests.support.sshd import Hosts
from tests.support.waiting import in_thread, wait_until

NAMES = [f"k-{number}" for number in range(1, 5)]
VICTIM = "k-2"
OTHERS = [name for name in NAMES if name != VICTIM]
PIDS = {"hub": ["hub_pid"], "worker": ["worker_pid"], "both": ["hub_pid", "worker_pid"]}
SHORT_S = 1.5
HASTY = {"timeout": SHORT_S, "silence": SHORT_S, "reconnect": SHORT_S}
"""For those that do not come back; who waits is told after two seconds or so."""
PATIENT = {"timeout": PATIENCE_S, "reconnect": PATIENCE_S}
"""For those that do."""
WAIT = """
import os, threading
print("begun", flush=True)
while not os.path.exists({path!r}):
    threading.Event().wait(0.01)
6 * 7
"""
GO_ON = """
def go_on():
    while not os.path.exists(path):
        threading.Event().wait(0.01)
"""
TICK = """
import os, threading
while not os.path.exists({path!r}):
    print("tick", flush=True)
    threading.Event().wait(0.05)
"""

OpenGroup = Callable[..., Group]


@pytest.fixture(scope="module")
def home() -> Iterator[Folders]:
    with temporary_folders() as folders:
        yield folders


@pytest.fixture
def open_group(home: Folders, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenGroup]:
    """Opens groups of the four, and closes them with the test."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    with rpyc_kernel.group(NAMES, start=True, engine="plain", timeout=PATIENCE_S) as group:
        group.execute("globals().pop('x', None)", timeout=PATIENCE_S)
    with ExitStack() as opened:
        yield lambda names=NAMES, **options: opened.enter_context(rpyc_kernel.group(names, **options))


def pids_of(group: Group, who: str, victim: str = VICTIM) -> list[int]:
    status = group.kernels[victim].status(timeout=PATIENCE_S)
    return [status[name] for name in PIDS[who]]


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(processes.is_alive, pids)), PATIENCE_S, "their end")


def take_up(victim: str = VICTIM) -> None:
    """As somebody does who sees that its hub is gone."""
    rpyc_kernel.start(victim, engine="plain", timeout=PATIENCE_S).close()


def begin_to_wait(group: Group, path: Path, **options: Any) -> GroupExecution:
    """Have code run in all that ends when the file is there."""
    job = group.submit(WAIT.format(path=str(path)), **options)
    awaited = set(group.names)
    for name, event in job.events(timeout=PATIENCE_S):
        awaited -= {name} if event.kind == "stream" else set()
        if not awaited:
            return job
    raise AssertionError(f"{job!r} has not begun in {awaited}")


def assert_failed(name: str, error: BaseException | None, kinds: Any, results: Any = None) -> None:
    """The victim alone, and why; and what the others have made."""
    assert isinstance(error, GroupFailed), (name, error)
    assert list(error.errors) == [VICTIM], (name, error)
    assert isinstance(error.errors[VICTIM], kinds), (name, error)
    assert VICTIM in str(error)
    assert list(error.results) == OTHERS, (name, error)
    if results is not None:
        assert list(error.results.values()) == [results] * 3


def assert_goes_on(group: Group) -> None:
    assert group.execute("6 * 7", timeout=PATIENCE_S).results == dict.fromkeys(NAMES, 42)
    assert group.apply(divmod, 17, 5) == [(3, 2)] * 4
    group.scatter("x", range(8))
    assert group.gather("x") == range(8)
    assert group.eval("len(x)") == [2] * 4


QUEUED: dict[str, Callable[[Group], Any]] = {
    "execute": lambda group: group.execute("6 * 7", timeout=PATIENCE_S),
    "submit": lambda group: group.submit("6 * 7").result(PATIENCE_S),
    "apply": lambda group: group.apply(lambda: 42),
    "map": lambda group: group.map(lambda number: 42, range(4)),
}
AT_ONCE: dict[str, Callable[[Group], Any]] = {
    "eval": lambda group: group.eval("6 * 7", timeout=SHORT_S),
    "push": lambda group: group.push(x=1, timeout=SHORT_S),
    "pull": lambda group: group.pull("6 * 7", timeout=SHORT_S),
    "scatter": lambda group: group.scatter("part", [1, 2, 3, 4], timeout=SHORT_S),
    "gather": lambda group: group.gather("[6 * 7]", timeout=SHORT_S),
    "namespace": lambda group: group.namespace["__name__"],
    "variables": lambda group: group.variables(timeout=SHORT_S),
}
OF_HUBS: dict[str, Callable[[Group], Any]] = {
    "status": lambda group: group.status(timeout=SHORT_S),
    "past": lambda group: list(group.events(follow=False)),
    "interrupt": lambda group: group.interrupt(wait=SHORT_S),
}


def ask(group: Group, asked: dict[str, Callable[[Group], Any]]) -> dict[str, BaseException | None]:
    """All of it at once, by threads of one program that use one group."""
    told = {name: in_thread(do, group) for name, do in asked.items()}
    return {name: future.exception(PATIENCE_S) for name, future in told.items()}


# ---------------------------------------------------------------------- standing still


@pytest.mark.parametrize("who", ["hub", "both"])
def test_a_hub_that_stands_still_fails_its_part_of_whatever_is_asked(open_group: OpenGroup, who: str):
    group = open_group(**HASTY)
    with ExitStack() as still:
        for pid in pids_of(group, who):
            still.enter_context(suspended(pid))
        for name, error in ask(group, {**QUEUED, **AT_ONCE, **OF_HUBS}).items():
            assert_failed(name, error, (ConnectionFailed, TimeoutError))
    assert_goes_on(open_group())


def test_a_worker_that_stands_still_keeps_nobody_from_the_others(open_group: OpenGroup):
    group = open_group(**HASTY)
    [worker] = pids_of(group, "worker")
    with suspended(worker):
        for name, error in ask(group, AT_ONCE).items():
            assert_failed(name, error, TimeoutError)
        assert ask(group, OF_HUBS) == dict.fromkeys(OF_HUBS)
        with pytest.raises(TimeoutError, match=rf"not done within {SHORT_S:g} s: {VICTIM}; what was begun goes on"):
            group.execute("6 * 7", timeout=SHORT_S)
        job = group.submit("6 * 7")
        ended = job.as_completed(timeout=PATIENCE_S)
        assert {next(ended)[0] for _ in OTHERS} == {*OTHERS}
        assert (job.pending, job.results) == ([VICTIM], dict.fromkeys(OTHERS, 42))
    assert job.result(PATIENCE_S) == [42] * 4
    assert_goes_on(group)


# ---------------------------------------------------------------------- killed


def queue_behind(group: Group, path: Path, retry: int) -> dict[str, GroupExecution]:
    """One job that runs until the file is there, and two that wait for it in the kernels' queues."""
    jobs = {
        "submit": begin_to_wait(group, path, retry=retry),
        "apply": group.apply_async(lambda: 42, retry=retry),
        "map": group.map_async(lambda number: 42, range(4), retry=retry),
    }
    wait_until(lambda: all(len(job.executions) == 4 for job in jobs.values()), PATIENCE_S, "all to be queued")
    return jobs


@pytest.mark.parametrize("retry", [0, 1])
def test_a_worker_that_is_killed_loses_what_it_had_and_it_is_run_again_where_that_is_asked_for(
    open_group: OpenGroup, tmp_path: Path, retry: int
):
    group = open_group(**PATIENT)
    group.kernels[VICTIM].restart(timeout=PATIENCE_S)  # of a worker that an earlier hub has started, its end tells less
    jobs = queue_behind(group, tmp_path / "go on", retry)
    kill(pids_of(group, "worker"))
    if not retry:
        assert all(job.wait(PATIENCE_S, "FIRST_EXCEPTION") for job in jobs.values())
        assert jobs["submit"].pending == OTHERS
    (tmp_path / "go on").touch()
    for name, job in jobs.items():
        error = job.exception(PATIENCE_S)
        if retry:
            assert (name, error, list(job.retried)) == (name, None, [VICTIM])
            assert [type(each) for each in job.retried[VICTIM]] == [KernelDied]
            assert job.result() == [42] * 4
        else:
            assert_failed(name, error, KernelDied, (42,) if name == "map" else 42)
            assert error.errors[VICTIM].reason == "killed by SIGKILL"
    assert_goes_on(group)


def test_a_hub_that_is_killed_and_taken_up_again_loses_nothing(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**PATIENT)
    jobs = queue_behind(group, tmp_path / "go on", 0)
    kill(pids_of(group, "hub"))
    (tmp_path / "go on").touch()
    take_up()
    assert jobs["submit"].result(PATIENCE_S) == [42] * 4
    told = {name: job.exception(PATIENCE_S) for name, job in jobs.items()}
    assert told == dict.fromkeys(told)
    assert_goes_on(group)


@pytest.mark.parametrize("retry", [0, 1])
def test_a_kernel_that_is_killed_and_started_again_runs_it_again_where_that_is_asked_for(
    open_group: OpenGroup, tmp_path: Path, retry: int
):
    group = open_group(**PATIENT)
    job = begin_to_wait(group, tmp_path / "go on", retry=retry)
    kill(pids_of(group, "both"))
    (tmp_path / "go on").touch()
    take_up()
    error = job.exception(PATIENCE_S)
    if retry:
        assert (error, job.results, list(job.retried)) == (None, dict.fromkeys(NAMES, 42), [VICTIM])
    else:
        assert_failed("submit", error, KernelError, 42)
    assert_goes_on(group)


def test_of_a_kernel_that_does_not_come_back_others_take_its_part_of_a_map_alone(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**HASTY)
    jobs = queue_behind(group, tmp_path / "go on", 1)
    kill(pids_of(group, "both"))
    (tmp_path / "go on").touch()
    for name in ("submit", "apply"):
        error = jobs[name].exception(PATIENCE_S)
        assert_failed(name, error, KernelError, 42)
        assert list(jobs[name].retried) == [VICTIM]
    assert jobs["map"].result(PATIENCE_S) == [42] * 4
    assert group.map(lambda number: number, range(8), retry=1) == [*range(8)]
    for name, error in ask(group, {**QUEUED, **AT_ONCE, **OF_HUBS}).items():
        assert_failed(name, error, ConnectionFailed)
    take_up()
    assert group.execute("6 * 7", retry=1, timeout=PATIENCE_S).results == dict.fromkeys(NAMES, 42)
    assert_goes_on(group)


def test_a_client_that_the_group_was_given_is_not_made_anew_by_a_name_that_another_kernel_may_have(
    open_group: OpenGroup,
):
    clients = [rpyc_kernel.connect(name, timeout=PATIENCE_S, reconnect=0) for name in NAMES]
    try:
        group = rpyc_kernel.group(clients)
        kill(pids_of(group, "both"))
        take_up()
        for retry in (0, 1):
            error = group.submit("6 * 7", retry=retry).exception(PATIENCE_S)
            assert_failed("submit", error, ConnectionFailed, 42)
        assert "the group was given is lost; connect again" in str(error)
        group.close()
        assert clients[0].execute("6 * 7").value == 42
    finally:
        for client in clients:
            client.close()


def test_one_of_eight_is_killed_and_seven_go_on(open_group: OpenGroup, tmp_path: Path):
    names = [f"k-{number}" for number in range(1, 9)]
    with rpyc_kernel.group(names, start=True, engine="plain", **HASTY) as group:
        job = begin_to_wait(group, tmp_path / "go on")
        mapped = group.map_async(lambda number: number, range(80), retry=1)
        kill(pids_of(group, "both", "k-7"))
        (tmp_path / "go on").touch()
        ended = [name for name, _ in job.as_completed(timeout=PATIENCE_S)]
        assert ({*ended[:-1]}, ended[-1]) == ({*names} - {"k-7"}, "k-7")
        assert (list(job.errors), list(job.results.values())) == (["k-7"], [42] * 7)
        assert mapped.result(PATIENCE_S) == [*range(80)]
        for kernel in group[4:]:
            if kernel.name != "k-7":
                kernel.shutdown(timeout=PATIENCE_S)


def test_events_say_who_dies_and_go_on_with_the_others(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**HASTY)
    lost: list[str] = []
    told = group.events(timeout=PATIENCE_S, on_loss=lambda name, error: lost.append(name))
    hub, worker = pids_of(group, "both")
    job = group.submit("6 * 7")
    next(told)
    kill([worker])
    assert next(name for name, event in told if event.kind == "worker_died") == VICTIM
    assert job.wait(PATIENCE_S)
    kill([hub])
    others = group.select(OTHERS)
    ticking = others.submit(TICK.format(path=str(tmp_path / "enough")))
    ticks = (name for name, event in told if event.kind == "stream")
    assert next(name for name in ticks if lost) in OTHERS
    assert lost == [VICTIM]
    assert {name for name, _ in zip(ticks, range(30), strict=False)} == {*OTHERS}
    (tmp_path / "enough").touch()
    told.close()
    ticking.result(PATIENCE_S)


# ---------------------------------------------------------------------- in the middle


def test_a_kernel_that_somebody_else_restarts_is_told_apart(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**PATIENT)
    first, again = begin_to_wait(group, tmp_path / "go on"), group.submit("6 * 7", retry=1)
    with rpyc_kernel.connect(VICTIM, name="somebody else") as kernel:
        kernel.restart(timeout=PATIENCE_S)
    (tmp_path / "go on").touch()
    error = first.exception(PATIENCE_S)
    assert_failed("submit", error, KernelDied, 42)
    assert error.errors[VICTIM].reason == "restarted by somebody else"
    assert again.result(PATIENCE_S) == [42] * 4
    assert_goes_on(group)


def test_two_groups_of_the_same_kernels_are_in_nobodys_way(open_group: OpenGroup, tmp_path: Path):
    first, second = open_group(**PATIENT), open_group(NAMES[::-1], **PATIENT)
    job = begin_to_wait(first, tmp_path / "go on")
    behind = second.submit("x", stop_on_error=False)
    second.push(x=7)
    first.close()
    (tmp_path / "go on").touch()
    assert behind.result(PATIENCE_S) == [7] * 4
    assert job.exception(PATIENCE_S) is not None  # its group is closed
    assert_goes_on(second.select(NAMES))


def test_what_is_cancelled_has_not_run_and_what_has_begun_goes_on(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**PATIENT)
    running = begin_to_wait(group.select(OTHERS), tmp_path / "go on")
    behind = group.submit("x = 1")
    wait_until(lambda: not {VICTIM} & {*behind.pending}, PATIENCE_S, "the one that is idle")
    assert behind.cancel() is False
    (tmp_path / "go on").touch()
    error = behind.exception(PATIENCE_S)
    assert isinstance(error, GroupFailed)
    assert list(error.errors) == OTHERS
    assert {type(each) for each in error.errors.values()} == {ExecutionDropped}
    assert running.result(PATIENCE_S) == [42] * 3
    assert group.eval("'x' in globals()") == [name == VICTIM for name in NAMES]
    assert_goes_on(group)


INTERRUPTED: dict[str, Callable[[Group, GroupExecution], Any]] = {
    "execute": lambda group, job: group.execute("1"),
    "apply": lambda group, job: group.apply(lambda: 1),
    "map": lambda group, job: group.map(lambda number: 1, range(4)),
    "wait": lambda group, job: group.wait(),
    "result": lambda group, job: job.result(),
    "exception": lambda group, job: job.exception(),
    "as_completed": lambda group, job: list(job.as_completed()),
    "job's events": lambda group, job: list(job.events()),
    "events": lambda group, job: list(group.events()),
    "eval": lambda group, job: group.eval("go_on()", timeout=PATIENCE_S),
    "pull": lambda group, job: group.pull("go_on()", timeout=PATIENCE_S),
    "gather": lambda group, job: group.gather("go_on()", timeout=PATIENCE_S),
}


def test_ctrl_c_ends_the_wait_alone(open_group: OpenGroup, tmp_path: Path):
    group = open_group(**PATIENT)
    group.execute(f"import os, threading\npath = {str(tmp_path / 'go on')!r}\n{GO_ON}", timeout=PATIENCE_S)
    job = begin_to_wait(group, tmp_path / "go on")
    too_early = []
    for name, wait in INTERRUPTED.items():
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait(group, job)
            too_early.append(name)
            timer.join()
    assert too_early == []
    (tmp_path / "go on").touch()
    assert job.result(PATIENCE_S) == [42] * 4
    assert_goes_on(group)


FORKED = """
import os, signal, sys
import rpyc_kernel

group = rpyc_kernel.group(sys.argv[1:], timeout=10)
job = group.submit("6 * 7")
group.push(x=1)
live = group.eval("[]")
child = os.fork()
if not child:
    signal.alarm(30)
    for ask in (lambda: group.execute("1"), group.status, lambda: group.pull("x"), lambda: group.eval("x"), job.result):
        try:
            ask()
        except rpyc_kernel.GroupFailed as failed:
            print(len(failed.errors), {type(each).__name__ for each in failed.errors.values()}, flush=True)
    group.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print([kernel._bulk._idle[0].is_stale for kernel in group])
print(group.execute("x").results, job.result(), live)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_of_the_program_can_ask_nothing_and_takes_nothing_from_it(open_group: OpenGroup):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, *NAMES]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert said.stderr == ""
    assert said.stdout.splitlines() == [
        *["4 {'ConnectionLost'}"] * 5,
        f"{[False] * 4}",
        f"{dict.fromkeys(NAMES, 1)} [42, 42, 42, 42] [[], [], [], []]",
    ]


def test_ctrl_c_while_a_group_is_made_leaves_no_client_open(open_group: OpenGroup):
    [hub] = pids_of(open_group(), "hub")
    with suspended(hub):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            rpyc_kernel.group(NAMES, timeout=SHORT_S)
    assert_goes_on(open_group())


def test_a_kernel_is_in_a_group_once(open_group: OpenGroup):
    group = open_group()
    clients = list(group)
    for twice in ([*clients, clients[0]], [clients[0], clients[0].name]):
        with pytest.raises(RequestError, match="'k-1' is there twice; a group has each kernel once"):
            rpyc_kernel.group(twice)
    with pytest.raises(RequestError, match="a group has each kernel once, which k-1, k-1 does not"):
        group.select(["k-1", "k-1"])
    assert_goes_on(group)


CROWDED = """
import resource, sys
import rpyc_kernel

def use(names):
    with rpyc_kernel.group(names, timeout=10) as group:
        group.execute("1")
        group.pull("1")
        next(group.events(since=0))

use(sys.argv[1:])  # all modules are there then
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for limit in 6, 8, 10, 12, 64:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    try:
        use(sys.argv[1:])
    except rpyc_kernel.KernelError as error:
        print(repr(str(error)))
    else:
        print("enough")
"""


def test_where_there_are_too_few_descriptors_that_is_said(open_group: OpenGroup):
    command = [sys.executable, "-c", CROWDED, *NAMES]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S)
    assert said.stderr == ""
    *refusals, last = said.stdout.splitlines()
    assert last == "enough"
    for limit, refusal in zip((6, 8, 10, 12), refusals, strict=True):
        assert f"This program may have {limit} descriptors, and has them all. A group takes one for each" in refusal
        assert "not running" not in refusal


# ---------------------------------------------------------------------- on another machine


def test_a_host_that_is_cut_off_fails_alone_and_one_that_comes_back_loses_nothing(
    open_group: OpenGroup, ssh_hosts: Hosts, tmp_path: Path
):
    ssh_hosts.write_config("ServerAliveInterval 1\nServerAliveCountMax 1\nConnectTimeout 2\n")
    away = "ssh://alpha/away"
    rpyc_kernel.start(away, engine="plain", timeout=PATIENCE_S).close()
    names = [NAMES[0], away, NAMES[2]]
    patient, group = open_group(names, **PATIENT), open_group(names, timeout=PATIENCE_S, reconnect=SHORT_S)
    job = begin_to_wait(patient, tmp_path / "go on")
    ssh_hosts.alpha.freeze()
    (tmp_path / "go on").touch()
    assert job.result(PATIENCE_S) == [42] * 3
    patient.close()
    ssh_hosts.alpha.stop()
    for name, error in ask(group, {**QUEUED, **AT_ONCE, **OF_HUBS}).items():
        assert isinstance(error, GroupFailed), (name, error)
        assert (list(error.errors), list(error.results)) == (["away"], [NAMES[0], NAMES[2]])
    assert group.map(lambda number: number, range(6), retry=1) == [*range(6)]
    ssh_hosts.alpha.start()
    assert group.execute("6 * 7", retry=1, timeout=PATIENCE_S).results == dict.fromkeys(group.names, 42)
    group.kernels["away"].shutdown(timeout=PATIENCE_S)
