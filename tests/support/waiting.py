"""How a test waits: it asks for a condition again and again, until it holds or a deadline has passed."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.005


def wait_until(condition: Callable[[], T], timeout_s: float = 30, what: str = "the condition") -> T:
    """Return the condition's first true answer; fail with `what` when there was none in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        is_last = time.monotonic() >= deadline  # looked at before: the machine may stand still while it is asked
        if answer := condition():
            return answer
        if is_last:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        pause.wait(POLL_S)
