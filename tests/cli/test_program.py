import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from rpyc_kernel.cli import execute, jobs, program
from rpyc_kernel.cli.program import run
from rpyc_kernel.errors import (
    AuthenticationFailed,
    ConnectionLost,
    KernelDied,
    KernelError,
    NotPermitted,
    NotQueued,
    WorkerBusy,
)
from tests.support.folders import Folders

COMMANDS = list(program._COMMANDS)


def call(*arguments: str) -> int:
    return run(["rpyc-kernel", *arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]):
    assert call(command, "--help") == 0
    out, err = capsys.readouterr()
    assert f"rpyc-kernel {command}" in out
    assert err == ""


@pytest.mark.parametrize("command", ["exec", "run", "log", "vars"])
def test_help_has_an_example_and_each_switch_once(command: str, capsys: pytest.CaptureFixture[str]):
    assert call(command, "--help") == 0
    out = capsys.readouterr().out
    assert "\nExample" in out
    assert f"\n    rpyc-kernel {command} " in out
    switches = [line.split()[0] for line in out.partition("Switches:\n")[2].splitlines() if line[4:5] == "-"]
    assert switches
    assert len(switches) == len(set(switches))
    assert " VALUE:" not in [line[:7] for line in out.splitlines()]
    assert "\n     VALUE" not in out


def test_the_help_names_every_command_and_exit_status(capsys: pytest.CaptureFixture[str]):
    assert call("--help") == 0
    out = capsys.readouterr().out
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert "0 success, 1 the code raised, 2 wrong usage, 3 no such kernel or no connection, 124 its time was" in out


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]):
    assert call() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: rpyc-kernel COMMAND" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["stat"], "there is no command 'stat'; did you mean 'start'?"),
        (["xyzzy"], "there is no command 'xyzzy'; choose one of start, list"),
        (["--nonsense"], "unknown switch --nonsense"),
        (["status", "--nonsense"], "unknown switch --nonsense; 'rpyc-kernel status --help' tells"),
        (["cancel"], "which kernel? 'rpyc-kernel list' shows them; use 'rpyc-kernel cancel [SWITCHES] NAME "),
        (
            ["cancel", "demo"],
            "which execution? 'rpyc-kernel status demo' shows them; use 'rpyc-kernel cancel [SWITCHES] NAME ",
        ),
        (["cancel", "demo", "1", "2"], "'2' is a word too many; use 'rpyc-kernel cancel [SWITCHES] NAME "),
        (["revoke", "demo"], "which invitation? 'rpyc-kernel sessions demo' shows them"),
        (["kick", "demo"], "which session? 'rpyc-kernel sessions demo' shows them"),
        (["wait", "demo", "1", "--until", "x"], "wait for executions, or --until an expression is true"),
        (["pull", "demo", "x"], "no FILE is given; use 'rpyc-kernel pull [SWITCHES] NAME EXPRESSION FILE'"),
        (["forget", "tcp://localhost:1"], "by the kernel's name, on its own machine or as ssh://HOST/NAME"),
        (["list", "demo"], "'demo' is no host; use ssh://[user@]host[:port]/"),
        (["cancel", "demo", "x"], "'x' is not the number of an execution; 'rpyc-kernel status demo' shows them"),
        (["interrupt", "demo", "x"], "'x' is not the number of an execution"),
        (["interrupt", "demo", "--force", "hammer"], "argument of force expected"),
        (["log", "demo", "--since", "monday"], "use the number of an event, or a time"),
        (["start", "bad name"], "'bad name' cannot name a kernel"),
        (["exec", "two words", "1"], "'two words' cannot name a kernel; use up to 64 letters"),
        (["exec", "", "1"], "'' cannot name a kernel"),
        (["vars", ".."], "'..' cannot name a kernel"),
        (["start", "demo", "--env", "NONSENSE"], "--env NONSENSE: use NAME=VALUE"),
        (["start", "demo", "--cwd", "/nowhere/at/all"], "'/nowhere/at/all' is not there"),
        (["start", "demo", "--listen", "here:there"], "cannot listen on 'here:there'"),
        (["run", "/nowhere/at/all.py"], "/nowhere/at/all.py cannot be read"),
        (["run", "--kernel", "demo", "-", "argument"], "arguments are for a file, which a kernel that is there reads"),
        (["run", "--kernel", "ssh://gpu/demo", __file__, "argument"], "'rpyc-kernel submit ssh://gpu/demo --file"),
        (["status", "tcp://localhost:1"], "needs the kernel's key"),
        (["exec", "demo", "--timeout", "0", "1"], "--timeout 0 leaves the code no time"),
        (["push", "demo", "data.npy"], "use 'rpyc-kernel push [SWITCHES] NAME VARIABLE FILE'"),
        (["push", "demo", "data.npy", "x"], "x cannot be read: No such file or directory; use 'rpyc-kernel push [SW"),
        (["pull", "demo", "data.npy", "x"], "'data.npy' is named like a file and 'x' is not; use 'rpyc-kernel pull"),
    ],
)
def test_wrong_usage_is_a_line_on_standard_error(
    arguments: list[str], complaint: str, folders: Folders, capsys: pytest.CaptureFixture[str]
):
    assert call(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rpyc-kernel: ")
    assert err.count("\n") == 1
    assert complaint in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "nope"],
        ["vars", "nope"],
        ["stack", "nope"],
        ["log", "nope"],
        ["exec", "nope", "1"],
        ["interrupt", "nope"],
        ["cancel", "nope", "1"],
        ["restart", "nope"],
        ["stop", "nope"],
        ["run", "--kernel", "nope", __file__],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_kernel_that_is_not_there_is_status_3(
    arguments: list[str], folders: Folders, capsys: pytest.CaptureFixture[str]
):
    assert call(*arguments) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "rpyc-kernel: kernel 'nope' is not running; start it with 'rpyc-kernel start nope'\n"


