"""How times are read, and shown."""

import calendar
import time
from collections.abc import Iterator

import pytest

from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.cli.times import format_in_utc, read_term, read_when
from rpyc_kernel.faces.frontend.summaries import format_time

NOW = float(calendar.timegm((2026, 11, 27, 13, 45, 10)))


@pytest.fixture(params=["UTC", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """A time zone, as how many seconds it is ahead."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield 0.0 if request.param == "UTC" else 5.5 * 3600
    time.tzset()


@pytest.mark.parametrize(
    ("text", "is_local", "ago_s"),
    [
        ("10s", False, 10),
        ("1.5m", False, 90),
        ("2h", False, 7200),
        ("1h30m", False, 5400),
        ("3d", False, 3 * 86_400),
        ("2026-11-27", True, 13 * 3600 + 45 * 60 + 10),
        ("2026-11-27 13:45", True, 10),
        ("2026-11-27T13:45:09", True, 1),
        ("2026-11-27T13:45:09Z", False, 1),
        ("13:45Z", False, 10),
        ("13:45:11Z", False, 86_399),  # yesterday
    ],
)
def test_a_time_is_read_as_people_write_it(zone: float, text: str, is_local: bool, ago_s: float) -> None:
    when = read_when(text, NOW)
    assert isinstance(when, float)
    assert when == NOW - ago_s - (zone if is_local else 0)


def test_a_time_of_day_is_one_that_is_past(zone: float) -> None:
    when = read_when("12:00", NOW)
    assert 0 <= NOW - when < 86_400
    assert time.localtime(when)[3:6] == (12, 0, 0)


def test_a_number_is_one_of_an_event() -> None:
    assert read_when("120", NOW) == 120
    assert isinstance(read_when("120", NOW), int)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "10 m", "nan", "1e3", "٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="use the number of an event, or a time such as 10m"):
        read_when(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("2h", 7200), ("1.5d", 129_600), ("2w", 1_209_600), ("520w", 520 * 604_800)],
)
def test_a_term_is_numbers_with_units(text: str, seconds: float) -> None:
    assert read_term(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 h", "2y", "0s", "nan", "1e9s", "11111w", "٣h", "2h3", "2hx"])
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"use a time such as 90s"):
        read_term(text)


@pytest.mark.parametrize("seconds", [1e300, -1e300, 1e17])
def test_a_moment_of_no_calendar_takes_nothing_else_away(seconds: float) -> None:
    assert format_time(seconds) == format_in_utc(seconds) == "?"
