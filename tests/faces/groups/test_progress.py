"""How far each kernel is stands in a line of its own, which changes in place."""

from __future__ import annotations

import io
from typing import Any

import pyte

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.groups.lines import Lines
from rpyc_kernel.faces.groups.progress import Block, Progress, describe


class Told:
    """A progress whose clock the test turns."""

    def __init__(self, *labels: str) -> None:
        self.now = 0.0
        self.lines = Lines()
        self.progress = Progress(labels, self.lines, lambda: self.now)

    def take(self, who: str, kind: str, **payload: Any) -> None:
        event = Event(1, 0.0, kind, 3, "s", payload)
        self.lines.take(who, event)
        self.progress.take(who, event)

    def describe(self, most: int | None = None) -> list[str]:
        return describe(self.progress.rows(), self.progress.seconds, most=most)


def test_each_has_a_line_with_its_state_its_time_and_what_it_printed_last() -> None:
    told = Told("a", "long-name", "c")
    told.take("a", Kind.STARTED)
    told.take("long-name", Kind.STARTED)
    told.take("a", Kind.STREAM, name="stderr", text="\r 40%|####      |")
    told.now = 2.5
    told.take("long-name", Kind.FINISHED, outcome="ok", reason=None)
    told.now = 4.0
    assert told.describe() == [
        "1 of 3 have ended, 4.0 s",
        "a          running  4.0 s  40%|####      |",
        "long-name  ok       2.5 s",
        "c          queued",
    ]


def test_why_one_has_failed_stands_in_its_line() -> None:
    told = Told("a", "b", "c")
    told.take("a", Kind.STARTED)
    told.take("a", Kind.ERROR, ename="ValueError", evalue="no\nmore", traceback="", notes=[], chain=[])
    told.take("a", Kind.FINISHED, outcome="error", reason=None)
    told.progress.fail("b", ConnectionLost("the host is gone"))
    told.take("c", Kind.FINISHED, outcome="lost", reason="killed by SIGKILL")
    assert [(row.who, row.state, row.words) for row in told.progress.failures()] == [
        ("a", "error", "ValueError: no more"),
        ("b", "failed", "the host is gone"),
        ("c", "lost", "killed by SIGKILL"),
    ]
    assert told.describe()[0] == "3 of 3 have ended, 3 of them badly, 0.0 s"
    told.take("c", Kind.QUEUED, code="")  # it is run again
    told.take("c", Kind.STARTED)
    assert told.progress.rows()[2].state == "running"


def test_of_a_kernel_that_is_away_it_is_said_until_it_is_there_again() -> None:
    told = Told("a", "b")
    told.take("a", Kind.STARTED)
    told.take("a", Kind.STREAM, name="stdout", text="at work\n")
    told.progress.lose("a", "the connection is lost")
    assert told.describe()[1] == "a  away    0.0 s  the connection is lost"
    told.progress.lose("a", "")
    assert told.describe()[1] == "a  running  0.0 s  at work"


def test_where_there_is_no_room_for_all_those_that_go_on_stand_first() -> None:
    told = Told("a", "b", "c", "d")
    told.take("a", Kind.FINISHED, outcome="ok", reason=None)
    told.take("c", Kind.STARTED)
    told.take("d", Kind.INPUT_REQUESTED, prompt="", password=False, token=1)
    lines = told.describe(3)
    assert [line.split()[0] for line in lines[1:3]] == ["c", "d"]
    assert lines[3] == "and 2 more"


def test_a_block_changes_in_place_and_goes_without_a_trace() -> None:
    stream = io.StringIO()
    screen = pyte.Screen(80, 6)
    block = Block(stream)

    def show() -> list[str]:
        pyte.Stream(screen).feed(stream.getvalue().replace("\n", "\r\n"))
        stream.seek(0)
        stream.truncate()
        return [line.rstrip() for line in screen.display if line.strip()]

    block.draw(["one", "two" * 40])
    assert show() == ["one", ("two" * 40)[:79]]
    block.draw(["three"])
    assert show() == ["three"]
    block.draw(["three"])
    assert stream.getvalue() == ""
    block.clear()
    stream.write("printed\n")
    block.draw(["four"])
    assert show() == ["printed", "four"]
