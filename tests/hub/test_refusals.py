"""Refusals are told of one by one where they are few, and together where they are many."""

import pytest

from rpyc_kernel.hub.refusals import PAUSE_S, Refusals


@pytest.fixture
def recorded():
    return []


@pytest.fixture
def refusals(recorded, clock):
    return Refusals(lambda session, payload: recorded.append(payload), clock)


def test_the_first_is_told_of_at_once_and_each_after_a_quiet_minute(refusals, recorded, clock):
    for number in range(3):
        refusals.note(f"no key {number}", address="192.0.2.1")
        assert recorded[-1] == {"reason": f"no key {number}", "address": "192.0.2.1", "count": 1}
        clock.now += PAUSE_S
        refusals.look()
    assert len(recorded) == 3


def test_a_flood_is_two_events_a_minute_at_most_and_none_is_left_out_of_the_count(refusals, recorded, clock):
    for number in range(10_000):
        refusals.note(f"no key {number}", address="192.0.2.1")
        clock.now += PAUSE_S / 5000
    clock.now += PAUSE_S
    refusals.look()
    assert sum(each["count"] for each in recorded) == 10_000
    assert len(recorded) <= 4
    assert recorded[-1]["reason"] == "no key 9999"
    refusals.look()
    assert len(recorded) <= 4
