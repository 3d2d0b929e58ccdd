"""How often a connection is tried again, after which pauses, and what ends that."""

import math

import pytest

from rpyc_kernel.client import returning
from rpyc_kernel.client.returning import Attempts, come_back
from rpyc_kernel.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    NoSuchKernel,
    NotPermitted,
    VersionMismatch,
)


class Clock:
    """Time that passes only where somebody waits; as what ends the attempts, it is waited on."""

    def __init__(self):
        self.now = 100.0
        self.pauses = []
        self.is_set = False
        self.closes_after = math.inf

    def monotonic(self):
        return self.now

    def wait(self, timeout_s):
        self.pauses.append(timeout_s)
        self.now += timeout_s
        self.is_set = self.now >= self.closes_after
        return self.is_set


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(returning, "time", clock)
    return clock


def tries(clock, *outcomes, takes_s=0.0):
    """Something to enter, which goes on with the last of the outcomes; the limits it was given."""
    left, limits = list(outcomes), []

    def enter(limit_s):
        limits.append(limit_s)
        clock.now += min(takes_s, limit_s)
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return enter, limits


def no_spread():
    return 0.0


def test_it_is_tried_at_once_and_then_after_pauses_that_grow(clock):
    enter, _ = tries(clock, *[ConnectionFailed("refused")] * 12, "there")
    assert come_back(enter, Attempts(60.0, no_spread), clock, timeout_s=10.0) == "there"
    assert clock.pauses[0] == 0
    assert clock.pauses[1] == pytest.approx(0.05)
    assert clock.pauses == sorted(clock.pauses)
    assert clock.pauses[-1] == 2.0


def test_those_who_lose_a_hub_at_once_do_not_come_at_once():
    early, late = Attempts(60.0, lambda: 1.0), Attempts(60.0, no_spread)
    pauses = [(early.choose_pause(), late.choose_pause()) for _ in range(5)]
    assert all(soon == pytest.approx(later / 2) for soon, later in pauses)


def test_the_limit_counts_attempts_and_pauses_and_says_what_was_in_the_way(clock):
    enter, limits = tries(clock, ConnectionFailed("refused"), takes_s=3.0)
    attempts = Attempts(20.0, no_spread)
    with pytest.raises(ConnectionLost, match="in time: refused"):
        come_back(enter, attempts, clock, timeout_s=10.0)
    assert clock.now == pytest.approx(120.0)
    assert max(limits) == 10.0
    with pytest.raises(ConnectionLost):
        come_back(enter, attempts, clock, timeout_s=10.0)
    assert clock.now == pytest.approx(120.0)


def test_a_connection_that_holds_gives_the_next_loss_all_the_time(clock):
    attempts = Attempts(20.0, no_spread)
    attempts.spend(19.0)
    assert attempts.left_s == pytest.approx(1.0)
    attempts.begin_anew()
    assert (attempts.left_s, attempts.choose_pause()) == (20.0, 0.0)


def test_a_callers_own_limit_ends_it_for_the_caller_only(clock):
    enter, limits = tries(clock, ConnectionFailed("refused"), takes_s=10.0)
    attempts = Attempts(60.0, no_spread)
    with pytest.raises(CallTimeout, match="so far: refused"):
        come_back(enter, attempts, clock, timeout_s=10.0, deadline=clock.now + 2.0)
    assert limits == [2.0]
    assert attempts.left_s == pytest.approx(58.0)


@pytest.mark.parametrize("kind", [AuthenticationFailed, NotPermitted, VersionMismatch, NoSuchKernel])
def test_what_no_attempt_can_change_ends_it_at_once(clock, kind):
    enter, limits = tries(clock, ConnectionFailed("refused"), kind("never"))
    with pytest.raises(kind, match="never"):
        come_back(enter, Attempts(60.0, no_spread), clock, timeout_s=10.0)
    assert len(limits) == 2


def test_who_closes_ends_it_within_a_pause(clock):
    clock.closes_after = 100.3
    enter, _ = tries(clock, ConnectionFailed("refused"))
    with pytest.raises(ConnectionLost, match="closed here"):
        come_back(enter, Attempts(60.0, no_spread), clock, timeout_s=10.0)
    assert clock.now < 100.5
