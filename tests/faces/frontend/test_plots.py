import base64

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.faces.frontend import plots as module
from rpyc_kernel.faces.frontend.plots import SVG, Picture, Plots, read_picture
from rpyc_kernel.faces.frontend.transcript import Transcript
from tests.faces.frontend.events import ME, make_event


def png(content: bytes) -> dict[str, str]:
    return {"text/plain": "<Figure>", "image/png": base64.b64encode(content).decode()}


class Shown:
    """Pictures that are shown one after the other."""

    def __init__(self) -> None:
        self._transcript = Transcript(ME)
        self.plots = Plots()
        self._seq = 0

    def take(self, kind: str, **fields: object) -> bool:
        self._seq += 1
        changes = self._transcript.take(make_event(kind, 4, ME, self._seq, **fields))
        return sum(self.plots.take(change) for change in changes) > 0

    def display(self, data: dict[str, str], display_id: str | None = None, *, is_update: bool = False) -> bool:
        return self.take(Kind.DISPLAY, data=data, display_id=display_id, is_update=is_update)

    @property
    def contents(self) -> list[bytes]:
        return [picture.content for picture in self.plots.pictures.values()]


def test_pictures_are_kept_in_their_order_and_words_are_none():
    shown = Shown()
    assert shown.display(png(b"1"))
    assert not shown.display({"text/plain": "words"})
    assert shown.display({SVG: "<svg/>"})
    assert shown.contents == [b"1", b"<svg/>"]


def test_what_is_updated_or_cleared_is_so_here_too():
    shown = Shown()
    shown.display(png(b"1"), "d")
    assert shown.display(png(b"2"), "d", is_update=True)
    assert shown.contents == [b"2"]
    assert shown.take(Kind.CLEAR_OUTPUT, wait=False)
    assert shown.contents == []


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_PLOTS", 3)
    shown = Shown()
    for number in range(6):
        shown.display(png(bytes([number])))
    assert shown.contents == [b"\3", b"\4", b"\5"]
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    shown.display(png(b"x" * 200))
    assert shown.contents == [b"x" * 200]


@pytest.mark.parametrize("data", [{"image/png": "a"}, {"image/png": 3}, {"image/png": ""}, {SVG: [1]}, {}])
def test_what_is_no_picture_is_none(data: dict[str, object]):
    assert read_picture(data) is None


def test_a_picture_has_its_type():
    assert read_picture(png(b"1")) == Picture("image/png", b"1")
