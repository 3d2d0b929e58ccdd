"""The newest pictures, small; made in a thread, as they may be large, and whatever they hold."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

from textual import work
from textual.containers import VerticalScroll
from textual.widgets import Static

from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.picture_size import find_size
from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.frontend.transcript import Item

_MAX_THUMBNAILS = 20
_MAX_PIXELS = 25_000_000
_WIDTH, _HEIGHT = 800, 1600
_FORMATS = ("PNG", "JPEG", "GIF")


def shrink(picture: Picture) -> Any:
    """The picture as Pillow has it, no larger than a terminal can show; words where there is none to be had."""
    if picture.mime == SVG:
        return "<a drawing (SVG), which a terminal cannot show>"
    width, height = find_size(picture.content)
    if not width * height:
        return "<a picture that cannot be read: it is no PNG, JPEG or GIF>"
    if width * height > _MAX_PIXELS:
        return f"<a picture of {width:,} x {height:,} pixels, which is too large to be shown>"
    try:
        from PIL import Image as Reader

        # Only these, as others call further programs.
        image = Reader.open(io.BytesIO(picture.content), formats=_FORMATS)
        image.thumbnail((_WIDTH, _HEIGHT))
        return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
    except Exception as error:  # noqa: BLE001 - Pillow raises what it likes about a broken picture
        return f"<a picture that cannot be read: {type(error).__name__}>"


class PlotsPane(VerticalScroll):
    """Shows them, the newest first."""

    def __init__(self) -> None:
        super().__init__(id="plots")
        self._made: dict[Item, tuple[Picture, Any]] = {}
        self._wanted: Mapping[Item, Picture] = {}
        self._is_making = False

    def show(self, pictures: Mapping[Item, Picture]) -> None:
        """Show these, when they are made."""
        self._wanted = pictures
        if not self._is_making:
            self._is_making = True
            self._make()

    @work
    async def _make(self) -> None:
        shown = None
        try:
            while shown is not self._wanted:
                shown = self._wanted
                newest = list(shown.items())[-_MAX_THUMBNAILS:]
                made: dict[Item, tuple[Picture, Any]] = {}
                for item, picture in newest:
                    known = self._made.get(item)
                    if known is None or known[0] is not picture:
                        known = picture, await asyncio.to_thread(shrink, picture)
                    made[item] = known
                self._made = made
                await self._mount()
        finally:
            self._is_making = False

    async def _mount(self) -> None:
        await self.remove_children()
        for item, (_, image) in reversed(self._made.items()):
            title = Static(_title_of(item), markup=False, classes="plot-title")
            await self.mount(title, _make_widget(image))


def _make_widget(image: Any) -> Any:
    if isinstance(image, str):
        return Static(image, markup=False)
    from textual_image import renderable
    from textual_image.widget import HalfcellImage, Image

    # Two pixels in a character are more than a shade of grey.
    return (HalfcellImage if renderable.Image is renderable.UnicodeImage else Image)(image, classes="thumbnail")


def _title_of(item: Item) -> str:
    whose = f"[{item.whose}] " if item.whose else ""
    number = "" if item.execution is None else f"[{item.execution}] "
    return sanitize_line(f"{whose or number}{item.text}")
