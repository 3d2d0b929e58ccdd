"""How a test waits: for a condition, asked again and again until it holds or a deadline has passed; for a call."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

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


def in_thread(call: Callable[..., T], *arguments: Any) -> "Future[T]":
    """Make a call in a thread of its own; returns the future of what it returns."""
    told: Future[T] = Future()

    def run() -> None:
        try:
            told.set_result(call(*arguments))
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            told.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return told
