"""What happens is told of one by one where it is seldom, and together where it is often."""

import pytest

from rpyc_kernel.hub.sparing import Sparing

PAUSE_S = 60.0


@pytest.fixture
def told():
    return []


@pytest.fixture
def sparing(told, clock):
    return Sparing(lambda *what: told.append(what), PAUSE_S, clock)


def test_the_first_is_told_of_at_once_and_each_after_a_quiet_time(sparing, told, clock):
    for number in range(3):
        sparing.note(f"no key {number}")
        assert told[-1] == (f"no key {number}", 1, True)
        clock.now += PAUSE_S
        sparing.look()
    assert len(told) == 3


def test_those_that_follow_soon_are_told_of_together_though_none_comes_after_them(sparing, told, clock):
    for number in range(4):
        sparing.note(f"no key {number}")
    clock.now += PAUSE_S - 1.0
    sparing.look()
    assert told == [("no key 0", 1, True)]
    clock.now += 1.0
    for _ in range(2):
        sparing.look()
    assert told == [("no key 0", 1, True), ("no key 3", 3, False)]


def test_those_that_are_alike_are_told_from_those_that_are_not(sparing, told, clock):
    for whats in (["no key"] * 4, ["no key", "no room", "no key"], ["no room"] * 2):
        for what in whats:
            sparing.note(what)
        clock.now += PAUSE_S
        sparing.look()
    assert [each[1:] for each in told] == [(1, True), (3, True), (3, False), (2, True)]


def test_a_flood_is_told_of_twice_in_a_pause_at_most_and_none_is_left_out_of_the_count(sparing, told, clock):
    for number in range(10_000):
        sparing.note(f"no key {number}")
        clock.now += PAUSE_S / 5000
    clock.now += PAUSE_S
    sparing.look()
    assert sum(count for _, count, _ in told) == 10_000
    assert len(told) <= 4
    assert told[-1][0] == "no key 9999"
