import asyncio
import threading
from collections.abc import Iterator

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.console.following import _MAX_UNTAKEN, Following
from tests.faces.console.events import make_event
from tests.support.waiting import wait_until

TIMEOUT_S = 30


def make_events(count: int) -> Iterator[Event]:
    return (make_event(Kind.STREAM, 1, seq=seq, name="stdout", text="x") for seq in range(count))


async def collect(following: Following) -> list[int]:
    return [event.seq async for batch in following.batches() for event in batch]


def test_all_events_come_in_order():
    async def run() -> list[int]:
        following = Following(lambda: make_events(10_000))
        try:
            return await asyncio.wait_for(collect(following), TIMEOUT_S)
        finally:
            following.close()

    assert asyncio.run(run()) == list(range(10_000))


def test_what_nobody_takes_is_not_read():
    read = []

    def read_events() -> Iterator[Event]:
        for event in make_events(10 * _MAX_UNTAKEN):
            read.append(event.seq)
            yield event

    async def run() -> None:
        following = Following(read_events)
        await asyncio.to_thread(wait_until, lambda: len(read) > _MAX_UNTAKEN)
        following.close()

    asyncio.run(run())
    assert len(read) == _MAX_UNTAKEN + 1


def test_the_error_that_ends_the_events_comes_after_them():
    def read_events() -> Iterator[Event]:
        yield from make_events(3)
        raise ConnectionLost("gone")

    async def run() -> list[int]:
        seen = []
        following = Following(read_events)
        with pytest.raises(ConnectionLost, match="gone"):
            async for batch in following.batches():
                seen += [event.seq for event in batch]
        following.close()
        return seen

    assert asyncio.run(run()) == [0, 1, 2]


def test_an_event_wakes_whoever_waits():
    gate = threading.Event()

    def read_events() -> Iterator[Event]:
        gate.wait(TIMEOUT_S)
        yield from make_events(1)

    async def run() -> list[int]:
        following = Following(read_events)
        asyncio.get_running_loop().call_later(0.05, gate.set)
        try:
            return await asyncio.wait_for(collect(following), TIMEOUT_S)
        finally:
            following.close()

    assert asyncio.run(run()) == [0]


def test_events_that_come_after_the_end_of_the_loop_are_dropped():
    gate = threading.Event()

    def read_events() -> Iterator[Event]:
        gate.wait(TIMEOUT_S)
        yield from make_events(1)

    async def begin() -> Following:
        return Following(read_events)

    following = asyncio.run(begin())
    gate.set()
    following.close()
