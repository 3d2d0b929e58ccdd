"""What wait, output and result say of executions of a stopped kernel, whose journal is made here; and bad input."""

import base64
import json
from typing import Any

import pytest

from rpyc_kernel.cli.program import run
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.system.home import Home
from tests.support.folders import Folders

ERROR = {"ename": "ValueError", "evalue": "no", "traceback": "Traceback …\nValueError: no\n", "notes": [], "chain": []}
GOOD, BAD, LEFT, LOST, STOPPED, OPEN = range(1, 7)


def make_value(text: str) -> dict[str, Any]:
    return {"data": {"text/plain": text}, "metadata": {}, "literal": text}


def make_end(outcome: str, reason: str | None = None) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "duration_s": 1.25, "by": None, "generation": 1}


RECORDS = [
    *((Kind.QUEUED, number, {"code": "…", "name": "ann", "call": None}) for number in range(1, 7)),
    (Kind.STREAM, GOOD, {"name": "stdout", "text": "out\n"}),
    (Kind.STREAM, BAD, {"name": "stdout", "text": "of another\n"}),
    (Kind.STREAM, GOOD, {"name": "stderr", "text": "err\n"}),
    (Kind.STREAM, GOOD, {"name": "stdout", "text": "\\xff\n", "raw": base64.b64encode(b"\xff\n").decode()}),
    (Kind.ERROR, GOOD, ERROR),  # shown, and no end
    (Kind.RESULT, GOOD, make_value("'first'")),
    (Kind.RESULT, GOOD, make_value("42")),
    (Kind.FINISHED, GOOD, make_end(Outcome.OK)),
    (Kind.ERROR, BAD, ERROR),
    (Kind.FINISHED, BAD, make_end(Outcome.ERROR)),
    (Kind.ERROR, LEFT, {**ERROR, "exit_code": 7}),
    (Kind.FINISHED, LEFT, make_end(Outcome.ERROR)),
    (Kind.FINISHED, LOST, make_end(Outcome.LOST, "killed by SIGKILL")),
    (Kind.FINISHED, STOPPED, make_end(Outcome.INTERRUPTED)),
    (Kind.STREAM, OPEN, {"name": "stdout", "text": "begun\n"}),
]


@pytest.fixture(autouse=True)
def stopped(folders: Folders) -> None:
    """A kernel 'demo' that has left a journal of `RECORDS`."""
    home = Home(folders.state / "demo")
    home.create()
    journal = Journal(home.journal, max_memory_bytes=1000, max_unsaved_bytes=1000)
    journal.append([Record(kind, number, "a", payload) for kind, number, payload in RECORDS])
    journal.close()


def ask(*arguments: object) -> int:
    return run(["rpyc-kernel", *map(str, arguments)])


def test_output_is_written_byte_for_byte_to_the_stream_that_it_was_written_to(capfdbinary: Any) -> None:
    assert ask("output", "demo", GOOD) == 0
    assert capfdbinary.readouterr() == (b"out\n\xff\n", b"err\n")


def test_one_stream_can_be_chosen(capfdbinary: Any) -> None:
    assert ask("output", "demo", GOOD, "--stream", "stderr") == 0
    assert capfdbinary.readouterr() == (b"", b"err\n")


def test_output_can_be_read_by_programs_and_of_what_never_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("output", "demo", OPEN, "--json") == 0
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (event["kind"], event["name"], event["text"]) == ("stream", "stdout", "begun\n")


@pytest.mark.parametrize(
    ("number", "status", "out", "err"),
    [
        (GOOD, 0, "42\n", ""),
        (BAD, 1, "", ERROR["traceback"]),
        (LEFT, 7, "", ""),
        (LOST, 1, "", "execution 4 is lost: killed by SIGKILL\n"),
        (STOPPED, 130, "", "execution 5 is interrupted\n"),
    ],
)
def test_a_result_is_the_value_or_the_error(
    number: int, status: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask("result", "demo", number) == status
    assert capsys.readouterr() == (out, err)


def test_a_result_can_be_read_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert (ask("result", "demo", GOOD, "--json"), ask("result", "demo", BAD, "--json")) == (0, 1)
    good, bad = map(json.loads, capsys.readouterr().out.replace("}\n{", "}\0{").split("\0"))
    assert good == {
        "execution": GOOD,
        "outcome": "ok",
        "status": 0,
        "reason": None,
        "duration_s": 1.25,
        "text": "42",
        "literal": "42",
        "data": {"text/plain": "42"},
        "error": None,
    }
    assert (bad["status"], bad["text"], bad["error"]) == (1, None, ERROR)


def test_the_status_of_several_is_that_of_the_first_that_did_not_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("wait", "demo", GOOD) == 0
    assert ask("wait", "demo", GOOD, LEFT, BAD) == 7
    assert ask("wait", "demo", BAD, LEFT) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "execution 1: ok, after 1.2 s",
        "execution 1: ok, after 1.2 s",
        "execution 3: error, after 1.2 s",
    ]
    assert ask("wait", "demo", LOST, "--json") == 1
    told = {"execution": LOST, "outcome": "lost", "status": 1, "reason": "killed by SIGKILL", "duration_s": 1.25}
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize("command", ["wait", "result"])
def test_what_had_not_ended_when_its_kernel_did_is_not_waited_for(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(command, "demo", OPEN) == 3
    out, err = capsys.readouterr()
    assert (out, "start it with 'rpyc-kernel start demo'" in err) == ("", True)


@pytest.mark.parametrize("command", ["wait", "output", "result"])
def test_an_execution_that_never_was_is_wrong_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("99", "x"):
        assert ask(command, "demo", number) == 2
    assert "there is no execution 99" in capsys.readouterr().err


def test_a_kernel_that_never_was_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("wait", "output", "result"):
        assert ask(command, "nobody", 1) == 3
    assert capsys.readouterr().err.count("kernel 'nobody' is not running") == 3


@pytest.mark.parametrize("limit", ["-1", "nan", "soon"])
def test_a_limit_that_is_none_is_refused_before_anything_is_done(
    limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (("wait", "nobody", "1"), ("result", "nobody", "1"), ("exec", "nobody", "1")):
        assert ask(*command, f"--timeout={limit}") == 2
    assert "timeout" in capsys.readouterr().err


def test_a_program_that_cannot_be_read_or_run_beside_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("submit", "nobody", "--file", "/nowhere.py") == 2
    assert ask("submit", "nobody", "--side", "--file", __file__) == 2
    refusals = capsys.readouterr().err.splitlines()
    assert ["/nowhere.py cannot be read" in refusals[0], "leave out --side" in refusals[1]] == [True, True]


def test_modules_are_reloaded_for_programs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("submit", "nobody", "--reload", "1") == 2
    assert ask("run", "--reload", __file__) == 2
    assert ask("run", "--kernel", "nobody", "--reload") == 2
    assert capsys.readouterr().err.count("--reload is for") == 3
