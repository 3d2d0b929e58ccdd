"""The end of the journal in memory keeps to its budget, whatever events are like."""

import sys

import pytest

from rpyc_kernel.hub.journal.tail import Tail, cost_of


def make(first, count, chars=10):
    # Each has objects of its own, as those that are made one after the other.
    return [
        (seq, float(seq), "stream", 1000 + seq, "session", "x" * (chars - 1) + str(seq % 10))
        for seq in range(first, first + count)
    ]


def measure(event):
    seq, when, _, execution, _, payload = event
    gc_head, place = 16, 8
    return gc_head + place + sum(map(sys.getsizeof, (event, seq, when, execution, payload)))


@pytest.mark.parametrize("chars", [2, 100, 10_000])
def test_an_event_costs_at_least_what_it_takes(chars):
    (event,) = make(1, 1, chars)
    assert measure(event) <= cost_of(event[5]) <= measure(event) + 100


@pytest.mark.parametrize("chars", [2, 100, 10_000])
@pytest.mark.parametrize("batch", [1, 7])
def test_no_more_is_held_than_the_budget_allows_and_not_much_less(chars, batch):
    tail = Tail(100_000)
    for first in range(1, 2000, batch):
        tail.extend(make(first, batch, chars), None)
        assert tail.bytes == sum(cost_of(event[5]) for event in tail.events) <= 100_000
    assert tail.bytes > 50_000
    assert sum(map(measure, tail.events)) <= 100_000


def test_the_newest_event_is_always_held():
    tail = Tail(10)
    tail.extend(make(1, 5), None)
    assert [event[0] for event in tail.events] == [5]


def test_what_stands_nowhere_else_is_held():
    tail = Tail(10)
    tail.extend(make(1, 5), 3)
    assert tail.first == 3


def test_what_is_not_all_held_is_not_given():
    tail = Tail(10)
    assert tail.after(0, 10, 1000) is None
    tail.extend(make(1, 5), 3)
    assert tail.after(1, 10, 1000) is None
    assert [event[0] for event in tail.after(2, 10, 1000)] == [3, 4, 5]
    assert [event[0] for event in tail.after(3, 1, 1000)] == [4]
    assert [event[0] for event in tail.after(2, 10, 15)] == [3, 4]
    assert tail.after(5, 10, 1000) == []
