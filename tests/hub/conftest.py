"""What tests of the hub's parts get on request."""

import pytest


class Clock:
    """A clock that the test turns."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()
