"""Where a transcript is seen: plain text with colours and pictures, and never what a browser would make of it.

It is drawn in portions of a few milliseconds, so that a flood of output leaves the window alive. What would have been
scrolled out of reach before anybody saw it is not drawn at all.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from qtpy.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from qtpy.QtGui import QImage, QKeyEvent, QKeySequence, QTextCursor, QTextDocument, QTextImageFormat, QTextOption
from qtpy.QtWidgets import QTextEdit, QWidget

from rpyc_kernel.faces.frontend.pending import Step
from rpyc_kernel.faces.frontend.plots import Picture
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Item, Shown
from rpyc_kernel.faces.qt.calls import Calls
from rpyc_kernel.faces.qt.images import read_image
from rpyc_kernel.faces.qt.looks import Formats, fixed_font
from rpyc_kernel.faces.qt.sgr import Line, Style, split_lines

_PORTION_S = 0.015
_PORTION_LINES = 100
_PAUSE_MS = 5
_MAX_LINES, _KEPT_LINES = 12_000, 10_000
_MAX_IMAGE_BYTES = 300_000_000
"""Of all images together; older ones are text again."""
_MAX_LINE_CHARS = 4000
"""Of a line; Qt needs seconds to lay out one of a hundred thousand."""
_UNDRAWABLE = str.maketrans(dict.fromkeys("\x00\r\u2028\u2029\ufdd0\ufdd1￼", "�"))
"""What Qt would take for ends of lines, frames or objects."""
_MARK, _PROMPT = Style(colour=6), Style(colour=2, is_bold=True)


@dataclass(eq=False)
class _Drawn:
    """An item that is drawn.

    Attributes:
        item: which one.
        start: where, at the beginning of a line.
        look: the item as it was then.
        lines: how many there are.
        picture: the one that was read last.
        image: what it looks like; None before that is known, and if it cannot be drawn.
        name: of the image, where it stands.
    """

    item: Item
    start: QTextCursor
    look: Item
    lines: int = 0
    picture: Picture | None = None
    image: QImage | None = None
    name: str = ""


class TranscriptPane(QTextEdit):
    """Draws the items of a transcript.

    Signals:
        typed: something was typed here that is meant for the prompt.
        interrupted: Ctrl-C, with nothing selected.
    """

    typed = Signal(object)
    interrupted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFont(fixed_font())
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(8)
        self.setAccessibleName("transcript")
        self._renderer = Renderer(is_colourful=True)
        self._formats = Formats(self.palette())
        self._drawn: list[_Drawn] = []
        self._by_item: dict[Item, _Drawn] = {}
        self._pictures: Mapping[Item, Picture] = {}
        self._calls = Calls("transcript-pictures")
        self.destroyed.connect(self._calls.close)
        self._being_read: set[Item] = set()
        self._numbers = itertools.count(1)
        self._steps: deque[Step] = deque()
        self._portions: Iterator[None] = iter(())
        self._is_at_end = True
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._note_scrolled)
        bar.rangeChanged.connect(self._stay_at_end)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw_portion)

    # ------------------------------------------------------------------ what there is to draw

    def draw(self, steps: list[Step]) -> None:
        """Draw steps, soon."""
        self._steps.extend(steps)
        self._leave_out()
        if not self._timer.isActive():
            self._timer.start(0)

    @property
    def is_drawn(self) -> bool:
        """Whether nothing is left to draw."""
        return not self._timer.isActive() and not self._being_read

    def know_pictures(self, pictures: Mapping[Item, Picture]) -> None:
        """What pictures the items have that are drawn from now on."""
        self._pictures = pictures

    def clear_items(self) -> None:
        """Show nothing of what was there so far."""
        self._steps.clear()
        self._portions = iter(())
        for drawn in self._drawn:
            self._forget_image(drawn)
        self._drawn, self._by_item = [], {}
        self.clear()

    def _leave_out(self) -> None:
        """Of more than can be scrolled back to, leave out the beginning."""
        lines = 0
        for number in range(len(self._steps) - 1, -1, -1):
            step = self._steps[number]
            lines += 1 + (step.look.text.count("\n") if step.look is not None else 0)
            if lines > _MAX_LINES and number:
                for _ in range(number):
                    early = self._steps.popleft()
                    if early.item in self._by_item:
                        self._remove(early.item)
                return

    def _draw_portion(self) -> None:
        until = time.monotonic() + _PORTION_S
        while time.monotonic() < until:
            if next(self._portions, self) is not self:
                continue
            if not self._steps:
                break
            self._portions = self._draw(self._steps.popleft())
        else:
            self._timer.start(_PAUSE_MS)
        self._forget_too_much()

    def _draw(self, step: Step) -> Iterator[None]:
        drawn = self._by_item.get(step.item)
        if step.look is None:
            self._remove(step.item)
        elif drawn is None and step.is_new:
            drawn = self._by_item[step.item] = _Drawn(step.item, self._begin_item(), step.look)
            self._drawn.append(drawn)
            yield from self._write(drawn, 0)
        elif drawn is not None:
            drawn.look = step.look
            yield from self._write(drawn, min(step.look.text.count("\n", 0, step.kept), drawn.lines))

    # ------------------------------------------------------------------ the document

    def _begin_item(self) -> QTextCursor:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if self._drawn:
            cursor.insertBlock()
        cursor.setKeepPositionOnInsert(True)
        return cursor

    def _write(self, drawn: _Drawn, first: int) -> Iterator[None]:
        """Write the lines of an item from one on, in place of those that are there."""
        image = self._find_image(drawn)
        is_image_alone = image is not None and not drawn.look.whose
        lines = [] if is_image_alone else self._lines(drawn.look)[first:]
        cursor = self._select_lines(drawn, first)
        cursor.beginEditBlock()
        cursor.removeSelectedText()
        drawn.lines = first
        for line in lines:
            self._begin_line(cursor, drawn)
            self._put(cursor, line)
            drawn.lines += 1
            if drawn.lines % _PORTION_LINES == 0:
                cursor.endEditBlock()
                yield
                if self._by_item.get(drawn.item) is not drawn:
                    return  # it was taken away meanwhile
                cursor.beginEditBlock()
        if image is not None:
            self._begin_line(cursor, drawn)
            cursor.insertImage(self._keep_image(drawn, image))
            drawn.lines += 1
        cursor.endEditBlock()

    def _begin_line(self, cursor: QTextCursor, drawn: _Drawn) -> None:
        if drawn.lines:
            cursor.insertBlock()

    def _put(self, cursor: QTextCursor, line: Line) -> None:
        left = _MAX_LINE_CHARS
        for text, style in line:
            cursor.insertText(text[:left].translate(_UNDRAWABLE), self._formats.of(style))
            left -= len(text)
            if left < 0:
                more = sum(len(text) for text, _ in line) - _MAX_LINE_CHARS
                cursor.insertText(f" <and {more} more characters>", self._formats.of(Style(is_faint=True)))
                break

    def _select_lines(self, drawn: _Drawn, first: int) -> QTextCursor:
        """From the end of the line before one of an item, or where the item begins, to the item's end."""
        document = self.document()
        start = document.findBlock(drawn.start.position())
        cursor = QTextCursor(document)
        if first:
            before = document.findBlockByNumber(start.blockNumber() + first - 1)
            cursor.setPosition(before.position() + before.length() - 1)
        else:
            cursor.setPosition(start.position())
        last = document.findBlockByNumber(start.blockNumber() + max(drawn.lines, 1) - 1)
        cursor.setPosition(last.position() + last.length() - 1, QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def _remove(self, item: Item) -> None:
        drawn = self._by_item.pop(item, None)
        if drawn is None:
            return
        # They stand in the order of their places.
        number = bisect_left(self._drawn, drawn.start.position(), key=lambda other: other.start.position())
        while self._drawn[number] is not drawn:
            number += 1
        cursor = self._select_lines(drawn, 0)
        start, end = cursor.anchor(), cursor.position()
        if number + 1 < len(self._drawn):
            end += 1
        elif number:
            start -= 1
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        self._forget_image(drawn)
        del self._drawn[number]

    def _forget_too_much(self) -> None:
        if self.document().blockCount() <= _MAX_LINES:
            return
        gone = 0
        excess = self.document().blockCount() - _KEPT_LINES
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for drawn in self._drawn[:-1]:
            if gone >= excess:
                break
            gone += max(drawn.lines, 1)
            self._remove(drawn.item)
        cursor.endEditBlock()

    def _note_scrolled(self, value: int) -> None:
        self._is_at_end = value >= self.verticalScrollBar().maximum() - 4

    def _stay_at_end(self, _: int, maximum: int) -> None:
        """Who has not scrolled back sees what comes last."""
        if self._is_at_end:
            self.verticalScrollBar().setValue(maximum)

    def leave_room(self, height: int) -> None:
        """Have nothing stand so far up from the lower end."""
        self.setViewportMargins(0, 0, 0, height)

    # ------------------------------------------------------------------ looks

    def _lines(self, look: Item) -> list[Line]:
        if look.shown is Shown.STREAM:
            lines = split_lines(_drop_last_end(look.text))
            return [[(f"[{look.whose}] ", _MARK), *line] for line in lines] if look.whose else lines
        if look.shown is Shown.INPUT and not look.whose:
            code = split_lines(_drop_last_end(self._renderer.highlight(look.text)))
            return [[("... " if number else ">>> ", _PROMPT), *line] for number, line in enumerate(code)]
        return split_lines(_drop_last_end(self._renderer.describe(look)))

    # ------------------------------------------------------------------ pictures

    def _find_image(self, drawn: _Drawn) -> QImage | None:
        """What is known of the looks of its picture. A newer one is read in a thread; until then the text says it."""
        self._forget_image(drawn)
        picture = self._pictures.get(drawn.item)
        if picture is None:
            drawn.picture = drawn.image = None
        elif picture is not drawn.picture and drawn.item not in self._being_read:
            self._being_read.add(drawn.item)
            width = int(self._room * self.devicePixelRatioF())
            self._calls.ask(partial(read_image, picture, width), partial(self._show_image, drawn, picture))
        return drawn.image

    def _show_image(self, drawn: _Drawn, picture: Picture, image: QImage | None) -> None:
        self._being_read.discard(drawn.item)
        if self._by_item.get(drawn.item) is not drawn:
            return  # it was taken away meanwhile
        drawn.picture, drawn.image = picture, image
        again = [drawn]
        size = 0
        for other in reversed(self._drawn):
            size += other.image.sizeInBytes() if other.image is not None else 0
            if size > _MAX_IMAGE_BYTES and other.image is not None and other is not drawn:
                other.image = None
                again.append(other)
        self.draw([Step(other.item, other.look) for other in again])

    @property
    def _room(self) -> int:
        """How wide a picture may be."""
        return max(200, int(self.viewport().width()) - 40)

    def _keep_image(self, drawn: _Drawn, image: QImage) -> QTextImageFormat:
        drawn.name = f"picture:{next(self._numbers)}"
        self.document().addResource(QTextDocument.ResourceType.ImageResource, QUrl(drawn.name), image)
        made = QTextImageFormat()
        made.setName(drawn.name)
        width = min(image.width(), self._room)
        made.setWidth(width)
        made.setHeight(image.height() * width / image.width())
        return made

    def _forget_image(self, drawn: _Drawn) -> None:
        if drawn.name:
            self.document().addResource(QTextDocument.ResourceType.ImageResource, QUrl(drawn.name), None)
            drawn.name = ""

    def end(self) -> None:
        """Read no more pictures; what is shown stays."""
        self._calls.close()

    # ------------------------------------------------------------------ colours

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Draw all anew in the colours that hold now."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_drawn"):
            self._formats = Formats(self.palette())
            again = [Step(item, drawn.look, is_new=True) for item, drawn in self._by_item.items()]
            waiting = list(self._steps)
            self.clear_items()
            self.draw([*again, *waiting])

    # ------------------------------------------------------------------ keys

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Give the prompt what is meant for it."""
        if event.key() == Qt.Key.Key_C and event.modifiers() == Qt.KeyboardModifier.ControlModifier:
            if self.textCursor().hasSelection():
                self.copy()
            else:
                self.interrupted.emit()
        elif event.matches(QKeySequence.StandardKey.Paste) or _is_text(event):
            self.typed.emit(event)
        else:
            super().keyPressEvent(event)


def _is_text(event: QKeyEvent) -> bool:
    is_plain = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
    return bool(event.text()) and bool(event.text().isprintable()) and is_plain


def _drop_last_end(text: str) -> str:
    return text[:-1] if text.endswith("\n") else text
