"""Where a transcript is seen on a full screen: lines with colours, of which only those in sight are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.text import Text
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rpyc_kernel.faces.frontend.pending import Step
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Item, Shown

_MAX_LINES = 20_000


@dataclass(eq=False)
class _Drawn:
    """An item as it was drawn last.

    Attributes:
        look: the item as it was then.
        strips: its lines.
        settled: how many characters, and how many lines, stay as they are while more is only added.
    """

    look: Item
    strips: list[Strip] = field(default_factory=list)
    settled: tuple[int, int] = (0, 0)


class TranscriptPane(ScrollView, can_focus=True):
    """Draws the items of a transcript; it follows the end until somebody scrolls up.

    Args:
        renderer: knows how each item looks.
    """

    def __init__(self, renderer: Renderer) -> None:
        super().__init__(id="transcript")
        self._renderer = renderer
        self._drawn: dict[Item, _Drawn] = {}
        self._lines: list[Strip] = []
        self._width = self._end = 0

    @property
    def text(self) -> str:
        """All lines, as text."""
        return "\n".join(strip.text.rstrip() for strip in self._lines)

    def draw(self, steps: Sequence[Step]) -> None:
        """Show what has changed."""
        only_adds = all(step.is_new for step in steps)
        for step in steps:
            if step.look is None:
                self._drawn.pop(step.item, None)
            else:
                drawn = self._drawn.setdefault(step.item, _Drawn(step.look))
                drawn.look = step.look
                self._draw_item(drawn, step.kept)
                if only_adds:
                    self._lines += drawn.strips
        self._forget()
        if not only_adds:
            self._lines = [strip for drawn in self._drawn.values() for strip in drawn.strips]
        self._show_lines()

    def render_line(self, y: int) -> Strip:
        """One row of what is in sight."""
        number = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if number >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        return self._lines[number].crop_extend(0, width, self.rich_style)

    def on_resize(self, event: Resize) -> None:
        """Break the lines anew, if they have another width."""
        if self._width != (width := self.scrollable_content_region.width):
            self._width = width
            for drawn in self._drawn.values():
                self._draw_item(drawn, 0)
            self._lines = [strip for drawn in self._drawn.values() for strip in drawn.strips]
        self._show_lines()

    def _forget(self) -> None:
        if len(self._lines) > _MAX_LINES:
            while len(self._drawn) > 1 and sum(len(drawn.strips) for drawn in self._drawn.values()) > _MAX_LINES:
                del self._drawn[next(iter(self._drawn))]
            self._lines = [strip for drawn in self._drawn.values() for strip in drawn.strips]

    def _show_lines(self) -> None:
        # A question takes rows away from the lower end, and gives them back.
        is_at_end = self.scroll_offset.y >= min(self.max_scroll_y, self._end) - 1
        # Assigned, it would have the whole screen laid out anew, and drawn twice, for each line.
        self.set_reactive(TranscriptPane.virtual_size, Size(self.scrollable_content_region.width, len(self._lines)))
        self.vertical_scrollbar.window_virtual_size = len(self._lines)
        if is_at_end:
            self.scroll_end(animate=False, immediate=True)
        self._end = self.max_scroll_y
        self.refresh()

    def _draw_item(self, drawn: _Drawn, kept: int) -> None:
        """Break an item into lines; of what a program prints, only what is new, as there may be thousands before."""
        chars, lines = drawn.settled if drawn.settled[0] <= kept else (0, 0)
        text = drawn.look.text
        if drawn.look.shown is not Shown.STREAM or "\x1b" in text:  # colours go on from line to line
            drawn.strips, drawn.settled = self._break(drawn.look), (0, 0)
            return
        end = text.rfind("\n", chars) + 1
        del drawn.strips[lines:]
        if end:
            drawn.strips += self._break(replace(drawn.look, text=text[chars:end]))
            chars = end
        drawn.settled = chars, len(drawn.strips)
        if chars < len(text):
            drawn.strips += self._break(replace(drawn.look, text=text[chars:]))

    def _break(self, item: Item) -> list[Strip]:
        """The lines of an item, each no wider than the pane."""
        width = max(self.scrollable_content_region.width, 1)
        # Colours are all that is obeyed of it: no markup, no links.
        if item.shown is Shown.INPUT and not item.whose:
            code = Text.from_ansi(self._renderer.highlight(item.text).rstrip("\n"))
            text = Text("\n").join(Text.assemble((mark, "green"), line) for mark, line in _mark(code.split("\n")))
        else:
            text = Text.from_ansi(self._renderer.describe(item).removesuffix("\n"))
        console = self.app.console
        options = console.options.update(width=width, highlight=False, markup=False)
        lines = console.render_lines(text, options, style=self.rich_style, pad=False)
        return [Strip(line) for line in lines]


def _mark(lines: Iterable[Text]) -> Iterator[tuple[str, Text]]:
    """What was typed here, as it is at a prompt."""
    for number, line in enumerate(lines):
        yield "... " if number else ">>> ", line
