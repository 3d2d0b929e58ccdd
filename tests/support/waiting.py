"""How a test waits: for a condition, asked again and again until it holds or a deadline has passed; for a call."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import anyio

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


async def wait_until_async(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = 30, what: str = "the condition"
) -> T:
    """The same on an event loop, which goes on meanwhile; of a condition that may await."""
    deadline = time.monotonic() + timeout_s
    while True:
        is_last = time.monotonic() >= deadline
        answer = condition()
        if found := await answer if isinstance(answer, Awaitable) else answer:
            return found
        if is_last:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
        await anyio.sleep(POLL_S)


def in_thread(call: Callable[..., T], *arguments: Any) -> Future[T]:
    """Make a call in a thread of its own; returns the future of what it returns."""
    told: Future[T] = Future()

    def run() -> None:
        try:
            told.set_result(call(*arguments))
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            told.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return told
