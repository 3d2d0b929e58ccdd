"""Many kernels from a shell: group start, exec, run, status, log, stack, interrupt, stop."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rpyc_kernel
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import RunHere, StartCommand
from tests.end_to_end.terminals import CTRL_C, Terminal
from tests.support.folders import Folders, temporary_folders

THREE = ("g-1", "g-2", "g-3")


@pytest.fixture(scope="module")
def three() -> Iterator[Folders]:
    """Three kernels that the tests of this module share."""
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        with rpyc_kernel.group(THREE, start=True, engine="plain", timeout=PATIENCE_S) as group:
            group.execute("pass", timeout=PATIENCE_S)  # their workers are there
        yield folders


@pytest.fixture
def folders(three: Folders, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """Where they live."""
    for name, value in three.environment.items():
        monkeypatch.setenv(name, value)
    return three


def test_those_that_do_not_run_are_started_and_stopped_again(folders: Folders, run_here: RunHere) -> None:
    started = run_here("group", "start", "g-{3..4}", "--engine", "plain")
    assert started.stdout == "kernel 'g-3' is running already\nkernel 'g-4' is running\n"
    assert (started.returncode, started.stderr) == (0, "")
    stopped = run_here("group", "stop", "g-4", "g-5")
    assert stopped.returncode == 3
    assert stopped.stdout == "kernel 'g-4' is stopped\n"
    assert "kernel 'g-5' is not running" in stopped.stderr
    told = run_here("group", "log", "g-?", "--tail", "1").stdout
    assert "[g-4] the kernel has stopped: " in told, "a pattern means those that are stopped, too"
    assert "has a name like 'g-4*'" in run_here("group", "status", "g-4*").stderr, "it does not run"


def test_a_status_is_a_line_for_each_also_for_those_that_are_away(folders: Folders, run_here: RunHere) -> None:
    with rpyc_kernel.connect("g-2") as kernel:
        asking = kernel.submit("input()")
        next(event for event in asking.events() if event.kind == "input_requested")
        done = run_here("group", "status", "g-*", "nobody")
        asking.interrupt(wait=PATIENCE_S)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["g-1", "idle"],
        ["g-2", "busy"],
        ["g-3", "idle"],
        ["nobody", "away"],
    ]
    assert "(input()), for " in lines[1]
    assert lines[1].endswith("; 1 asking")
    assert "'nobody' is not running" in lines[3]
    assert (done.returncode, done.stderr) == (3, "")
    told = [json.loads(line) for line in run_here("group", "status", "--json").stdout.splitlines()]
    assert [(each["kernel"], each["state"]) for each in told] == [(name, "idle") for name in THREE]


def test_a_log_has_the_events_of_all_in_the_order_of_time(folders: Folders, run_here: RunHere) -> None:
    numbers, code = {}, "print('by', 'hand')"
    for name in ("g-2", "g-1", "g-3"):
        with rpyc_kernel.connect(name, name="ann") as kernel:
            numbers[name] = kernel.execute(code).count
    done = run_here("group", "log", "g-{1..3}", "--tail", "6")
    shown = [line[20:] for line in done.stdout.splitlines()]
    assert shown == [
        f"[{name}] [ann] {told}"
        for name in ("g-2", "g-1", "g-3")
        for told in (f"In [{numbers[name]}]: {code}", "by hand")
    ], "and not that they came and left"
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in run_here("group", "log", "g-[1-3]", "--json").stdout.splitlines()]
    assert [each["time"] for each in told] == sorted(each["time"] for each in told)
    assert {each["kernel"] for each in told} == set(THREE)


def test_a_log_is_followed_of_those_that_are_there(folders: Folders, start_command: StartCommand) -> None:
    following = start_command("group", "log", "g-*", "nobody", "--follow", "--tail", "1", "--json")
    missing = following.read_line()
    while json.loads(missing).get("kernel") != "nobody":
        missing = following.read_line()
    assert json.loads(missing)["error"] == "NoSuchKernel"
    for name in THREE:
        with rpyc_kernel.connect(name, joins=False) as kernel:
            kernel.execute(f"print('late {name}')")
    seen: set[str] = set()
    while len(seen) < len(THREE):
        event = json.loads(following.read_line())
        if event.get("text") == f"late {event['kernel']}\n":
            seen.add(event["kernel"])


def test_code_runs_in_all_of_them_at_once(folders: Folders, run_here: RunHere) -> None:
    done = run_here("group", "exec", "g-*", "import os; print('by', os.getpid() > 1); 6 * 7")
    assert sorted(done.stdout.splitlines()) == [f"[{name}] {said}" for name in THREE for said in ("42", "by True")]
    assert (done.returncode, done.stderr) == (0, "")
    folded = run_here("group", "exec", "--fold", *THREE, "6 * 7")
    assert folded.stdout == "--- g-{1..3} (3)\n42\n"


def test_a_program_runs_in_all_of_them_with_its_arguments(folders: Folders, run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(int(sys.argv[2]))\n")
    done = run_here("group", "run", "g-{1..2}", str(tmp_path / "job.py"), "--", "--status", "7")
    assert sorted(done.stdout.splitlines()) == ["[g-1] ['--status', '7']", "[g-2] ['--status', '7']"]
    assert (done.returncode, done.stderr) == (7, "2 of 2 did not end well: g-{1..2} (SystemExit: 7)\n")


def test_who_cannot_be_reached_keeps_it_from_being_run_unless_told_otherwise(
    folders: Folders, run_here: RunHere
) -> None:
    refused = run_here("group", "exec", "g-1", "nobody", "x = 1; 6 * 7")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "'nobody' is not running" in refused.stderr
    assert "nothing was run; --skip-missing goes on" in refused.stderr
    skipped = run_here("group", "exec", "g-1", "nobody", "--skip-missing", "6 * 7")
    assert (skipped.returncode, skipped.stdout) == (3, "[g-1] 42\n")
    assert "'nobody' is not running" in skipped.stderr


def test_one_whose_worker_dies_fails_alone_and_is_run_again_where_asked(
    folders: Folders, run_here: RunHere, tmp_path: Path
) -> None:
    code = f"""\
