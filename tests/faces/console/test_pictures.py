import base64
import re
from pathlib import Path

import pytest

from rpyc_kernel.faces.console.pictures import ITERM, KITTY, SIXEL, Pictures, find_protocol

# One red pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, ITERM),
        ({"TERM": "foot"}, SIXEL),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm", "RPYC_KERNEL_PICTURES": "sixel"}, SIXEL),
        ({"TERM": "xterm-kitty", "RPYC_KERNEL_PICTURES": "none"}, None),
    ],
)
def test_the_environment_says_how_pictures_are_drawn(environment: dict[str, str], protocol: str | None):
    assert find_protocol(environment) == protocol


def test_a_terminal_that_cannot_draw_is_told_the_path_of_a_file(tmp_path: Path):
    shown = Pictures(tmp_path / "new", None).show({"image/png": PNG}, "demo-2")
    assert shown == f"<picture: {tmp_path / 'new' / 'demo-2.png'}>"
    assert (tmp_path / "new" / "demo-2.png").read_bytes() == base64.b64decode(PNG)
    elsewhere = Pictures(tmp_path / "new", None, "gpu").show({"image/png": PNG}, "demo-2")
    assert elsewhere == f"<picture: {tmp_path / 'new' / 'demo-2-gpu.png'}>"


def test_kitty_and_iterm_are_sent_the_picture_itself(tmp_path: Path):
    assert Pictures(tmp_path, KITTY).show({"image/png": PNG}, "x") == f"\x1b_Ga=T,f=100,q=2,m=0;{PNG}\x1b\\"
    shown = Pictures(tmp_path, ITERM).show({"image/png": PNG}, "x") or ""
    assert re.fullmatch(rf"\x1b]1337;File=inline=1;size=\d+:{re.escape(PNG)}\x07", shown)
    assert list(tmp_path.iterdir()) == []


def test_a_large_picture_is_sent_to_kitty_in_pieces(tmp_path: Path):
    text = base64.b64encode(bytes(10_000)).decode()
    shown = Pictures(tmp_path, KITTY).show({"image/png": text}, "x") or ""
    pieces = re.findall(r"\x1b_G[^;]*m=(\d);([^\x1b]*)\x1b\\", shown)
    assert "".join(piece for _, piece in pieces) == text
    assert [more for more, _ in pieces] == ["1", "1", "1", "0"]
    assert max(len(piece) for _, piece in pieces) <= 4096


def test_sixels_have_the_colours_of_the_picture(tmp_path: Path):
    pytest.importorskip("PIL")
    shown = Pictures(tmp_path, SIXEL).show({"image/png": PNG}, "x") or ""
    assert re.fullmatch(r'\x1bPq"1;1;1;1#\d+;2;100;0;0#\d+@-\x1b\\', shown)


def test_what_is_too_large_or_broken_for_drawing_is_kept(tmp_path: Path):
    large = base64.b64encode(bytes(5_000_000)).decode()
    assert Pictures(tmp_path, KITTY).show({"image/png": large}, "x") == f"<picture: {tmp_path / 'x.png'}>"
    broken = base64.b64encode(b"no picture").decode()
    assert Pictures(tmp_path, SIXEL).show({"image/png": broken}, "y") == f"<picture: {tmp_path / 'y.png'}>"


@pytest.mark.parametrize(
    "data", [{}, {"image/png": None}, {"image/png": "x"}, {"image/png": ["a"]}, {"text/plain": "x"}]
)
def test_what_is_no_picture_is_none(tmp_path: Path, data: dict[str, object]):
    assert Pictures(tmp_path, KITTY).show(data, "x") is None
