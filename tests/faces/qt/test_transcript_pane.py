"""What stands in the pane: always what the transcript holds, however its changes come, and never more than text."""

import base64
import random
import threading
import time
from typing import Any

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.faces.frontend import transcript as transcript_module
from rpyc_kernel.faces.frontend.pending import Pending
from rpyc_kernel.faces.frontend.plots import SVG, Picture, Plots
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Shown, Transcript
from rpyc_kernel.faces.qt import transcript_pane as module
from rpyc_kernel.faces.qt.images import read_image
from rpyc_kernel.faces.qt.transcript_pane import TranscriptPane
from tests.faces.frontend.events import ALICE, ME, make_event, make_status
from tests.faces.qt.widgets import until

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


KINDS = ("svg+xml", "png", "png;name=iVBORw0KGgo")


class Case:
    """Events that are taken as they are made, and drawn when the test says so."""

    def __init__(self, pane: TranscriptPane) -> None:
        self.pane = pane
        self.pending = Pending()
        self.transcript = Transcript(ME)
        self.transcript.begin(make_status())
        self.transcript.whose.adopt(4)
        self.transcript.whose.foreground = 4
        self.plots = Plots()
        self.seq = 0

    def take(self, kind: str, execution: int | None = 4, session: str | None = ME, **fields: Any) -> None:
        self.seq += 1
        changes = self.transcript.take(make_event(kind, execution, session, self.seq, **fields))
        for change in changes:
            self.plots.take(change)
        self.pending.add(changes)

    def print(self, text: str, execution: int | None = 4, name: str = "stdout") -> None:
        self.take(Kind.STREAM, execution, ME if execution == 4 else ALICE, name=name, text=text)

    def display(self, text: str, display_id: str | None = None, *, is_update: bool = False, **data: Any) -> None:
        self.take(Kind.DISPLAY, data={"text/plain": text, **data}, display_id=display_id, is_update=is_update)

    def draw(self) -> str:
        self.pane.know_pictures(dict(self.plots.pictures))
        self.pane.draw(self.pending.take())
        until(lambda: self.pane.is_drawn, "all to be drawn")
        return str(self.pane.toPlainText())

    @property
    def expected(self) -> str:
        renderer = Renderer(is_colourful=False)
        shown = []
        for item in self.transcript.items:
            if item.shown is Shown.STREAM:
                tag = f"[{item.whose}] " if item.whose else ""
                shown += [f"{tag}{line}".replace("\r", "\ufffd") for line in item.text.removesuffix("\n").split("\n")]
            else:
                shown.append(renderer.describe(item).removesuffix("\n"))
        return "\n".join(shown)


@pytest.fixture
def case(show: Any) -> Case:
    return Case(show(TranscriptPane()))


def test_what_is_printed_updated_and_cleared_stands_where_it_belongs(case: Case):
    case.print("50 %\r")
    assert case.draw() == "50 %\ufffd"
    case.print("100 %\nend")
    case.display("a", "d")
    case.print("of alice\n", 7)
    assert case.draw() == "100 %\nend\na\n[alice-session] of alice".replace("alice-session", "alice")
    case.display("b\nc", "d", is_update=True)
    assert case.draw() == "100 %\nend\nb\nc\n[alice] of alice"
    case.take(Kind.CLEAR_OUTPUT)
    assert case.draw() == "[alice] of alice"


@pytest.mark.parametrize("seed", range(6))
def test_however_changes_come_the_pane_has_what_the_transcript_has(
    case: Case, seed: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transcript_module, "_MAX_ITEMS", 12)
    chance = random.Random(seed)
    for _ in range(150):
        what = chance.randrange(8)
        if what < 4:
            text = "".join(chance.choice(["a", "b\n", "\r", "c", "\x1b[31m"]) for _ in range(chance.randrange(9)))
            case.print(text, chance.choice([4, 4, 7, None]), chance.choice(["stdout", "stderr"]))
        elif what == 4:
            case.display(chance.choice("xy") + "\n" * chance.randrange(2), chance.choice("de"))
        elif what == 5:
            case.display("new", chance.choice("de"), is_update=True)
        elif what == 6:
            case.take(Kind.CLEAR_OUTPUT, wait=chance.random() < 0.5)
        if chance.random() < 0.4:
            assert case.draw() == case.expected.replace("\x1b[31m", "")
    assert case.draw() == case.expected.replace("\x1b[31m", "")


def test_nothing_that_is_printed_is_more_than_text(case: Case):
    hostile = "<b>bold</b><img src='file:///etc/passwd'>\x1b]0;title\x07\x1b[2J\u2029\ufdd0\ufffc\udc80\0end\n"
    case.print(hostile)
    case.display("plain", None, **{"text/html": "<script>x</script>"})
    text = case.draw()
    assert text.startswith("<b>bold</b><img src='file:///etc/passwd'>")
    assert text.count("\n") == 1
    assert "script" not in text


