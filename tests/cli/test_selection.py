"""Which events of a journal are chosen."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from rpyc_kernel.cli import selection
from rpyc_kernel.cli.program import run
from rpyc_kernel.cli.selection import Selection
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.system.home import Home
from tests.support.folders import Folders


class Past(Archive):
    """Events at one second each, in memory; counts those that are read."""

    def __init__(self, count: int) -> None:
        self.name = "demo"
        self.read = 0
        self._count = count

    def events(self, since: int = 0, *, follow: bool = False, execution: int | None = None) -> Iterator[Event]:
        for seq in range(since + 1, self._count + 1):
            self.read += 1
            yield Event(seq, float(seq), Kind.STREAM, 1, "a", {"name": "stdout", "text": str(seq)})

    def count(self) -> int:
        return self._count


def describe_even(events: Iterable[Event]) -> Iterator[str]:
    return (event.text for event in events if event.seq % 2 == 0)


def test_the_last_few_are_found_without_reading_all() -> None:
    past = Past(100_000)
    assert list(Selection(past, 0).tail(describe_even, 2, past.count())) == ["99998", "100000"]
    assert past.read <= 1000


def test_who_wants_more_than_is_near_gets_it_from_further_back() -> None:
    past = Past(5000)
    assert len(list(Selection(past, 0).tail(describe_even, 2000, 5000))) == 2000
    assert list(Selection(past, 4996).tail(describe_even, 2000, 5000)) == ["4998", "5000"]
    assert list(Selection(Past(3), 0).tail(describe_even, 2000, 3)) == ["2"]


def test_a_time_is_found_without_reading_all() -> None:
    past = Past(100_000)
    first = next(Selection(past, 70_000.5).events())
    assert first.seq == 70_001
    assert past.read <= 2 * selection._PAGE
    assert list(Selection(past, 1e9).events()) == []
    assert next(Selection(past, 0.0).events()).seq == 1


RECORDS: list[tuple[str, int | None, str, dict[str, Any]]] = [
    (Kind.CLIENT_JOINED, None, "s1", {"name": "ann", "role": "owner"}),
    (Kind.QUEUED, 1, "s1", {"code": "1", "name": "ann", "call": None}),
    (Kind.QUEUED, 2, "s2", {"code": "2", "name": "bob", "call": None}),
    (Kind.STREAM, 1, "s1", {"name": "stdout", "text": "of ann\n"}),
    (Kind.STREAM, 2, "s2", {"name": "stdout", "text": "of bob\n"}),
    (Kind.FINISHED, 1, "s1", {"outcome": "ok", "reason": None, "duration_s": 1.0, "by": None, "generation": 1}),
    (Kind.QUEUED, 3, "s3", {"code": "3", "name": "ann", "call": None}),
]


@pytest.fixture
def stopped(folders: Folders) -> None:
    """A kernel 'demo' that has left a journal of `RECORDS`."""
    home = Home(folders.state / "demo")
    home.create()
    journal = Journal(home.journal, max_memory_bytes=1000, max_unsaved_bytes=1000)
    journal.append([Record(*record[:2], record[2], record[3]) for record in RECORDS])
    journal.close()


@pytest.mark.parametrize(
    ("switches", "numbers"),
    [
        ([], [1, 2, 3, 4, 5, 6, 7]),
        (["--session", "ann"], [1, 2, 4, 6, 7]),
        (["--session", "s2"], [3, 5]),
        (["--session", "ann", "--since", "3"], [4, 6, 7]),
        (["--session", "ann", "--since", "7"], []),
        (["--execution", "1"], [2, 4, 6]),
        (["--execution", "2", "--since", "3"], [5]),
        (["--tail", "2"], [6, 7]),
        (["--tail", "2", "--session", "ann"], [6, 7]),
        (["--tail", "1", "--execution", "2"], [5]),
        (["--since", "1m"], [1, 2, 3, 4, 5, 6, 7]),
        (["--since", "2099-01-01"], []),
    ],
)
def test_a_log_shows_what_is_chosen(
    stopped: None, switches: list[str], numbers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rpyc-kernel", "log", "demo", "--json", *switches]) == 0
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == numbers


@pytest.mark.parametrize(
    ("switches", "told"),
    [
        (["--session", "nobody"], "there is no session 'nobody', or the journal no longer has it"),
        (["--session", "nobody", "--tail", "2"], "there is no session 'nobody'"),
        (["--session", "nobody", "--replay"], "there is no session 'nobody'"),
        (["--session", "bob", "--execution", "1"], "there is no session 'bob' in execution 1"),
    ],
)
def test_a_session_that_there_is_not_is_told(
    stopped: None, switches: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rpyc-kernel", "log", "demo", *switches]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err


@pytest.mark.parametrize("switches", [["--tail", "0"], ["--tail", "2", "--replay"], ["--since", "soon"]])
def test_what_cannot_be_chosen_is_refused(switches: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rpyc-kernel", "log", "nobody", *switches]) == 2
    assert switches[0] in capsys.readouterr().err
