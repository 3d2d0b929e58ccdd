"""Pictures as Qt draws them, in any thread: what comes from a kernel may be broken, huge or hostile."""

from __future__ import annotations

from qtpy.QtCore import QByteArray, Qt
from qtpy.QtGui import QImage

from rpyc_kernel.faces.frontend.picture_size import find_size
from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.qt.drawings import draw

_MAX_PIXELS = 25_000_000
_MAX_SIDE = 16_000


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
