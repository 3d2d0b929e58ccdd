"""A toolkit has its turn while the loop waits, and gives it back for whatever the loop waits for."""

import asyncio
import os
import selectors
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from rpyc_kernel.worker.gui_loops import Turn, Windows

TIMEOUT_S = 30


class Toolkit:
    """A toolkit whose loop does nothing until its turn is over.

    Attributes:
        turns: how many it had.
        works: what it does in each.
    """

    def __init__(self, works: Callable[[], object] = lambda: None) -> None:
        self.turns = 0
        self.works = works

    def hook(self, turn: Turn) -> None:
        self.turns += 1
        self.works()
        with selectors.DefaultSelector() as selector:
            selector.register(turn.fileno(), selectors.EVENT_READ)
            assert selector.select(TIMEOUT_S)
        turn.input_is_ready()  # False for a short turn that has not asked yet
        assert turn.input_is_ready()


@pytest.fixture
def windows() -> Windows:
    return Windows()


@pytest.fixture
def loop(windows: Windows) -> Iterator[asyncio.AbstractEventLoop]:
    loop = windows.make_loop()
    yield loop
    windows.close()
    loop.close()


async def receive(reader: int) -> bytes:
    """Wait for a byte as the loop waits for its hub."""
    loop = asyncio.get_running_loop()
    arrived = loop.create_future()
    loop.add_reader(reader, lambda: arrived.done() or arrived.set_result(os.read(reader, 1)))
    try:
        return bytes(await asyncio.wait_for(arrived, TIMEOUT_S))
    finally:
        loop.remove_reader(reader)


def run_until(loop: asyncio.AbstractEventLoop, condition: Callable[[], bool], wait_s: float = 0.001) -> None:
    """Have the loop wait for its time again and again until something is so."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(wait_s)

    loop.run_until_complete(asyncio.wait_for(wait(), TIMEOUT_S))


def test_what_the_loop_waits_for_ends_the_turn(windows: Windows, loop: asyncio.AbstractEventLoop):
    reader, writer = os.pipe()
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)
    toolkit.works = lambda: os.write(writer, b"x")  # from within the turn, so that only the turn's end can bring it
    try:
        assert loop.run_until_complete(receive(reader)) == b"x"
    finally:
        os.close(reader)
        os.close(writer)
    assert toolkit.turns > 1


def test_a_limit_of_time_ends_the_turn(windows: Windows, loop: asyncio.AbstractEventLoop):
    """Nothing else does: the toolkit waits for half a minute, and then fails."""
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)
    begun = toolkit.turns
    loop.run_until_complete(asyncio.sleep(0.02))
    assert toolkit.turns > begun


def test_a_call_from_another_thread_ends_the_turn(windows: Windows, loop: asyncio.AbstractEventLoop):
    called = loop.create_future()
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)

    def call() -> None:
        toolkit.works = lambda: None
        threading.Thread(target=loop.call_soon_threadsafe, args=(called.set_result, 42)).start()

    toolkit.works = call
    assert loop.run_until_complete(asyncio.wait_for(called, TIMEOUT_S)) == 42


def test_a_signal_ends_the_turn_although_no_code_of_python_runs(windows: Windows, loop: asyncio.AbstractEventLoop):
    """The handler does nothing that would end it, and the next turn ends by what it does itself."""
    done = loop.create_future()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)

    def send() -> None:
        toolkit.works = lambda: done.done() or loop.call_soon_threadsafe(done.set_result, True)
        signal.raise_signal(signal.SIGUSR1)

    toolkit.works = send
    try:
        assert loop.run_until_complete(done)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_wakeup_descriptor_of_user_code_is_its_own_again_after_a_turn(
    windows: Windows, loop: asyncio.AbstractEventLoop
):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)
    run_until(loop, lambda: toolkit.turns > 3)
    try:
        assert signal.set_wakeup_fd(before) == writer
    finally:
        os.close(reader)
        os.close(writer)


def test_a_toolkit_has_its_turns_where_the_loop_never_waits(windows: Windows, loop: asyncio.AbstractEventLoop):
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)

    async def hurry() -> None:
        begun = toolkit.turns
        while toolkit.turns < begun + 3:
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(hurry(), TIMEOUT_S))


def test_a_toolkit_that_returns_at_once_is_asked_again_and_holds_nothing_up(
    windows: Windows, loop: asyncio.AbstractEventLoop
):
    turns: list[Turn] = []
    windows.use("it", turns.append)
    run_until(loop, lambda: len(turns) > 2, wait_s=0.06)  # longer than until it is asked again
    assert len(turns) < 100


def test_no_toolkit_has_a_turn_when_none_is_wanted(windows: Windows, loop: asyncio.AbstractEventLoop):
    toolkit = Toolkit()
    windows.use("it", toolkit.hook)
    windows.use(None, None)
    begun, looks = toolkit.turns, 0

    def has_looked() -> bool:
        nonlocal looks
        looks += 1
        return looks > 3

    run_until(loop, has_looked)
    assert toolkit.turns == begun


def test_what_fails_in_a_turn_gives_the_wakeup_descriptor_back(windows: Windows, loop: asyncio.AbstractEventLoop):
    def fail(turn: Turn) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        windows.use("it", fail)
    assert signal.set_wakeup_fd(-1) == -1
    windows.use(None, None)
