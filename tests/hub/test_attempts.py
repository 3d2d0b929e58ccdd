"""Who fails to prove itself waits, longer each time, and nobody else does."""

import pytest

from rpyc_kernel.hub import attempts as attempts_module
from rpyc_kernel.hub.attempts import FREE, LONGEST_WAIT_S, Attempts


@pytest.fixture
def attempts(clock):
    return Attempts(clock)


def fail(attempts, count, address="192.0.2.1"):
    for _ in range(count):
        attempts.note_failure(address)


def test_a_few_failures_cost_nothing(attempts):
    fail(attempts, FREE)
    assert attempts.wait_s("192.0.2.1") == 0.0


def test_each_further_failure_doubles_the_wait_up_to_a_bound(attempts, clock):
    fail(attempts, FREE)
    waits = []
    for _ in range(8):
        fail(attempts, 1)
        waits.append(attempts.wait_s("192.0.2.1"))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_WAIT_S, LONGEST_WAIT_S]
    fail(attempts, 10_000)
    assert attempts.wait_s("192.0.2.1") == LONGEST_WAIT_S
    clock.now += LONGEST_WAIT_S - 1.0
    assert attempts.wait_s("192.0.2.1") == 1.0
    clock.now += 1.0
    assert attempts.wait_s("192.0.2.1") == 0.0


def test_nobody_else_waits(attempts):
    fail(attempts, 100)
    assert attempts.wait_s("192.0.2.2") == 0.0


def test_who_has_a_key_or_was_quiet_for_long_is_as_good_as_new(attempts, clock):
    fail(attempts, 100)
    attempts.note_success("192.0.2.1")
    fail(attempts, FREE)
    assert attempts.wait_s("192.0.2.1") == 0.0
    clock.now += 600.0
    fail(attempts, 1)
    assert attempts.wait_s("192.0.2.1") == 0.0


def test_addresses_are_remembered_up_to_a_number_and_the_quietest_goes(attempts, monkeypatch):
    monkeypatch.setattr(attempts_module, "_MAX_ADDRESSES", 3)
    for address in ("a", "b", "a", "c", "d"):
        fail(attempts, FREE + 1, address)
    assert len(attempts._failed) == 3
    assert [address for address in "abcd" if attempts.wait_s(address)] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:1:2:3", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "::2", True),
        ("2001:db8::1", "2001:db8:0:0:1::", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_addresses_that_one_host_may_choose_from_count_as_one(attempts, one, other, is_same):
    fail(attempts, FREE + 1, one)
    assert bool(attempts.wait_s(other)) == is_same
