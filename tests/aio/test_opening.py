"""Who gives up while a client is made leaves no client behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import anyio
import pytest

from rpyc_kernel.aio.opening import Opening
from tests.support.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.anyio


class SlowDoor:
    """Makes clients when it is told to, and counts those that were closed."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.may_open = threading.Event()
        self.closed = 0

    def open_client(self) -> SlowDoor:
        self.is_asked.set()
        self.may_open.wait(30)
        return self

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def door() -> Iterator[SlowDoor]:
    """A door that opens at the latest when the test ends."""
    slow = SlowDoor()
    yield slow
    slow.may_open.set()


async def test_a_client_that_comes_when_nobody_wants_it_any_more_is_closed(door: SlowDoor) -> None:
    async with anyio.create_task_group() as tasks:

        async def open_one() -> None:
            await Opening(door.open_client)

        tasks.start_soon(open_one)
        await wait_until_async(door.is_asked.is_set, what="the question")
        tasks.cancel_scope.cancel()
    door.may_open.set()
    wait_until(lambda: door.closed == 1, 30)


async def test_what_cannot_be_a_client_is_closed_again(door: SlowDoor) -> None:
    door.may_open.set()
    with pytest.raises(AttributeError):  # it has nothing that a client has
        await Opening(door.open_client)
    assert door.closed == 1
