"""An object compares itself with what the other side holds as if both were on one side."""

import collections
import datetime
import decimal
import enum
import importlib
import operator
import pathlib
import re
import types
import zoneinfo

import pytest

from rpyc_kernel.wire.netrefs import comparison
from tests.wire.peers import our_pair

MODULES = [
    "array",
    "collections",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "ipaddress",
    "pathlib",
    "re",
    "types",
    "uuid",
    "zoneinfo",
]
OWN = {name: importlib.import_module(name) for name in MODULES}


@pytest.fixture(scope="module")
def root():
    with our_pair() as (client, _):
        client.root.execute(
            f"import {', '.join(MODULES)}\n"
            "numbers, table, few, fixed = [3, 1, 2], {'a': [1]}, {1, 2}, frozenset({1})\n"
            "nested, raw, ordered = [[1], {2: (3, [4])}], bytearray(b'ab'), collections.OrderedDict(a=[1])\n"
        )
        yield client.root


SAME = {
    "numbers": [3, 1, 2],
    "table": {"a": [1]},
    "few": {1, 2},
    "fixed": frozenset({1}),
    "nested": [[1], {2: (3, [4])}],
    "raw": bytearray(b"ab"),
    "ordered": {"a": [1]},
}


@pytest.mark.parametrize("name", SAME)
def test_a_proxy_equals_what_its_object_equals(root, name):
    proxy, own = root.eval(name), SAME[name]
    assert (proxy == own, own == proxy, proxy != own) == (True, True, False)


VALUES = [
    "datetime.date(2026, 1, 2)",
    "datetime.datetime(2026, 1, 2, 3, 4, 5, 6)",
    "datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)",
    "datetime.time(1, 2, 3)",
    "datetime.timedelta(-1, 2, 3)",
    "datetime.timedelta(0)",
    "decimal.Decimal('1.10')",
    "fractions.Fraction(1, 3)",
    "uuid.UUID(int=5)",
    "ipaddress.ip_address('::1')",
    "ipaddress.ip_network('10.0.0.0/8')",
    "range(1, 9, 2)",
    "collections.deque([1, [2]])",
    "collections.Counter('aab')",
    "collections.defaultdict(int, a=1)",
    "collections.OrderedDict(a=1, b=2)",
    "array.array('d', [1, 2])",
    "{'a': 1}.keys()",
    "{'a': [1]}.items()",
    "[datetime.date(2026, 1, 2), {'due': decimal.Decimal(1)}]",
]


@pytest.mark.parametrize("code", VALUES)
def test_equal_values_are_equal_from_either_side(root, code):
    proxy, own, other = root.eval(code), eval(code, {**OWN}), datetime.date(2000, 1, 1)
    assert (proxy == own, own == proxy, proxy != own, own != proxy) == (True, True, False, False)
    assert (proxy == other, other == proxy, proxy != other, other != proxy) == (False, False, True, True)


def test_values_are_ordered_across_the_sides(root):
    due = root.eval("datetime.date(2026, 1, 2)")
    assert datetime.date(2026, 1, 1) < due < datetime.date(2026, 1, 3)
    assert root.eval("decimal.Decimal('1.1')") > decimal.Decimal(1)
    assert datetime.timedelta(1) <= root.eval("datetime.timedelta(days=1)")
    assert datetime.date(2026, 1, 2) in root.eval("[datetime.date(2026, 1, 2)]")


def test_a_path_equals_one_of_the_other_side(root):
    # The other way round the standard library asks the proxy for what it holds, and takes it for another path.
    assert root.eval("pathlib.Path('/a/b')") == pathlib.Path("/a/b")
    assert root.eval("pathlib.Path('/a/b')") != pathlib.Path("/a/c")
    assert root.eval("pathlib.PurePosixPath('a')") == pathlib.PurePosixPath("a")


def test_what_is_alike_and_not_equal_differs_as_it_does_on_one_side(root):
    # A datetime is a date, and is asked first: as one it would be equal.
    assert root.eval("datetime.date(2026, 1, 2)") != datetime.datetime(2026, 1, 2, 12)
    assert root.eval("datetime.datetime(2026, 1, 2)") != datetime.date(2026, 1, 2)
    with pytest.raises(TypeError):
        root.eval("datetime.date(2026, 1, 2)") < datetime.datetime(2026, 1, 2, 12)  # noqa: B015 - what raises
    assert root.eval("[1]") != collections.deque([1])


def test_containers_of_unlike_classes_are_equal_where_they_are_on_one_side(root):
    assert root.eval("{'a': 1}") == collections.Counter("a")
    assert root.eval("collections.Counter('a')") == {"a": 1}
    assert root.eval("{'a', 'b'}") == {"a": 1, "b": 2}.keys()
    assert root.eval("bytearray(b'ab')") == memoryview(b"ab")
    assert root.eval("{1}") == frozenset({1})


