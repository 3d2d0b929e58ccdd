"""Pictures to look through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QBuffer, QIODevice
from qtpy.QtGui import QColor, QGuiApplication, QImage

from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.frontend.transcript import Item, Shown
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
    until(lambda: not pane._timer.isActive(), "the small ones")
    assert not pane.list.item(3).icon().isNull()


def test_what_is_cleared_goes_and_what_is_updated_is_another(pane: PlotsPane):
    first, second = make_item(1), make_item(2)
    pane.show_pictures({first: make_picture(), second: make_picture()})
    pane.show_pictures({second: make_picture(60, 60)})
    assert pane.list.count() == 1
    assert pane._image is not None
    assert pane._image.width() == 60
    pane.show_pictures({})
    assert (pane.list.count(), pane._image) == (0, None)


def test_a_picture_is_copied_and_saved_as_it_came(pane: PlotsPane, tmp_path: Path):
    picture = make_picture(mime="image/jpeg")
    pane.show_pictures({make_item(1): picture})
    pane.copy()
    assert QGuiApplication.clipboard().image().width() == 40
    pane.save(str(tmp_path / "plot.jpg"))
    assert (tmp_path / "plot.jpg").read_bytes() == picture.content


def test_the_wheel_zooms_and_fit_takes_that_back(pane: PlotsPane):
    pane.show_pictures({make_item(1): make_picture(2000, 1000)})
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
    assert "broken" in pane._name.text()


def test_a_picture_of_too_many_pixels_is_not_drawn(pane: PlotsPane, monkeypatch: pytest.MonkeyPatch):
    from rpyc_kernel.faces.qt import images

    monkeypatch.setattr(images, "_MAX_PIXELS", 100)
    assert read_image(make_picture()) is None
    huge = b"<svg xmlns='http://www.w3.org/2000/svg' width='900000' height='300000'/>"
    drawn = read_image(Picture(SVG, huge))
    assert drawn is not None
    assert (drawn.width(), drawn.height()) == (1200, 400)
