"""Events in a loop: each when it comes, none before it is wanted, and the reason of their end."""

import asyncio
from contextlib import aclosing

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.frontend import following
from rpyc_kernel.faces.frontend.following import follow
from tests.faces.frontend.events import make_event
from tests.faces.frontend.watches import FakeWatch

TIMEOUT_S = 30


def make_events(*numbers: int) -> list[Event]:
    return [make_event(Kind.STREAM, 1, seq=seq, name="stdout", text="x") for seq in numbers]


def test_an_event_wakes_whoever_waits_and_none_is_asked_for_before_the_last_is_dealt_with():
    async def run() -> None:
        watch = FakeWatch()
        async with aclosing(follow(watch)) as batches:
            for seq in (1, 2, 3):
                (event,) = make_events(seq)
                waiting = asyncio.ensure_future(anext(batches))
                await asyncio.sleep(0)
                watch.put(event)
                assert await asyncio.wait_for(waiting, TIMEOUT_S) == [event]
                assert watch.asked == seq
        assert watch.is_closed

    asyncio.run(run())


def test_the_error_that_ends_the_events_comes_after_them():
    async def run() -> list[int]:
        seen = []
        watch = FakeWatch(*make_events(0, 1, 2), ConnectionLost("gone"))
        with pytest.raises(ConnectionLost, match="gone"):
            async for batch in follow(watch):
                seen += [event.seq for event in batch]
        assert watch.is_closed
        return seen

    assert asyncio.run(run()) == [0, 1, 2]


def test_a_connection_on_which_nothing_comes_is_looked_after(monkeypatch):
    """Else a hub that hangs would never be noticed."""
    monkeypatch.setattr(following, "_LOOK_UP_S", 0.01)

    class Silent(FakeWatch):
        waited_s = 0.0

        def read_ready(self, waited_s: float) -> None:
            self.waited_s += waited_s
            if self.waited_s >= 0.03:
                self.put(ConnectionLost("silent"))

    async def run() -> None:
        async for _ in follow(Silent()):
            raise AssertionError

    with pytest.raises(ConnectionLost, match="silent"):
        asyncio.run(run())