def test_a_flood_is_drawn_in_portions_and_by_its_end(case: Case, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_LINES", 600)
    monkeypatch.setattr(module, "_KEPT_LINES", 500)
    for number in range(400):
        case.print("".join(f"{number}.{line}\n" for line in range(100)))
    text = case.draw()
    assert text.endswith("399.98\n399.99")
    assert text.count("\n") < 4000  # of forty thousand
    case.print("after\n")
    assert case.draw().endswith("399.99\nafter")


def test_a_line_without_end_is_cut(case: Case):
    case.display("x" * 100_000_000)
    begun = time.monotonic()
    text = case.draw()
    assert len(text) < 10_000
    assert "more characters>" in text
    assert time.monotonic() - begun < 30


def test_pictures_stand_in_the_text_and_go_with_it(case: Case):
    case.display("<Figure>", "d", **{"image/png": base64.b64encode(PNG).decode()})
    assert case.draw() == "\ufffc"
    assert len(case.pane._by_item) == 1
    case.display("no picture", "d", is_update=True)
    assert case.draw() == "no picture"
    case.display("broken", None, **{"image/png": base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 50).decode()})
    assert case.draw() == "no picture\nbroken"


def test_a_drawing_reads_no_files(case: Case, tmp_path: Any):
    from qtpy.QtGui import QColor, QImage

    secret = QImage(20, 20, QImage.Format.Format_RGB32)
    secret.fill(QColor("blue"))
    secret.save(str(tmp_path / "secret.png"))
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="20" height="20">'
        f'<image xlink:href="{tmp_path}/secret.png" width="20" height="20"/>'
        '<rect width="5" height="5" fill="red"/></svg>'
    )
    encoded = base64.b64encode(drawing.encode()).decode()
    within = [drawing.replace(f"{tmp_path}/secret.png", f"data:image/{kind};base64,{encoded}") for kind in KINDS]
    for hostile in (drawing, *within):
        drawn = read_image(Picture(SVG, hostile.encode()))
        assert drawn is not None
        assert [drawn.pixelColor(place, place).name() for place in (2, 15)] == ["#ff0000", "#ffffff"]
    assert read_image(Picture("image/png", drawing.encode())) is None
    case.display("drawing", None, **{SVG: drawing})
    assert case.draw() == "\ufffc"
    case.display("drawing", None, **{SVG: "<svg"})
    assert case.draw() == "\ufffc\ndrawing"


def test_a_picture_is_read_in_a_thread_and_its_text_stands_there_until_then(
    case: Case, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()

    def read_slowly(picture: Picture, width: int) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        gate.wait(60)
        return read_image(picture, width)

    monkeypatch.setattr(module, "read_image", read_slowly)
    case.display("<Figure>", "d", **{"image/png": base64.b64encode(PNG).decode()})
    case.print("after")
    case.pane.know_pictures(dict(case.plots.pictures))
    case.pane.draw(case.pending.take())
    until(lambda: case.pane.toPlainText() == "<Figure>\nafter", "the text")
    gate.set()
    until(lambda: case.pane.toPlainText() == "\ufffc\nafter", "the picture")


def test_of_many_pictures_the_oldest_are_text_again(case: Case, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_IMAGE_BYTES", 12)  # three pixels
    for number in range(5):
        case.display(f"<Figure {number}>", None, **{"image/png": base64.b64encode(PNG).decode()})
    assert case.draw() == "<Figure 0>\n<Figure 1>\n\ufffc\n\ufffc\n\ufffc"


def test_who_has_scrolled_back_stays_there_and_else_the_end_is_seen(case: Case):
    bar = case.pane.verticalScrollBar()
    case.print("line\n" * 500)
    case.draw()
    assert bar.value() == bar.maximum() > 0
    bar.setValue(10)
    case.print("more\n" * 50)
    case.draw()
    assert bar.value() == 10


def test_in_other_colours_all_stands_as_before(case: Case):
    from qtpy.QtGui import QColor, QPalette

    case.print("\x1b[31mred\x1b[0m\n")
    case.display("a", "d")
    before = case.draw()
    palette = case.pane.palette()
    palette.setColor(QPalette.ColorRole.Base, QColor("black"))
    palette.setColor(QPalette.ColorRole.Text, QColor("white"))
    case.pane.setPalette(palette)
    assert case.draw() == before
    case.display("b", "d", is_update=True)
    assert case.draw() == "red\nb"


def test_what_was_cleared_away_by_the_user_does_not_come_back(case: Case):
    case.print("before\n")
    case.draw()
    case.pane.clear_items()
    case.print("after\n")
    case.take(Kind.CLEAR_OUTPUT)
    case.print("new\n")
    assert case.draw() == "new"
