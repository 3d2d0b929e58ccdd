"""Pictures to look through."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QBuffer, QIODevice
from qtpy.QtGui import QColor, QGuiApplication, QImage

from rpyc_kernel.faces.frontend.picture_size import find_size
from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.frontend.transcript import Item, Shown
from rpyc_kernel.faces.qt import plots_pane
from rpyc_kernel.faces.qt.drawings import weigh
from rpyc_kernel.faces.qt.images import read_image
from rpyc_kernel.faces.qt.plots_pane import PlotsPane
from tests.faces.qt.widgets import until


def make_picture(width: int = 40, height: int = 20, mime: str = "image/png") -> Picture:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor("red"))
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, mime.rpartition("/")[2].upper())
    return Picture(mime, bytes(buffer.data()))


def make_item(number: int) -> Item:
    return Item(Shown.DISPLAY, "", number, "<Figure>", seq=number)


def draw(pane: PlotsPane) -> None:
    until(lambda: pane.is_drawn, "all to be drawn")


@pytest.fixture
def pane(show: Callable[..., Any]) -> PlotsPane:
    shown: PlotsPane = show(PlotsPane())
    return shown


def test_the_newest_is_seen_unless_one_looks_at_another(pane: PlotsPane):
    items = [make_item(number) for number in range(4)]
    pictures = {item: make_picture() for item in items}
    pane.show_pictures(dict(list(pictures.items())[:2]))
    assert pane.list.currentRow() == 1
    pane.show_pictures(dict(list(pictures.items())[:3]))
    assert pane.list.currentRow() == 2
    pane.list.setCurrentRow(0)
    pane.show_pictures(pictures)
    assert pane.list.currentRow() == 0
    draw(pane)
    assert not pane.list.item(3).icon().isNull()


def test_what_is_cleared_goes_and_what_is_updated_is_another(pane: PlotsPane):
    first, second = make_item(1), make_item(2)
    pane.show_pictures({first: make_picture(), second: make_picture()})
    pane.show_pictures({second: make_picture(60, 60)})
    assert pane.list.count() == 1
    until(lambda: pane._image is not None and pane._image.width() == 60, "the other one")
    pane.show_pictures({})
    assert (pane.list.count(), pane._image) == (0, None)


def test_a_picture_is_copied_and_saved_as_it_came(pane: PlotsPane, tmp_path: Path):
    picture = make_picture(mime="image/jpeg")
    pane.show_pictures({make_item(1): picture})
    draw(pane)
    pane.copy()
    assert QGuiApplication.clipboard().image().width() == 40
    pane.save(str(tmp_path / "plot.jpg"))
    assert (tmp_path / "plot.jpg").read_bytes() == picture.content


def test_the_wheel_zooms_and_fit_takes_that_back(pane: PlotsPane):
    pane.show_pictures({make_item(1): make_picture(2000, 1000)})
    draw(pane)
    fitted = pane.view.transform().m11()
    assert fitted < 0.5
    pane.view.show_pixels()
    assert pane.view.transform().m11() == 1
    pane.view.fit()
    assert pane.view.transform().m11() == fitted


@pytest.mark.parametrize(
    "picture",
    [
        Picture("image/png", b"\x89PNG\r\n\x1a\nbroken"),
        Picture("image/png", b""),
        Picture(SVG, b"<svg"),
        Picture(SVG, b"<svg xmlns='http://www.w3.org/2000/svg' width='0' height='5'/>"),
    ],
)
def test_a_broken_picture_is_none(pane: PlotsPane, picture: Picture):
    assert read_image(picture) is None
    pane.show_pictures({make_item(1): picture})
    draw(pane)
    assert "broken" in pane._name.text()


def test_pictures_are_read_in_a_thread_one_at_a_time_and_what_was_replaced_before_that_never(
    pane: PlotsPane, monkeypatch: pytest.MonkeyPatch
):
    gate, read = threading.Event(), []

    def read_slowly(picture: Picture) -> QImage | None:
        assert threading.current_thread() is not threading.main_thread()
        gate.wait(60)
        read.append(picture)
        return read_image(picture)

    monkeypatch.setattr(plots_pane, "read_image", read_slowly)
    item, other = make_item(1), make_item(2)
    versions = [make_picture(10 + number) for number in range(30)]
    for version in versions:
        pane.show_pictures({item: version, other: versions[0]})  # would wait for ever if it read them itself
    gate.set()
    until(lambda: pane.is_drawn, "all to be drawn")
    assert len(read) <= 4
    assert versions[-1] in read


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg"])
def test_the_size_of_a_picture_is_found_at_its_beginning(pane: PlotsPane, mime: str):
    picture = make_picture(300, 200, mime)
    assert find_size(picture.content) == (300, 200)
    cut = [find_size(picture.content[:end]) for end in range(200)]
    assert set(cut) <= {(0, 0), (300, 200)}
    assert find_size(b"GIF89a\x05\x00\x06\x00") == (5, 6)
    assert find_size(b"<svg/>") == (0, 0)


def test_a_picture_of_too_many_pixels_is_not_drawn(pane: PlotsPane, monkeypatch: pytest.MonkeyPatch):
    from rpyc_kernel.faces.qt import images

    monkeypatch.setattr(images, "_MAX_PIXELS", 100)
    assert read_image(make_picture()) is None
    huge = b"<svg xmlns='http://www.w3.org/2000/svg' width='900000' height='300000'/>"
    drawn = read_image(Picture(SVG, huge))
    assert drawn is not None
    assert (drawn.width(), drawn.height()) == (1200, 400)


SVG_HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="20" height="20">'
USES = [f'<use href="#a{level}"/>' * 10 for level in range(8)]
BOMB = "".join(f'<g id="a{level}">{uses}</g>' for level, uses in enumerate(USES, 1))


@pytest.mark.parametrize(
    "within",
    [
        f'<defs><rect id="a0" width="9" height="9"/>{BOMB}</defs><use href="#a8"/>',
        '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>',
        '<pattern id="p"><rect fill="url(#p)"/></pattern>',
        "<g>" * 5000 + "</g>" * 5000,
        "<path/>" * 40_000,
        f'<path d="M0 0{" L1 1" * 2_000_000}"/>',
    ],
    ids=["uses of uses", "a circle", "a pattern of itself", "depth", "shapes", "a long path"],
)
def test_a_drawing_of_endless_work_is_not_begun(within: str):
    assert weigh(f"{SVG_HEAD}{within}</svg>".encode()) > 30_000
    assert read_image(Picture(SVG, f"{SVG_HEAD}{within}</svg>".encode())) is None


def test_a_drawing_of_a_figure_is_little_work(pane: PlotsPane):
    uses = '<use xlink:href="#m"/>' * 5000
    figure = f'{SVG_HEAD}<defs><path id="m" d="M0 0"/></defs>{uses}</svg>'
    assert weigh(figure.encode()) == 1 + 1 + 1 + 5000 * 2
    assert read_image(Picture(SVG, figure.encode())) is not None
