"""The pictures that code has shown, to be looked through."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rpyc_kernel.faces.frontend.transcript import Added, Change, Cleared, Item, Updated

SVG = "image/svg+xml"
_BINARY = ("image/png", "image/jpeg", "image/gif")
_MAX_PLOTS = 200
_MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        mime: its MIME type: ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/svg+xml``.
        content: what a file of it would hold.
    """

    mime: str
    content: bytes


def read_picture(data: Mapping[str, Any]) -> Picture | None:
    """The picture in a mime bundle; None if it has none, or one that cannot be read.

    Args:
        data: as of `Item`.

    Example:
        >>> from rpyc_kernel.frontend import read_picture
        >>> read_picture({"image/svg+xml": "<svg/>", "text/plain": "a drawing"})
        Picture(mime='image/svg+xml', content=b'<svg/>')
    """
    for mime in _BINARY:
        if content := _decode(data.get(mime)):
            return Picture(mime, content)
    drawing = data.get(SVG)
    return Picture(SVG, drawing.encode("utf-8", "replace")) if isinstance(drawing, str) and drawing else None


class Plots:
    """The newest pictures of a transcript. What is cleared goes, what is updated is replaced.

    Attributes:
        pictures: by the item that shows each, oldest first.

    Example:
        >>> from rpyc_kernel.frontend import Added, Item, Plots, Shown
        >>> plots = Plots()
        >>> plots.take(Added(Item(Shown.DISPLAY, "", 1, "<svg>", {"image/svg+xml": "<svg/>"})))
        True
        >>> [picture.mime for picture in plots.pictures.values()]
        ['image/svg+xml']
    """

    def __init__(self) -> None:
        self.pictures: dict[Item, Picture] = {}

    def take(self, change: Change) -> bool:
        """Learn from a change of the transcript; whether there is another picture now."""
        match change:
            case Added(item):
                return self._keep(item)
            case Updated(items):
                return sum(self._keep(item) for item in items) > 0
            case Cleared(items=items):
                return sum(self.pictures.pop(item, None) is not None for item in items) > 0
            case _:
                return False

    def _keep(self, item: Item) -> bool:
        picture = read_picture(item.data)
        if picture is None:
            return self.pictures.pop(item, None) is not None
        self.pictures[item] = picture
        size = sum(len(kept.content) for kept in self.pictures.values())
        while len(self.pictures) > 1 and (len(self.pictures) > _MAX_PLOTS or size > _MAX_BYTES):
            oldest = next(iter(self.pictures))
            size -= len(self.pictures.pop(oldest).content)
        return True


def _decode(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=False) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None
