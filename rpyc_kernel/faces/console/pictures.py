"""Pictures on a terminal: drawn where it is known to be able to, else kept in a file whose path is shown.

`kitty <https://sw.kovidgoyal.net/kitty/graphics-protocol/>`_, `iTerm2 <https://iterm2.com/documentation-images.html>`_
and sixel are told apart by the environment alone, because to ask the terminal would swallow what is typed meanwhile.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rpyc_kernel.faces.frontend.plots import Picture, read_picture
from rpyc_kernel.system.kernel_folder import make_folders

_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif"}
_MAX_DRAWN_BYTES = 4_000_000
_MAX_SIXEL_SIDE = 800
_SIXEL_COLOURS = 64
_KITTY_CHUNK = 4096

KITTY, ITERM, SIXEL = "kitty", "iterm", "sixel"


def find_protocol(environment: Mapping[str, str]) -> str | None:
    """How this terminal draws pictures; RPYC_KERNEL_PICTURES says it where the terminal does not, ``none`` for none."""
    protocol = environment.get("RPYC_KERNEL_PICTURES", "")
    if protocol:
        return protocol if protocol in (KITTY, ITERM, SIXEL) else None
    terminal, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or terminal.startswith("screen"):
        return None  # they pass on none of it
    if terminal in ("xterm-kitty", "xterm-ghostty") or "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return KITTY
    if program in ("iTerm.app", "WezTerm"):
        return ITERM
    return SIXEL if "sixel" in terminal or terminal.startswith(("foot", "mlterm")) else None


class Pictures:
    """Shows the pictures of one terminal.

    Args:
        folder: where to keep those that cannot be drawn; made when needed.
        protocol: how to draw, None where that cannot be done.
        host: the machine where they come from, "" for this one; so none takes the place of one from elsewhere.
    """

    def __init__(self, folder: Path, protocol: str | None, host: str = "") -> None:
        self._folder = folder
        self._from = f"-{host}" if host else ""
        self._protocol = protocol

    def show(self, data: Mapping[str, Any], name: str) -> str | None:
        """What to write for a mime bundle; None if there is no picture in it that can be read.

        Args:
            data: the bundle.
            name: what to call a file.
        """
        picture = read_picture(data)
        if picture is None or picture.mime not in _ENDINGS:
            return None
        drawn = self._draw(picture) if len(picture.content) <= _MAX_DRAWN_BYTES else None
        return drawn or self._keep(picture.content, f"{name}{self._from}.{_ENDINGS[picture.mime]}")

    def _draw(self, picture: Picture) -> str | None:
        if self._protocol == ITERM:
            text = base64.b64encode(picture.content).decode()
            return f"\x1b]1337;File=inline=1;size={len(picture.content)}:{text}\x07"
        if self._protocol == KITTY and picture.mime == "image/png":
            return _draw_kitty(picture.content)
        return _draw_sixel(picture.content) if self._protocol == SIXEL else None

    def _keep(self, picture: bytes, name: str) -> str | None:
        try:
            make_folders(self._folder)
            path = self._folder / name
            path.write_bytes(picture)
        except OSError as error:
            return f"<a picture that cannot be kept: {error}>"
        return f"<picture: {path}>"


def pictures_of_terminal(folder: Path, host: str) -> Pictures:
    """Pictures for what this process writes to, which need not be a terminal at all."""
    return Pictures(folder, find_protocol(os.environ) if sys.stdout.isatty() else None, host)


def _draw_kitty(picture: bytes) -> str:
    text = base64.b64encode(picture).decode()
    chunks = [text[start : start + _KITTY_CHUNK] for start in range(0, len(text), _KITTY_CHUNK)]
    return "".join(
        f"\x1b_G{'a=T,f=100,q=2,' if number == 0 else ''}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, chunk in enumerate(chunks)
    )


def _draw_sixel(picture: bytes) -> str | None:
    """Draw by sixels, which takes Pillow; None where that is not there, or cannot read the picture."""
    try:
        from PIL import Image

        image = Image.open(io.BytesIO(picture)).convert("RGB")
        image.thumbnail((_MAX_SIXEL_SIDE, _MAX_SIXEL_SIDE))
        image = image.quantize(_SIXEL_COLOURS)
    except Exception:  # noqa: BLE001 - Pillow raises what it likes about a broken picture
        return None
    width, height = image.size
    palette, pixels = image.getpalette() or [], image.tobytes()
    parts = [f'\x1bPq"1;1;{width};{height}']
    for number in sorted(set(pixels)):
        red, green, blue = (round(level / 2.55) for level in palette[3 * number : 3 * number + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        rows = [pixels[row * width : (row + 1) * width] for row in range(top, min(top + 6, height))]
        parts.append("$".join(_write_band(rows, number) for number in sorted(set(b"".join(rows)))) + "-")
    return "".join(parts) + "\x1b\\"


def _write_band(rows: list[bytes], colour: int) -> str:
    """One colour of six rows of pixels, a character for each column."""
    columns = zip(*rows, strict=True)
    marks = [sum(1 << bit for bit, pixel in enumerate(column) if pixel == colour) for column in columns]
    return f"#{colour}" + "".join(chr(63 + mark) for mark in marks)
