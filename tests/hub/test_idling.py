"""When a kernel is idle for too long; the clock is turned here."""

from rpyc_kernel.hub.idling import IdleClock


def test_the_time_is_over_once_it_was_so_throughout():
    clock = IdleClock(10.0)
    assert [clock.look((1, 1), now) for now in (100.0, 109.9, 110.0)] == [False, False, True]


def test_whoever_came_or_ran_something_meanwhile_has_it_begin_anew():
    clock = IdleClock(10.0)
    assert not clock.look((1, 1), 100.0)
    assert not clock.look(None, 109.0)
    assert not clock.look((1, 1), 111.0)
    assert not clock.look((2, 1), 120.0)  # between two looks
    assert not clock.look((2, 2), 129.0)
    assert clock.look((2, 2), 139.0)


def test_without_a_limit_it_is_never_over():
    clock = IdleClock(0.0)
    assert not any(clock.look((1, 1), now) for now in (0.0, 1e9))
    assert clock.describe((1, 1), 1e9) == {"idle_timeout_s": None, "idle_s": 1e9}


def test_a_status_says_for_how_long_it_was_so():
    clock = IdleClock(10.0)
    clock.look((1, 1), 100.0)
    assert clock.describe((1, 1), 104.0) == {"idle_timeout_s": 10.0, "idle_s": 4.0}
    assert clock.describe((2, 1), 104.0) == clock.describe(None, 104.0) == {"idle_timeout_s": 10.0, "idle_s": None}