class Row(list):
    """What its author has made of a list; nothing is known of it."""


class Day(datetime.date):
    """The same of a date."""


def test_values_of_classes_of_ones_own_are_not_silently_different(root):
    for code, own in {"[1, 2]": Row([1, 2]), "datetime.date(2026, 1, 2)": Day(2026, 1, 2)}.items():
        proxy = root.eval(code)
        for left, right in ((proxy, own), (own, proxy)):
            with pytest.raises(TypeError, match=r"of the other side: pull\(\) a copy"):
                left == right  # noqa: B015 - what raises


def test_keys_that_only_their_own_side_can_find_are_not_silently_different(root):
    root.execute("Colour = enum.Enum('Colour', 'RED', module='tests.wire.netrefs.test_comparison')")
    for code, own in {
        "{Colour.RED: 1}": {Colour.RED: 1},
        "{(1, Colour.RED)}": {(1, Colour.RED)},
        "{Colour.RED: 1}.items()": {Colour.RED: 1}.items(),
    }.items():
        with pytest.raises(TypeError, match=r"keys of tests.wire.netrefs.test_comparison.Colour"):
            root.eval(code) == own  # noqa: B015 - what raises
        assert root.eval(code) != {}  # as it is seen without a key


class Colour(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def test_two_values_that_do_not_know_each_other_are_not_silently_different(root):
    root.execute("Point = collections.namedtuple('Point', 'x y', module='tests.wire.netrefs.test_comparison')")
    root.execute("Colour = enum.Enum('Colour', 'RED', module='tests.wire.netrefs.test_comparison')")
    pairs = {
        "Point(1, 2)": Point(1, 2),
        "Colour.RED": Colour.RED,
        "re.compile('a')": re.compile("a"),
        "types.SimpleNamespace(a=1)": types.SimpleNamespace(a=1),
        "datetime.timezone.utc": datetime.timezone.utc,
        "zoneinfo.ZoneInfo('UTC')": zoneinfo.ZoneInfo("UTC"),
    }
    for code, own in pairs.items():
        proxy = root.eval(code)
        for compare in (operator.eq, operator.ne):
            for left, right in ((proxy, own), (own, proxy)):
                with pytest.raises(TypeError, match=r"cannot be compared .* pull\(\) a copy"):
                    compare(left, right)
        assert proxy == proxy  # which the other side knows
        assert proxy != 5


def test_what_is_compared_by_identity_differs_without_a_word(root):
    assert root.eval("object()") != object()
    assert root.eval("re.compile") != re.compile


OTHERS = {
    "numbers": ([3, 1], [3, 1, 2, 4], (3, 1, 2), 5, None),
    "table": ({"a": [2]}, {"b": [1]}, [("a", [1])]),
    "few": ({1}, [1, 2]),
    "nested": ([[1], {2: (3, [5])}],),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_proxy_differs_from_what_its_object_differs_from(root, name):
    proxy = root.eval(name)
    for other in OTHERS[name]:
        assert (proxy == other, proxy != other) == (False, True), other


def test_order_and_membership_are_the_objects_own(root):
    assert root.eval("numbers") < [4]
    assert root.eval("few") <= {1, 2, 3}
    assert [1] in root.eval("nested")
    assert root.eval("nested").index([1]) == 0
    assert root.eval("lambda theirs: [3, 1, 2] in theirs and theirs[0] == numbers")([[3, 1, 2]])
    with pytest.raises(TypeError):
        root.eval("numbers") < {1}  # noqa: B015 - what raises


def test_what_has_no_hash_has_none_as_a_proxy_either(root):
    with pytest.raises(TypeError, match="unhashable"):
        hash(root.eval("numbers"))
    assert {root.eval("fixed"): 1}[root.eval("fixed")] == 1


def test_what_is_too_large_or_too_deep_is_not_copied(root, monkeypatch):
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested more than"):
        root.eval("[5]") == endless  # noqa: B015 - what raises
    monkeypatch.setattr(comparison, "_MAX_ITEMS", 5)
    with pytest.raises(ValueError, match="more than 5 items"):
        root.eval("[1] * 6") == [0] * 6  # noqa: B015 - what raises
    assert root.eval("[1] * 6") != [0] * 7  # as it is seen without a copy


def test_what_is_contained_often_is_copied_once(root, monkeypatch):
    doubled = [0]
    for _ in range(40):
        doubled = [doubled, doubled]
    monkeypatch.setattr(comparison, "_MAX_ITEMS", 200)
    assert root.eval("[0, 0]") != doubled
