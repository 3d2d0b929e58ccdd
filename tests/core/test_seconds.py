"""How limits of time are told to people."""

import pytest

from rpyc_kernel.core.seconds import show_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(9.99582, "10"), (10.0, "10"), (0.05, "0.05"), (0.5, "0.5"), (2.4449, "2.4"), (3600.0, "3600"), (0.0, "0")],
)
def test_what_is_left_of_a_limit_is_told_without_digits_that_mean_nothing(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown
