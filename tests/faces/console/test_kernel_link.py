"""A console whose connection is lost and made again says so, and shows every event once."""

import asyncio
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.console.output import ConsoleView
from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.faces.frontend.render import Renderer
from tests.faces.frontend.events import ALICE, ME, make_event, make_status
from tests.faces.frontend.screens import QuietScreen
from tests.faces.frontend.watches import FakeWatch

TIMEOUT_S = 30
LOST = "the connection to kernel 'demo' is lost: cut; trying again until it is back"


def print_of(seq: int) -> Event:
    return make_event(Kind.STREAM, 4, ALICE, seq, name="stdout", text=f"line {seq}\n")


class Kernel:
    """A kernel whose client makes lost connections again: what is said of them, and the events behind, come in turn.

    Args:
        script: numbers of events, words about the connection, and ("" when it is back) the newest event then.
    """

    session = ME
    name = "demo"

    def __init__(self, *script: int | str | tuple[str, int]) -> None:
        self._script = list(script)
        self._watch = FakeWatch()

    def status(self) -> dict[str, Any]:
        return make_status()

    def watch(self, since: int, on_loss: Callable[[str], None]) -> FakeWatch:
        self._on_loss = on_loss
        return self._watch

    async def play(self, screen: QuietScreen) -> None:
        """Have all of it happen, each when the one before was shown."""
        for step in self._script:
            before = screen.shown
            if isinstance(step, int):
                self._watch.put(print_of(step))
            elif isinstance(step, str):
                await asyncio.to_thread(self._on_loss, step)
            else:
                self._watch.last = step[1]
                await asyncio.to_thread(self._on_loss, step[0])
            while screen.shown == before:
                await asyncio.sleep(0)
        self._watch.put(None)

    def close(self) -> None:
        """Nothing holds it."""


def show(*script: int | str | tuple[str, int]) -> list[str]:
    """The lines that a console shows."""

    async def run() -> str:
        kernel = Kernel(*script)
        conversation = Conversation(kernel)  # type: ignore[arg-type]
        screen = QuietScreen()
        conversation._view = ConsoleView(screen, Renderer(is_colourful=False))  # type: ignore[arg-type]
        conversation._changed = asyncio.get_running_loop().create_future()
        showing = asyncio.ensure_future(conversation._show())
        while not hasattr(kernel, "_on_loss"):
            await asyncio.sleep(0)
        await asyncio.wait_for(kernel.play(screen), TIMEOUT_S)
        await asyncio.wait_for(showing, TIMEOUT_S)
        return screen.shown

    return asyncio.run(run()).splitlines()


def test_a_loss_is_told_and_so_is_what_is_in_the_way_and_the_return():
    shown = show(1, LOST, "the hub of kernel 'demo' is gone", ("", 1), 2)
    assert shown[1:4] == [
        f"{LOST}, Ctrl-D leaves",
        "the hub of kernel 'demo' is gone",
        "connected again",
    ]
    assert [line.rpartition("] ")[2] for line in shown if "line " in line] == ["line 1", "line 2"]


def test_what_was_missed_is_announced_where_something_was():
    shown = show(1, 2, LOST, ("", 2), LOST + "!", ("", 3), 3)
    assert [line for line in shown if line.startswith("connected")] == [
        "connected again",
        "connected again; this is what was missed:",
    ]
