"""How items look on a terminal: what the user waits for bare, all else with a mark that says whose it is.

========================  ==================================
``42``                    the user's own, waited for
``[3] Out: 42``           the user's own, in the background
``[alice] In [4]: 6*7``   somebody else's, when it begins
``[background] late``     nobody's
========================  ==================================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.transcript import Added, Change, Extended, Item, Shown, Transcript, Updated

_COLOURS = {Tone.FAINT: "2", Tone.WARNING: "33", Tone.TROUBLE: "31"}
_CYAN = "36"
_CONTINUED = "   ...: "
_MAX_COLOURED_CHARS = 50_000
"""Of code; a hundred thousand take some tenths of a second."""
_CODE, _TRACEBACK = "PythonLexer", "PythonTracebackLexer"


class Renderer:
    r"""Turns changes of a transcript into text for a terminal.

    Args:
        is_colourful: whether to use colours, and leave those that user code uses.
        show_picture: says how to show the picture in a mime bundle, under a name; None if it has none.

    Example:
        >>> from rpyc_kernel.frontend import Item, Renderer, Shown
        >>> Renderer(is_colourful=False).describe(Item(Shown.INPUT, "alice", 3, "6 * 7", count=1))
        '[alice] In [1]: 6 * 7\n'
    """

    def __init__(
        self,
        *,
        is_colourful: bool,
        show_picture: Callable[[dict[str, Any], str], str | None] = lambda data, name: None,
    ) -> None:
        self._show_picture = show_picture
        self._is_colourful = is_colourful
        self._unfinished_line: int | None = None
        self._line_was_returned = False

    @property
    def is_mid_line(self) -> bool:
        """Whether what was shown last did not end with a line end."""
        return self._unfinished_line is not None

    def line_was_ended(self) -> None:
        """The terminal is at the beginning of a line again."""
        self._unfinished_line = None
        self._line_was_returned = False

    def forget_line(self, execution: int) -> None:
        """What this execution has shown is on the screen no longer."""
        if self._unfinished_line == execution:
            self.line_was_ended()

    def render(self, change: Change) -> str:
        """Return the text to write for a change, "" for nothing."""
        match change:
            case Added(item, text) | Extended(item, text) if item.shown is Shown.STREAM:
                return self._continue_stream(item, text)
            case Added(item) | Updated([*_, item]):
                return self._below_line(self.describe(item))
            case _:
                return ""

    def _below_line(self, text: str) -> str:
        if text and self.is_mid_line:
            self.line_was_ended()
            return "\n" + text
        return text

    # ------------------------------------------------------------------ streams

    def _continue_stream(self, item: Item, text: str) -> str:
        key = item.execution or 0
        text = self.keep_colours(text)
        if not text:
            return ""
        start = ""
        if self.is_mid_line and self._unfinished_line != key:
            start = "\n"
            self.line_was_ended()
        shown = self._mark_stream(text, self._tag(item)) if item.whose else text
        self._unfinished_line = None if shown.endswith("\n") else key
        return start + shown

    def _mark_stream(self, text: str, tag: str) -> str:
        """Mark each line, and of one that was overwritten show what came last."""
        *lines, rest = text.split("\n")
        shown = [self._mark_line(line, tag) + "\n" for line in lines]
        if rest:
            shown.append(self._mark_line(rest, tag))
        return "".join(shown)

    def _mark_line(self, line: str, tag: str) -> str:
        goes_on, self._unfinished_line = self.is_mid_line, None
        last = line.rstrip("\r").rpartition("\r")[2]
        overwrites = self._line_was_returned or "\r" in line.rstrip("\r")
        self._line_was_returned = line.endswith("\r")
        last = _end_colours(last)
        if goes_on:
            return f"\r{tag}{last}" if overwrites and last else last
        return tag + last

    # ------------------------------------------------------------------ all else

    def describe(self, item: Item) -> str:
        """Return the text for all of an item, from the beginning of a line to the end of one."""
        match item.shown:
            case Shown.STREAM:
                lines = self.keep_colours(item.text).removesuffix("\n").split("\n")
                return "".join(f"{self._tag(item)}{_end_colours(line)}\n" for line in lines)
            case Shown.INPUT:
                first, *others = self._highlight(item.text, _CODE).rstrip("\n").split("\n")
                label = "" if item.count is None else f"In [{sanitize_line(str(item.count))}]: "
                return self._mark(item, "\n".join([f"{label}{first}", *(_CONTINUED + line for line in others)]))
            case Shown.RESULT | Shown.DISPLAY:
                return self._describe_value(item)
            case Shown.PAGE:
                return self._mark(item, self._show_bundle(item, str(item.seq)))
            case Shown.PROPOSAL:
                return self._mark(item, self._highlight(item.text, _CODE))
            case Shown.ERROR:
                return self._mark(item, self._highlight(item.text, _TRACEBACK))
            case Shown.QUESTION:
                number = item.execution
                how = f"%answer {number}" if item.whose == str(number) else f"%answer {number} answers for them"
                asks = f"waits for input: {item.text} ({how if number else '%answer'})\n"
                return self._tag(item) + self._paint(asks, _COLOURS[Tone.WARNING])
            case _:
                return self._tag(item) + self._paint(_end_line(item.text), _COLOURS.get(item.tone, ""))

    def _describe_value(self, item: Item) -> str:
        shown = self._show_bundle(item, f"{item.execution}-{item.seq}")
        if not item.whose:
            return _end_line(shown)
        label = "Out" if item.shown is Shown.RESULT else "Display"
        number = "" if item.count is None else f" [{item.count}]"
        gap = "\n" if "\n" in shown else " "
        return self._mark(item, f"{label}{number}:{gap}{shown}")

    def _show_bundle(self, item: Item, name: str) -> str:
        picture = self._show_picture(item.data, name)
        shown = self.keep_colours(item.text)
        return shown if picture is None else f"{shown}\n{picture}"

    def _tag(self, item: Item) -> str:
        return self._paint(f"[{item.whose}] ", _CYAN) if item.whose else ""

    def _mark(self, item: Item, text: str) -> str:
        tag, lines = self._tag(item), text.rstrip("\n").split("\n")
        return "".join(f"{tag}{_end_colours(line)}\n" for line in lines)

    # ------------------------------------------------------------------ colours

    def keep_colours(self, text: str) -> str:
        """Return a text without its colours if the terminal is to show none."""
        return text if self._is_colourful else sanitize(text)

    def highlight(self, code: str) -> str:
        """Return code in its colours."""
        return self._highlight(code, _CODE)

    def _highlight(self, text: str, lexer: str) -> str:
        if not self._is_colourful or len(text) > _MAX_COLOURED_CHARS:
            return text
        return _load_painter(lexer)(text)

    def _paint(self, text: str, colour: str) -> str:
        if not self._is_colourful or not text or not colour:
            return text
        body = text.rstrip("\n ")
        return f"\x1b[{colour}m{body}\x1b[0m{text[len(body) :]}"


class Recording:
    """The text of events that are shown one after the other, as a log is.

    Args:
        transcript: knows what there is to see of them.
        renderer: knows how that looks.
    """

    def __init__(self, transcript: Transcript, renderer: Renderer) -> None:
        self._transcript = transcript
        self._renderer = renderer
        self.line_was_ended = renderer.line_was_ended

    def render(self, event: Event) -> str:
        """Return the text to show for an event, "" for nothing."""
        return "".join(self._renderer.render(change) for change in self._transcript.take(event))


def _end_colours(line: str) -> str:
    """What others print colours nothing but itself."""
    return f"{line}\x1b[0m" if "\x1b" in line and not line.endswith("\x1b[0m") else line


def _end_line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


@cache
def _load_painter(lexer: str) -> Callable[[str], str]:
    # Here, as most commands write no colours, and a host that they are brought to has nothing to make them with.
    from pygments import highlight, lexers
    from pygments.formatters.terminal import TerminalFormatter

    reads, writes = getattr(lexers, lexer)(stripnl=False), TerminalFormatter()
    return lambda text: highlight(text, reads, writes)
