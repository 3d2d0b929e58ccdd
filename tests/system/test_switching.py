"""A switch interval that is short for a while, and what user code sets meanwhile."""

import sys

import pytest

from rpyc_kernel.system import switching


@pytest.fixture(autouse=True)
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    yield
    switching.relax()
    sys.setswitchinterval(before)


def test_it_is_short_only_while_something_is_expected():
    for _ in range(1000):  # each time it is cut to whole microseconds
        switching.expect()
        switching.expect()
        assert sys.getswitchinterval() == pytest.approx(0.00005, abs=2e-6)
        switching.relax()
        switching.relax()
        assert sys.getswitchinterval() == pytest.approx(0.0002)


def test_what_user_code_sets_meanwhile_is_the_usual_one():
    switching.expect()
    sys.setswitchinterval(0.004)
    switching.relax()
    assert sys.getswitchinterval() == pytest.approx(0.004)
    switching.expect()
    assert sys.getswitchinterval() == pytest.approx(0.001, abs=2e-6)
    switching.relax()
    assert sys.getswitchinterval() == pytest.approx(0.004)


def test_the_shortest_stays_what_it_is():
    sys.setswitchinterval(1e-6)
    for _ in range(3):
        switching.expect()
        switching.relax()
        assert sys.getswitchinterval() == pytest.approx(1e-6)
