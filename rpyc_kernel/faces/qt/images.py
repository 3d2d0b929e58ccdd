"""Pictures as Qt draws them, in any thread: what comes from a kernel may be broken, huge or hostile."""

from __future__ import annotations

from qtpy.QtCore import QBuffer, QByteArray, QIODevice, Qt
from qtpy.QtGui import QImage, QImageReader

from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.qt.drawings import draw

_MAX_PIXELS = 25_000_000
_MAX_SIDE = 16_000


def read_image(picture: Picture, width: int = _MAX_SIDE) -> QImage | None:
    """The picture, no wider than so many pixels; None if it cannot be read, or is too large to be drawn."""
    image = draw(picture.content) if picture.mime == SVG else _read_pixels(picture)
    if image is None or image.width() <= width:
        return image
    return image.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)


def _read_pixels(picture: Picture) -> QImage | None:
    buffer = QBuffer()
    buffer.setData(QByteArray(picture.content))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer, QByteArray(picture.mime.rpartition("/")[2].encode()))
    reader.setDecideFormatFromContent(False)  # a drawing that is called a picture would have its files read
    reader.setAutoTransform(True)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > _MAX_PIXELS or max(size.width(), size.height()) > _MAX_SIDE:
        return None
    image = reader.read()
    return None if image.isNull() else image
