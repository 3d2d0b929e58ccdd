"""The transcript of a full screen, drawn without a kernel."""

import asyncio
import copy
import importlib.util
from collections.abc import Awaitable, Callable

import pytest

if importlib.util.find_spec("textual") is None:
    pytest.skip("Textual is not installed", allow_module_level=True)

from textual.app import App, ComposeResult

from rpyc_kernel.faces.frontend.pending import Step
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Item, Shown
from rpyc_kernel.faces.screen.transcript_pane import TranscriptPane
from tests.support.waiting import wait_until_async


class PaneApp(App[None]):
    CSS_PATH = "../../../rpyc_kernel/faces/screen/app.tcss"

    def compose(self) -> ComposeResult:
        yield TranscriptPane(Renderer(is_colourful=True))


def draw(act: Callable[[TranscriptPane], Awaitable[None]]) -> None:
    async def run() -> None:
        app = PaneApp()
        async with app.run_test(size=(40, 10)):
            await act(app.query_one(TranscriptPane))

    asyncio.run(run())


def add(pane: TranscriptPane, item: Item, text: str) -> None:
    """Have an item go on, as a program that prints more does."""
    kept = len(item.text)
    item.text += text
    pane.draw([Step(item, copy.copy(item), kept, is_new=not kept)])


def test_a_line_is_in_sight_as_soon_as_it_is_drawn():
    async def act(pane: TranscriptPane) -> None:
        item = Item(Shown.STREAM, "", 1, "")
        for number in range(30):
            add(pane, item, f"{number}\n")
            assert pane.scroll_offset.y == pane.max_scroll_y == max(0, number + 1 - 10)

    draw(act)


def test_the_end_stays_in_sight_while_a_question_takes_rows_and_gives_them_back():
    async def act(pane: TranscriptPane) -> None:
        item = Item(Shown.STREAM, "", 1, "")
        add(pane, item, "line\n" * 30)
        for rows in (6, 10, 6):
            pane.styles.height = rows
            await wait_until_async(lambda rows=rows: pane.size.height == rows, what="its height")
            await asyncio.sleep(0)
            add(pane, item, "line\n")
            assert pane.scroll_offset.y == pane.max_scroll_y == len(pane._lines) - rows

    draw(act)


def test_who_scrolled_back_stays_there_while_more_is_printed():
    async def act(pane: TranscriptPane) -> None:
        item = Item(Shown.STREAM, "", 1, "")
        add(pane, item, "line\n" * 30)
        pane.scroll_to(y=5, animate=False)
        add(pane, item, "line\n" * 30)
        assert pane.scroll_offset.y == 5

    draw(act)


@pytest.mark.parametrize("whose", ["", "alice"])
def test_what_goes_on_looks_as_if_it_had_come_at_once(whose: str):
    parts = ["one\ntw", "o", "\n", "\n\n", "a long line " * 8, "and its end\nlast", "\x1b[31mred\n", "red still\n"]

    async def act(pane: TranscriptPane) -> None:
        item = Item(Shown.STREAM, whose, 1, "")
        for part in parts:
            add(pane, item, part)
            seen = [strip.text for strip in pane._lines]
            pane.draw([Step(item, copy.copy(item))])
            assert seen == [strip.text for strip in pane._lines]

    draw(act)


def test_of_what_goes_on_only_what_is_new_is_broken_into_lines(monkeypatch: pytest.MonkeyPatch):
    broken: list[str] = []
    whole = TranscriptPane._break
    monkeypatch.setattr(TranscriptPane, "_break", lambda pane, item: (broken.append(item.text), whole(pane, item))[1])

    async def act(pane: TranscriptPane) -> None:
        item = Item(Shown.STREAM, "", 1, "")
        for part in ("one\n", "two\nth", "ree\n"):
            add(pane, item, part)

    draw(act)
    assert broken == ["one\n", "two\n", "th", "three\n"]