@pytest.mark.parametrize("command", ["status", "console"])
@pytest.mark.parametrize("target", ["/nowhere/kernel.json", "./kernel.json"])
def test_a_connection_file_that_is_not_there_is_status_3(
    command: str, target: str, folders: Folders, capsys: pytest.CaptureFixture[str]
):
    assert call(command, target) == 3
    assert "there is no connection file" in capsys.readouterr().err


def test_nobody_at_the_address_is_status_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("RPYC_KERNEL_KEY", "00" * 32)
    assert call("status", "tcp://127.0.0.1:1") == 3
    said = capsys.readouterr().err
    assert "cannot connect to tcp://127.0.0.1:1" in said
    assert "nothing listens there: see whether host and port are right, and whether the kernel runs" in said


def test_no_kernel_is_an_empty_list(folders: Folders, capsys: pytest.CaptureFixture[str]):
    assert call("list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert call("list") == 0
    assert "rpyc-kernel start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AuthenticationFailed("x"), 3),
        (ConnectionLost("x"), 3),
        (NotQueued("x"), 2),
        (WorkerBusy("x"), 1),
        (KernelDied("x"), 1),
        (KernelError("x"), 1),
        (KernelError("\x1b[2J\x1b]0;owned\x07"), 1),
        (OSError("x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_whatever_goes_wrong_is_an_exit_status_and_no_traceback(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("rpyc_kernel.client.launch.kernels", fail)
    monkeypatch.setattr(program, "_give_up_output", lambda status: status)
    assert call("list") == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "\x1b" not in said


@pytest.mark.parametrize("module", ["rpyc_kernel", "rpyc_kernel.cli"])
def test_the_module_is_the_program(module: str):
    result = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, timeout=60)
    assert result.stdout.startswith("rpyc-kernel ")
    assert result.returncode == 0


def test_a_signal_that_comes_while_a_programs_kernel_starts_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    steps = []

    @contextmanager
    def start(*_: object, **__: object) -> Iterator[None]:
        steps.append("started")
        try:
            yield
        finally:
            steps.append("ended")

    def start_slowly(*_: object, **__: object) -> AbstractContextManager[None]:
        signal.raise_signal(signal.SIGINT)
        return start()

    monkeypatch.setattr(execute.Run, "start", start_slowly)
    monkeypatch.setattr(execute, "ShowProgram", lambda *_, **__: pytest.fail("the program has run"))
    (tmp_path / "program.py").write_text("")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert call("run", str(tmp_path / "program.py")) == 130
    assert steps == ["started", "ended"]


def test_in_place_of_a_standard_stream_that_is_closed_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, None)
    assert call("--version") == 0
    with sys.stdin, sys.stdout:
        assert sys.stdin.read() == ""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "number", "status", "said"),
    [
        (KeyboardInterrupt(), 0, 130, "the code may be queued all the same"),
        (ConnectionLost("gone"), 0, 3, "the code may be queued all the same"),
        (OSError(28, "full"), 7, 1, "execution 7 is queued"),
        (NotPermitted("'ann' is here as viewer; it cannot execute code"), 0, 2, None),
    ],
    ids=["Ctrl-C", "lost", "full", "refused"],
)
def test_who_leaves_code_hears_of_it_whatever_comes_in_between(
    error: BaseException,
    number: int,
    status: int,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    class Kernel:
        name, session = "demo", "a"

        def __enter__(self) -> "Kernel":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def submit(self, *_: object, **__: object) -> SimpleNamespace:
            if not number:
                raise error
            return SimpleNamespace(id=number)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(jobs.Submit, "join", lambda *_: Kernel())
    monkeypatch.setattr(jobs.Submit, "write_answer", fail)
    monkeypatch.setattr(program, "_give_up_output", lambda status: status)
    assert call("submit", "demo", "1") == status
    told = capsys.readouterr().err
    if said:
        assert f"{said} in kernel 'demo'; 'rpyc-kernel status demo' shows it\n" in told
    else:
        assert told == f"rpyc-kernel: {error}\n"
