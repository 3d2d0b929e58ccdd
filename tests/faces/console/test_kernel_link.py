"""A console whose connection breaks shows every event once."""

import asyncio
from typing import Any

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.console import kernel_link
from rpyc_kernel.faces.console.console import Console
from rpyc_kernel.faces.console.output import Transcript
from tests.faces.console.events import ALICE, ME, make_event, make_status
from tests.faces.console.screens import QuietScreen
from tests.faces.console.watches import FakeWatch
from tests.support.folders import Folders

TIMEOUT_S = 30


def print_of(seq: int) -> Event:
    return make_event(Kind.STREAM, 4, ALICE, seq, name="stdout", text=f"line {seq}\n")


class Kernel:
    """One connection to a kernel, which has events up to a number and breaks after them."""

    session = ME
    name = "demo"

    def __init__(self, last: int, first: int = 1, *, is_last: bool = False) -> None:
        self.last = last
        self.first = first
        self.is_last = is_last

    def status(self) -> dict[str, Any]:
        return make_status(last=self.last)

    def watch(self, since: int) -> FakeWatch:
        events = [print_of(seq) for seq in range(max(since + 1, self.first), self.last + 1)]
        return FakeWatch(*events, None if self.is_last else ConnectionLost("cut"))

    def close(self) -> None:
        """Nothing holds it."""


def show(*connections: Kernel) -> list[str]:
    """The lines that a console shows through these connections, one after the other."""

    async def run() -> str:
        first, *others = connections
        left = iter(others)
        console = Console(first, "", lambda: next(left))
        console.screen = screen = QuietScreen()
        console.output = Transcript(screen, console.renderer)
        console._submitting = asyncio.Lock()
        console._changed = asyncio.get_running_loop().create_future()
        await asyncio.wait_for(console._show(), TIMEOUT_S)
        await console.hang_up()
        return screen.shown

    return asyncio.run(run()).splitlines()


@pytest.fixture(autouse=True)
def haste(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the pauses."""
    monkeypatch.setattr(kernel_link, "_PAUSE_S", 0)


def without_own_words(lines: list[str]) -> list[str]:
    return [line.rpartition("] ")[2] for line in lines if "line " in line]


def test_after_a_loss_every_event_is_shown_once():
    shown = show(Kernel(2), Kernel(2), Kernel(4), Kernel(4, is_last=True))
    assert without_own_words(shown) == ["line 1", "line 2", "line 3", "line 4"]


def test_what_was_missed_is_announced_where_something_was():
    shown = show(Kernel(2), Kernel(2), Kernel(3, is_last=True))
    assert [line for line in shown if line.startswith("connected")] == [
        "connected again",
        "connected again; this is what was missed:",
    ]


def test_of_a_kernel_that_began_anew_what_comes_from_now_on_is_shown():
    """Its numbers have begun anew too; what went before was of its beginning."""

    class Fresh(Kernel):
        def status(self) -> dict[str, Any]:
            told = super().status()
            self.last, self.first = 3, 3
            return told

    shown = show(Kernel(5), Fresh(2, is_last=True))
    assert without_own_words(shown) == [*(f"line {seq}" for seq in range(1, 6)), "line 3"]
    assert "connected to a kernel that knows nothing of the one before" in shown
