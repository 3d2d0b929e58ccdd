"""Pictures as Qt draws them, in any thread: what comes from a kernel may be broken, huge or hostile."""

from __future__ import annotations

import struct

from qtpy.QtCore import QByteArray, Qt
from qtpy.QtGui import QImage

from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.qt.drawings import draw

_MAX_PIXELS = 25_000_000
_MAX_SIDE = 16_000
_PNG, _GIF, _JPEG = b"\x89PNG\r\n\x1a\n", b"GIF8", b"\xff\xd8"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def read_image(picture: Picture, width: int = _MAX_SIDE) -> QImage | None:
    """The picture, no wider than so many pixels; None if it cannot be read, or is too large to be drawn."""
    image = draw(picture.content) if picture.mime == SVG else _read_pixels(picture.content)
    if image is None or image.width() <= width:
        return image
    return image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)


def _read_pixels(content: bytes) -> QImage | None:
    width, height = find_size(content)
    if not 0 < width * height <= _MAX_PIXELS or max(width, height) > _MAX_SIDE:
        return None
    image = QImage.fromData(QByteArray(content))
    return None if image.isNull() else image


def find_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG, GIF or JPEG by its beginning; (0, 0) if it is none of them.

    Qt could tell, too, but goes by content: a drawing that is called a picture would have its files read. And it would
    ask a buffer of Python's, which wants the interpreter's lock while it holds locks of its own.
    """
    try:
        if content.startswith(_PNG):
            return struct.unpack_from(">II", content, 16)
        if content.startswith(_GIF):
            return struct.unpack_from("<HH", content, 6)
        place = 2 if content.startswith(_JPEG) else len(content)
        while content[place] == 0xFF:
            kind, length = struct.unpack_from(">xBH", content, place)
            if kind in _JPEG_FRAMES:
                height, width = struct.unpack_from(">HH", content, place + 5)
                return width, height
            place += 1 if kind == 0xFF else 2 + length
    except (struct.error, IndexError):
        pass
    return 0, 0
