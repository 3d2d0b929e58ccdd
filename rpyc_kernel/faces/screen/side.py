"""What stands beside the transcript: who waits for what, who is here, the variables, the plots."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import DataTable, Static, TabbedContent, TabPane

from rpyc_kernel.core.introspection import Variable
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.plots import SVG, Picture
from rpyc_kernel.faces.frontend.summaries import size_of, summarise_sessions
from rpyc_kernel.faces.frontend.transcript import Item
from rpyc_kernel.faces.frontend.words import first_line

_MAX_THUMBNAILS = 20
_PREVIEW_CHARS = 60


class SidePanes(Vertical):
    """The panes, one behind the other."""

    def compose(self) -> ComposeResult:
        """Build them."""
        with TabbedContent():
            with TabPane("Queue", id="queue-pane"):
                yield Static(id="queue", markup=False)
            with TabPane("People", id="people-pane"):
                yield Static(id="people", markup=False)
            with TabPane("Variables", id="variables-pane"):
                yield DataTable(id="variables", cursor_type="row", zebra_stripes=True)
            with TabPane("Plots", id="plots-pane"):
                yield VerticalScroll(id="plots")

    def on_mount(self) -> None:
        """Name the columns."""
        self.query_one("#variables", DataTable).add_columns("name", "type", "size", "value")

    def show_status(self, status: dict[str, Any], session: str) -> None:
        """Show who waits for what, and who is here."""
        self.query_one("#queue", Static).update("\n".join(_describe_queue(status)))
        self.query_one("#people", Static).update("\n".join(summarise_sessions(status["sessions"], session)))

    def show_variables(self, variables: list[Variable]) -> None:
        """Show what is in the namespace."""
        table = self.query_one("#variables", DataTable)
        row = table.cursor_row
        table.clear()
        for each in variables:
            cells = (each.name, each.type, size_of(each), each.preview[:_PREVIEW_CHARS])
            table.add_row(*(Text(sanitize_line(cell)) for cell in cells), key=each.name)
        table.move_cursor(row=min(row, table.row_count - 1))

    def show_plots(self, pictures: Mapping[Item, Picture]) -> None:
        """Show the newest pictures, the newest first."""
        pane = self.query_one("#plots", VerticalScroll)
        pane.remove_children()
        newest = list(pictures.items())[-_MAX_THUMBNAILS:]
        for item, picture in reversed(newest):
            pane.mount(Static(_title_of(item), markup=False, classes="plot-title"), make_picture(picture, "thumbnail"))


def make_picture(picture: Picture, classes: str) -> Any:
    """A widget that shows a picture, by what the terminal can; words where it cannot be read."""
    if picture.mime == SVG:
        return Static("<a drawing (SVG), which a terminal cannot show>", markup=False)
    try:
        from PIL import Image as Reader
        from textual_image import renderable
        from textual_image.widget import HalfcellImage, Image

        image = Reader.open(io.BytesIO(picture.content))
        image.load()
    except Exception as error:  # noqa: BLE001 - Pillow raises what it likes about a broken picture
        return Static(f"<a picture that cannot be read: {type(error).__name__}>", markup=False)
    # Two pixels in a character are more than a shade of grey.
    return (HalfcellImage if renderable.Image is renderable.UnicodeImage else Image)(image, classes=classes)


def _title_of(item: Item) -> str:
    whose = f"[{item.whose}] " if item.whose else ""
    number = "" if item.execution is None else f"[{item.execution}] "
    return sanitize_line(f"{whose or number}{item.text}")


def _describe_queue(status: dict[str, Any]) -> list[str]:
    asking = {prompt["execution"] for prompt in status["prompts"]}
    running = [item for item in (status["running"], *status["side"]) if item]
    lines = [f"▶ {_describe(item)}{', asks' if item['execution'] in asking else ''}" for item in running]
    lines += [f"  {_describe(item)}" for item in status["queue"]]
    more = status["queue_length"] - len(status["queue"])
    lines += [f"  {more:,} more"] if more > 0 else []
    return lines or ["nothing runs"]


def _describe(item: dict[str, Any]) -> str:
    return f"[{item['execution']}] {sanitize_line(item['name'])}: {first_line(item['code'])}"
