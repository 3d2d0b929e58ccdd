"""Pictures as Qt draws them. What comes from a kernel may be broken, huge or hostile."""

from __future__ import annotations

import re

from qtpy.QtCore import QBuffer, QByteArray, QIODevice, QSize, Qt
from qtpy.QtGui import QImage, QImageReader, QPainter

from rpyc_kernel.faces.frontend.plots import SVG, Picture

_MAX_PIXELS = 25_000_000
_MAX_SIDE = 16_000
_MAX_DRAWING_SIDE = 1200
_FOREIGN = re.compile(rb"""(href\s*=\s*)(["'])(?!#|data:).*?\2""", re.DOTALL)
"""What a drawing would have read from somewhere else."""


def read_image(picture: Picture) -> QImage | None:
    """The picture; None if it cannot be read, or is too large to be drawn."""
    if picture.mime == SVG:
        return _draw(picture.content)
    buffer = QBuffer()
    buffer.setData(QByteArray(picture.content))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    size = reader.size()
    if not size.isValid() or size.width() * size.height() > _MAX_PIXELS or max(size.width(), size.height()) > _MAX_SIDE:
        return None
    image = reader.read()
    return None if image.isNull() else image


def _draw(content: bytes) -> QImage | None:
    try:
        from qtpy.QtSvg import QSvgRenderer
    except ImportError:  # a part of Qt that some distributions pack apart
        return None
    renderer = QSvgRenderer(QByteArray(_FOREIGN.sub(rb"\1\2\2", content)))
    size = renderer.defaultSize()
    if not renderer.isValid() or size.isEmpty():
        return None
    if max(size.width(), size.height()) > _MAX_DRAWING_SIDE:
        size = size.scaled(QSize(_MAX_DRAWING_SIDE, _MAX_DRAWING_SIDE), Qt.AspectRatioMode.KeepAspectRatio)
    image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.white)  # most drawings are made for paper
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    return image