import os, signal
if not os.path.exists({str(tmp_path / "once")!r}):
    with open({str(tmp_path / "once")!r}, 'x') as file: pass
    os.kill(os.getpid(), signal.SIGKILL)
print('done')"""
    done = run_here("group", "exec", "g-3", code)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[g-3] execution" in done.stderr
    assert "is lost: killed by SIGKILL" in done.stderr
    (tmp_path / "once").unlink()
    again = run_here("group", "exec", "g-3", "--retry", "1", code)
    assert (again.returncode, again.stdout) == (0, "[g-3] done\n")
    assert again.stderr.endswith("g-3 was lost, and is run again\n")


def test_a_kernel_whose_hub_is_gone_is_said_to_be_away_and_waited_for(
    folders: Folders, start_command: StartCommand
) -> None:
    code = "import threading; gate = threading.Event(); print('begun'); gate.wait()"
    running = start_command("group", "exec", "g-{1..2}", code)
    assert {running.read_line() for _ in range(2)} == {"[g-1] begun", "[g-2] begun"}
    with rpyc_kernel.connect("g-2", joins=False) as kernel:
        os.kill(kernel.status()["hub_pid"], signal.SIGKILL)
    assert running.read_error_line().startswith("g-2: the connection to kernel 'g-2' is lost")
    with rpyc_kernel.start("g-2", timeout=PATIENCE_S) as again:
        again.namespace.gate.set()
    with rpyc_kernel.connect("g-1", joins=False) as kernel:
        kernel.namespace.gate.set()
    status, out, err = running.wait()
    assert (status, sorted(out.splitlines())) == (0, ["[g-1] True", "[g-2] True"])
    assert err.endswith("g-2 is there again\n")


def test_ctrl_c_interrupts_all_and_shows_meanwhile_how_far_each_is(
    folders: Folders, open_terminal: Callable[..., Terminal]
) -> None:
    code = "import time; print('begun'); print('at work', end='', flush=True); time.sleep(600)"
    terminal = open_terminal("group", "exec", "g-{1..2}", code, columns=60)
    terminal.wait_for("0 of 2 have ended, ")
    terminal.wait_for(r"^g-1  running  [0-9.]+ s  at work$")
    terminal.type(CTRL_C)
    terminal.wait_for_sentence("2 of 2 did not end well: g-{1..2} (KeyboardInterrupt)")
    assert terminal.wait_for_end() == 130
    assert "have ended" not in terminal.text
    assert "[g-1] begun" in terminal.text


def test_what_runs_in_them_is_interrupted(folders: Folders, run_here: RunHere) -> None:
    with rpyc_kernel.connect("g-2") as kernel:
        running = kernel.submit("import time; time.sleep(600)")
        next(event for event in running.events() if event.kind == "started")
        done = run_here("group", "interrupt", "g-{1,2}")
        assert done.stdout == f"g-1: nothing is running\ng-2: execution {running.id} was interrupted\n"
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("group",), 2, "Usage: rpyc-kernel group"),
        (("group", "stauts"), 2, "did you mean 'status'?"),
        (("group", "stop"), 2, "which kernels?"),
        (("group", "exec", "g-1"), 2, "which code"),
        (("group", "exec", "g-1", "1", "--timeout", "0"), 2, "leaves the code no time"),
        (("group", "exec", "g-1", "1", "--retry", "1", "--force", "terminate"), 2, "leave one of them out"),
        (("group", "run", "g-1", "nothing.py"), 2, "nothing.py cannot be read"),
        (
            ("group", "start", "h-{1..2}", "--python", "/nope"),
            2,
            "rpyc-kernel: h-{1..2}: there is no interpreter '/nope'",
        ),
        (("group", "stop", "x-*"), 3, "these run: g-1, g-2, g-3"),
        (("group", "log", "x-*"), 3, "these are there: g-1, g-2, g-3"),
        (("group", "stop", "x{1"), 2, "no '}' behind it"),
        (("group", "log", "g-1", "--tail", "0"), 2, "at least one"),
        (("group", "log", "g-1", "--since", "soon"), 2, "--since soon"),
    ],
)
def test_wrong_words_are_explained(
    folders: Folders, run_here: RunHere, words: tuple[str, ...], status: int, said: str
) -> None:
    done = run_here(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_group_stack_shows_what_is_equal_once_and_who_has_none(folders: Folders, run_here: RunHere) -> None:
    shown = run_here("group", "stack", "g-{1..3}", "g-9")
    assert shown.returncode == 3
    assert shown.stdout.splitlines()[:2] == [
        "3: g-{1..3}",
        "  no code of the user's: idle, or what it runs awaits something",
    ]
    assert "no stack of g-9: " in shown.stdout
    told = json.loads(run_here("group", "stack", "g-1", "--json").stdout)
    assert told == {"main": [{"kernels": ["g-1"], "frames": []}], "threads": [], "errors": {}}
