"""What an agent reads of an execution: the beginning and the end of its text, its pictures, and how it stands."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.mcp.report import MAX_PICTURE_CHARS, MAX_PICTURES, ClippedText, Report


def report_of(*events: tuple[str, dict], max_chars: int = 1000) -> Report:
    """A report of events of execution 3."""
    report = Report(3, max_chars)
    for seq, (kind, payload) in enumerate(events):
        report.take(Event(seq, 0.0, kind, 3, "s", payload))
    return report


QUEUED = ("queued", {"code": "1", "name": "a", "is_held": False})
HELD = ("queued", {"code": "1", "name": "a", "is_held": True})
PICTURE = base64.b64encode(b"\x89PNG and so on").decode()
FINISHED = ("finished", {"outcome": "ok", "reason": None, "duration_s": 0.5})


@pytest.mark.parametrize(
    ("events", "state", "words"),
    [
        ([], "queued", "still queued"),
        ([QUEUED, ("started", {})], "running", "still running"),
        ([HELD], "waits for a person's yes", "waits until a person lets it run"),
        ([HELD, ("approved", {"by": "bob"})], "queued", "still queued"),
        ([QUEUED, ("input_requested", {"prompt": "who? "})], "asks", "asks 'who? '"),
        ([QUEUED, ("input_requested", {"prompt": ""}), ("input_answered", {}), ("started", {})], "running", "running"),
        ([QUEUED, FINISHED], "ok", "ok in 0.5 s"),
        ([HELD, ("finished", {"outcome": "cancelled", "reason": "declined by bob"})], "cancelled", "declined by bob"),
    ],
)
def test_it_says_how_it_stands(events: list, state: str, words: str) -> None:
    report = report_of(*events)
    assert report.state == state
    assert words in report.describe()


def test_what_is_shown_is_told_in_order_without_control_characters_and_with_pictures() -> None:
    report = report_of(
        QUEUED,
        ("stream", {"name": "stdout", "text": "one\n\x1b[2Jtwo"}),
        ("display", {"data": {"image/png": PICTURE[:8] + "\n" + PICTURE[8:], "text/plain": "<Figure>"}}),
        ("result", {"data": {"text/plain": "42"}}),
        ("display", {"data": {"application/x-model": "..."}}),
        FINISHED,
    )
    assert report.describe().splitlines()[1:] == ["one", "two", "<Figure>", "=> 42", "<application/x-model>"]
    assert [(each.mime, each.data) for each in report.pictures] == [("image/png", PICTURE)]


def test_of_many_or_large_pictures_only_some_go_along() -> None:
    picture = ("display", {"data": {"image/png": PICTURE}})
    large = ("display", {"data": {"image/png": "x" * (MAX_PICTURE_CHARS + 1)}})
    report = report_of(*[picture] * 5)
    assert len(report.pictures) == MAX_PICTURES
    assert report.describe().count("a picture is left out: there are 4 already") == 1
    report = report_of(large)
    assert report.pictures == []
    assert "a picture is left out: it has 4,000,001 characters" in report.describe()


@pytest.mark.parametrize("data", ["no base64!", "", "cGljdHVyZQ==", "\N{SNOWMAN}"])
def test_what_is_no_picture_does_not_reach_the_agent_as_one(data: str) -> None:
    report = report_of(("display", {"data": {"image/png": data, "text/plain": "fig"}}))
    assert report.pictures == []
    assert report.text == "fig\n[a picture is left out: it is not what its type says]\n"


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        ([], ""),
        (["epoch 1\n", "epoch 2, ", "loss 0.5\n"], "epoch 2, loss 0.5"),
        (["\r 10%", "\r 20%"], "20%"),
        (["\x1b[2Jcleared\n", "  \n\n"], "cleared"),
        (["x" * 5000], "x" * 200),
    ],
)
def test_the_last_line_is_the_newest_that_says_something(pieces: list[str], line: str) -> None:
    assert report_of(*(("stream", {"name": "stdout", "text": each}) for each in pieces)).last_line == line


@given(st.lists(st.text(max_size=50), max_size=30), st.integers(2, 100))
def test_clipped_text_keeps_its_ends_and_counts_what_is_missing(parts: list[str], max_chars: int) -> None:
    text, whole = ClippedText(max_chars), "".join(parts)
    for part in parts:
        text.add(part)
    if len(whole) <= max_chars:
        assert (text.get(), text.omitted_chars) == (whole, 0)
    else:
        assert text.omitted_chars == len(whole) - max_chars
        first, last = max_chars - max_chars // 2, max_chars // 2
        assert text.get().startswith(whole[:first])
        assert text.get().endswith(whole[len(whole) - last :])
