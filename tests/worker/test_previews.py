"""One line for any value, without running its code."""

import datetime
import math
import types
import zoneinfo

import pytest

from rpyc_kernel.worker.previews import preview
from tests.worker.introspection.hostile import Trap, make_netref, touch


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (None, "None"),
        ("ä", "'ä'"),
        (1.5, "1.5"),
        ((), "()"),
        ((1,), "(1,)"),
        ([], "[]"),
        (set(), "set()"),
        (frozenset(), "frozenset()"),
        ({}, "{}"),
        ({"a": [1, (2,)]}, "{'a': [1, (2,)]}"),
        ({1}, "{1}"),
        (math, "<module math>"),
        (Trap, "<type Trap>"),
        (len, "<builtin_function_or_method len>"),
        (range(5), "range(0, 5)"),
        (range(5, 1, -2), "range(5, 1, -2)"),
        (range(10**20), "range(0, 100000000000000000000)"),
        ([range(10**5000)], "[range(0, <int of 16610 bits>)]"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.datetime(2024, 1, 2, 3), "2024-01-02 03:00:00"),
        (datetime.time(3, tzinfo=datetime.timezone.utc), "03:00:00+00:00"),
        (datetime.datetime(2024, 1, 2, 3, tzinfo=zoneinfo.ZoneInfo("UTC")), "2024-01-02 03:00:00+00:00"),
    ],
)
def test_a_preview_shows_plain_values_as_they_are(value, text):
    assert preview(value) == text


def endless():
    items = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        b"x" * 10**7,
        list(range(10**6)),
        dict.fromkeys(range(10**6)),
        set(range(10**6)),
        10**100_000,
        -(10**100_000),
        [[[[[[[1]]]]]]],
        endless(),
        ["x" * 1000] * 1000,
        {"x" * 1000: "y" * 1000},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_preview_is_one_short_line(value):
    shown = preview(value)
    assert len(shown) < 500
    assert "\n" not in shown


class Zone(datetime.tzinfo):
    """A time zone of the user's making."""

    utcoffset = tzname = dst = __repr__ = __str__ = touch


def make_class(**members):
    return type("Strange", (), members)


def make_nameless():
    """An object of a class that has no module."""
    return eval("type('Strange', (), {})()", {})


@pytest.mark.parametrize(
    "make",
    [
        Trap,
        lambda: datetime.datetime(2024, 1, 2, tzinfo=Zone()),
        lambda: datetime.time(3, tzinfo=Zone()),
        lambda: [datetime.datetime(2024, 1, 2, tzinfo=Zone())],
        lambda: make_class(__module__=Trap())(),
        make_nameless,
        lambda: [Trap()],
        lambda: (Trap(), 1),
        lambda: {1: Trap()},
        lambda: [make_netref()],
        lambda: types.SimpleNamespace(x=Trap()),
        lambda: type("Int", (int,), {"__repr__": touch})(3),
        lambda: type("Str", (str,), {"__repr__": touch, "__len__": touch, "__getitem__": touch})("x"),
        lambda: type("List", (list,), {"__repr__": touch, "__len__": touch, "__iter__": touch})(),
        lambda: [type("Str", (str,), {"__repr__": touch})("x")],
    ],
)
def test_a_preview_runs_no_code_of_the_values(make):
    assert "object>" in preview(make())


class SteadyZone(datetime.tzinfo):
    """A time zone of the user's making, which tells whether it may be asked."""

    may_be_asked = True

    def utcoffset(self, when):
        if not self.may_be_asked:
            touch()
        return datetime.timedelta(hours=1)

    def dst(self, when):
        return self.utcoffset(when)

    def tzname(self, when):
        self.utcoffset(when)
        return "steady"

    def __str__(self):
        return self.tzname(None)


def test_a_time_zone_of_the_users_is_not_asked_by_way_of_a_table():
    pandas = pytest.importorskip("pandas")
    zone = SteadyZone()
    index = pandas.DatetimeIndex(["2024-01-02"], tz=zone)
    values = [index, index[0], pandas.Series(index), pandas.DataFrame([[1]], columns=index)]
    zone.may_be_asked = False
    assert [preview(value).rpartition(".")[2] for value in values] == [
        "DatetimeIndex object>", "Timestamp object>", "Series object>", "1 rows x 1 columns",
    ]  # fmt: skip


def test_times_of_known_zones_are_shown_wherever_they_are():
    pandas = pytest.importorskip("pandas")
    index = pandas.DatetimeIndex(["2024-01-02"], tz="UTC")
    shown = "2024-01-02 00:00:00+00:00"
    assert preview(index[0]) == shown
    assert preview(index) == preview(pandas.Series(index)) == f"[{shown}]"
    assert preview(pandas.DataFrame([[1]], columns=index)) == f"1 rows x 1 columns: [{shown}]"


def test_a_preview_can_travel():
    preview("\ud800").encode()
