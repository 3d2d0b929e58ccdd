"""What log and history show: recordings at their pace, and the inputs of a kernel that is stopped."""

import json
import time

import pytest

from rpyc_kernel.cli.application import USAGE
from rpyc_kernel.cli.past import pace
from rpyc_kernel.cli.program import run
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.system.home import Home
from tests.support.folders import Folders

INPUTS = ["x = 1", "def f():\n    return 2\n", "y = '\x1b[2J'"]


def _event(seq: int, time: float) -> Event:
    return Event(seq, time, "stream", 1, "session", {"name": "stdout", "text": str(seq)})


def test_a_recording_is_shown_with_its_pauses() -> None:
    shown: list[int | float] = []
    for event in pace([_event(1, 100.0), _event(2, 102.0), _event(3, 102.5)], 2.0, shown.append):
        shown.append(event.seq)
    assert shown == [1, 1.0, 2, 0.25, 3]


def test_a_clock_that_was_set_back_makes_no_pause() -> None:
    pauses: list[float] = []
    assert len(list(pace([_event(1, 100.0), _event(2, 90.0)], 1.0, pauses.append))) == 2
    assert pauses == [0.0]


@pytest.fixture
def stopped(folders: Folders) -> list[float]:
    """A kernel `demo` that has run `INPUTS` and a call; when it did."""
    home = Home(folders.state / "demo")
    home.create()
    journal = Journal(home.journal, max_memory_bytes=1000, max_unsaved_bytes=1000)
    queued = [{"code": code, "name": "ann", "call": None} for code in INPUTS]
    queued.append({"code": "# comm_msg", "name": "ann", "call": "w1", "is_input": False})
    journal.append([Record(Kind.QUEUED, number, "a", what) for number, what in enumerate(queued, start=1)])
    journal.close()
    return [event.time for event in Archive("demo").events()]


def _show(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["rpyc-kernel", "history", "demo", *arguments]) == 0
    return capsys.readouterr().out


def test_what_was_run_in_a_stopped_kernel_is_shown_with_number_time_and_author(
    stopped: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    heads = [
        f"[{number}] {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(moment))} ann: "
        for number, moment in enumerate(stopped, start=1)
    ]
    indent = " " * len(heads[1])
    assert _show(capsys).splitlines() == [
        f"{heads[0]}x = 1",
        f"{heads[1]}def f():",
        f"{indent}    return 2",
        f"{heads[2]}y = ''",
    ]


def test_a_history_can_be_searched_limited_and_read_by_programs(
    stopped: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    def codes(*arguments: str) -> list[str]:
        return [json.loads(line)["code"] for line in _show(capsys, "--json", *arguments).splitlines()]

    assert codes() == INPUTS
    assert codes("--limit", "2") == INPUTS[1:]
    assert codes("return", "2") == INPUTS[1:2]
    assert codes("nothing of the kind") == []
    assert json.loads(_show(capsys, "--json", "x = 1")) == {
        "seq": 1,
        "execution": 1,
        "time": stopped[0],
        "name": "ann",
        "code": "x = 1",
    }


@pytest.mark.parametrize("limit", ["0", "-3", "many"])
def test_a_limit_that_is_none_is_said(stopped: list[float], capsys: pytest.CaptureFixture[str], limit: str) -> None:
    assert run(["rpyc-kernel", "history", "demo", f"--limit={limit}"]) == 2
    assert "limit" in capsys.readouterr().err


def test_a_kernel_that_never_was_has_no_history(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rpyc-kernel", "history", "demo"]) == 3
    assert "'demo'" in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "nan"])
def test_a_replay_at_a_speed_that_is_none_is_refused(
    folders: Folders, speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rpyc-kernel", "log", "demo", "--replay", f"--speed={speed}"]) == USAGE
    assert "a replay needs a speed above 0" in capsys.readouterr().err
