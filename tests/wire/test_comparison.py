"""An object compares itself with what the other side holds as if both were on one side."""

import pytest

from rpyc_kernel.wire import comparison
from tests.wire.peers import our_pair


@pytest.fixture(scope="module")
def root():
    with our_pair() as (client, _):
        client.root.execute(
            "import collections\n"
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
        root.eval("numbers") == endless  # noqa: B015 - what raises
    monkeypatch.setattr(comparison, "_MAX_ITEMS", 5)
    with pytest.raises(ValueError, match="more than 5 items"):
        root.eval("numbers") == [0] * 6  # noqa: B015 - what raises
