"""Small pictures on a full screen, of whatever a kernel says is one."""

import asyncio
import importlib.util
import io
import struct
import threading
import zlib
from collections.abc import Awaitable, Callable

import pytest

if importlib.util.find_spec("textual") is None or importlib.util.find_spec("textual_image") is None:
    pytest.skip("Textual is not installed", allow_module_level=True)

from PIL import Image
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.frontend.transcript import Item, Shown
from rpyc_kernel.faces.screen import plots_pane
from rpyc_kernel.faces.screen.plots_pane import PlotsPane, shrink

PNG = "image/png"


def make_png(width: int = 40, height: int = 30) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(content, "PNG")
    return content.getvalue()


def claim_size(width: int, height: int) -> bytes:
    """The beginning of a PNG that says how large it is, and has nothing of that."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


class PlotsApp(App[None]):
    def compose(self) -> ComposeResult:
        yield PlotsPane()


def look(act: Callable[[PlotsPane, Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        app = PlotsApp()
        async with app.run_test() as pilot:
            await act(app.query_one(PlotsPane), pilot)

    asyncio.run(asyncio.wait_for(run(), 60))


def item(number: int) -> Item:
    return Item(Shown.DISPLAY, "", number, f"<plot {number}>")


def titles_in(pane: PlotsPane) -> list[str]:
    return [str(title.content) for title in pane.query(".plot-title").results(Static)]


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (
            Picture(PNG, claim_size(30_000, 30_000)),
            "<a picture of 30,000 x 30,000 pixels, which is too large to be shown>",
        ),
        (Picture(PNG, claim_size(4, 4)), "<a picture that cannot be read: "),
        (Picture(PNG, make_png()[:60]), "<a picture that cannot be read: "),
        (Picture(PNG, b"nonsense"), "<a picture that cannot be read: it is no PNG, JPEG or GIF>"),
        (Picture(PNG, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "<a picture that cannot be read: "),
        (Picture(SVG, b"<svg/>"), "<a drawing (SVG), which a terminal cannot show>"),
    ],
)
def test_what_is_no_picture_gets_words_instead(picture: Picture, words: str):
    assert shrink(picture).startswith(words)


def test_of_a_large_picture_only_a_small_one_is_kept():
    assert shrink(Picture(PNG, make_png(5000, 4000))).size == (800, 640)


def test_a_picture_is_made_while_keys_are_heard_and_each_only_once(monkeypatch: pytest.MonkeyPatch):
    may_end = threading.Event()
    made: list[Picture] = []

    def make(picture: Picture) -> str:
        made.append(picture)
        may_end.wait(20)
        return "made"

    monkeypatch.setattr(plots_pane, "shrink", make)
    one, two = Picture(PNG, b"1"), Picture(PNG, b"2")
    first, second = item(1), item(2)

    async def act(pane: PlotsPane, pilot: Pilot[None]) -> None:
        pane.show({first: one})
        while not made:
            await pilot.pause(0.01)  # which would not come to an end if the picture was waited for
        pane.show({first: one, second: two})
        assert titles_in(pane) == []
        may_end.set()
        while len(titles_in(pane)) != 2:
            await pilot.pause(0.01)
        assert titles_in(pane) == ["[2] <plot 2>", "[1] <plot 1>"]

    look(act)
    assert made == [one, two]
