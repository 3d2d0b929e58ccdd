"""What the executions of a group print and show, in whole lines: of many that write at once, no line is torn.

A line that goes on, as a progress bar does, is told when it has ended; until then `Lines.last_of` has it.
"""

from __future__ import annotations

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.overwriting import settle
from rpyc_kernel.faces.frontend.transcript import plain_text_of
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.own_command import as_typed_here

_MAX_OPEN_CHARS = 20_000
"""A line that is longer is told in pieces."""


class Line(Frozen):
    """A line, without its end.

    Attributes:
        who: the label of the kernel.
        text: letters, tabs and colours, nothing else.
        is_error: it belongs on standard error.
        is_urgent: people may have to do something now, so it cannot wait for the end.
    """

    who: str
    text: str
    is_error: bool = False
    is_urgent: bool = False


class Lines:
    r"""Makes lines of events.

    Example:
        >>> from rpyc_kernel import Event
        >>> from rpyc_kernel.faces.groups.lines import Lines
        >>> Lines().take("a", Event(7, 0.0, "stream", 3, None, {"name": "stdout", "text": "one\ntw"}))
        [Line(who='a', text='one', is_error=False, is_urgent=False)]
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], str] = {}
        self._last: dict[str, str] = {}

    def take(self, who: str, event: Event) -> list[Line]:
        """The lines that end with this event of a kernel's execution."""
        match event.kind:
            case Kind.STREAM:
                return self._go_on(who, event.name, sanitize(event.text, keep_colours=True))
            case Kind.DISPLAY | Kind.RESULT:
                return self._tell(who, plain_text_of(event.data))
            case Kind.ERROR:
                return self._tell(who, _describe_error(event), is_error=True)
            case Kind.FINISHED:
                reason = sanitize_line(event.payload.get("reason") or "")
                told = f"execution {event.execution} is {event.outcome}: {reason}" if reason else ""
                return [*self.end(who), *self._tell(who, told, is_error=True)]
            case _:
                return self._tell(who, _describe(who, event), is_error=True, is_urgent=True)

    def end(self, who: str) -> list[Line]:
        """The lines of a kernel that have not ended, and never will."""
        keys = [key for key in self._open if key[0] == who]
        left = [(key, settle(self._open.pop(key))) for key in keys]
        return [Line(who, text, key[1] == "stderr") for key, text in left if text]

    def last_of(self, who: str) -> str:
        """What a kernel has printed last, also of a line that goes on; without colours."""
        return self._last.get(who, "")

    def _go_on(self, who: str, stream: str, text: str) -> list[Line]:
        *ended, rest = (self._open.pop((who, stream), "") + text).split("\n")
        if len(rest) > _MAX_OPEN_CHARS:
            rest = settle(rest)
        if len(rest) > _MAX_OPEN_CHARS:
            ended, rest = [*ended, rest], ""
        if rest:
            self._open[who, stream] = rest
        lines = [settle(line).rstrip("\r") for line in ended]
        self._remember(who, settle(rest), *reversed(lines))
        return [Line(who, line, stream == "stderr") for line in lines]

    def _tell(self, who: str, text: str, *, is_error: bool = False, is_urgent: bool = False) -> list[Line]:
        """Whole lines; what a stream has left open stands before them."""
        if not text:
            return []
        lines = text.rstrip("\n").split("\n")
        self._remember(who, *reversed(lines))
        return [*self.end(who), *(Line(who, line, is_error, is_urgent) for line in lines)]

    def _remember(self, who: str, *newest_first: str) -> None:
        """Keep the newest line that has something in it."""
        for line in newest_first:
            if shown := sanitize(line).expandtabs().strip():
                self._last[who] = shown
                return


def _describe_error(event: Event) -> str:
    """A traceback; of code that has called ``sys.exit`` what it has said, which is nothing where it gave a number."""
    if "exit_code" in event.payload:
        return sanitize(event.exit_code) if isinstance(event.exit_code, str) else ""
    return "" if event.payload.get("rich") == [] else sanitize(event.traceback, keep_colours=True)


def _describe(who: str, event: Event) -> str:
    """What else there is to tell while code runs."""
    match event.kind:
        case Kind.QUEUED if event.payload.get("is_held"):
            return f"execution {event.execution} waits until somebody approves it"
        case Kind.INPUT_REQUESTED:
            prompt = sanitize_line(event.prompt).rstrip()
            how = as_typed_here(f"'rpyc-kernel answer {who}' answers")
            return f"execution {event.execution} asks: {prompt} ({how})"
        case Kind.INTERRUPT_UNANSWERED:
            where = as_typed_here(f"'rpyc-kernel stack {who}' shows where it is")
            return f"the code goes on in spite of the interrupt; {where}"
        case _:
            return ""
