"""How events look on a terminal: what the user waits for bare, all else with a mark that says whose it is.

========================  ==================================
``42``                    the user's own, waited for
``[3] Out: 42``           the user's own, in the background
``[alice] In [4]: 6*7``   somebody else's, when it begins
``[background] late``     nobody's
========================  ==================================
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from rpyc_kernel.core.contract import COMM_CALL, Departure, Event, Kind, MissingField, Outcome, Role
from rpyc_kernel.faces.console.control_characters import sanitize, sanitize_line
from rpyc_kernel.system.addresses import is_loopback

_HERE = "this machine"
_KEPT_OWNERS = 2000
_MAX_SHOWN_CHARS = 100_000
"""Of a value; a hundred megabytes in a line would keep a terminal busy for minutes."""
_FAINT, _RED, _YELLOW, _CYAN = "2", "31", "33", "36"
_CONTINUED = "   ...: "
_CODE, _TRACEBACK = "PythonLexer", "PythonTracebackLexer"


class Renderer:
    """Turns events into text for one session's terminal.

    Attributes:
        foreground: the execution that the user waits for, or None.
        past: events up to this number happened before the user came.

    Args:
        session: whose terminal it is; "" for nobody's, so that everything is marked.
        is_colourful: whether to use colours, and leave those that user code uses.
        shows_messages: whether to show the messages of widgets' views, of which a slider sends many.
        shows_visit: tells of which sessions' coming and going to tell.
        show_picture: says how to show the picture in a mime bundle, under a name; None if it has none.
    """

    def __init__(
        self,
        session: str,
        *,
        is_colourful: bool,
        shows_messages: bool = False,
        shows_visit: Any = lambda session: True,
        show_picture: Callable[[dict[str, Any], str], str | None] = lambda data, name: None,
    ) -> None:
        self._show_picture = show_picture
        self.foreground: int | None = None
        self.past = 0
        self._session = session
        self._is_colourful = is_colourful
        self._shows_messages = shows_messages
        self._shows_visit = shows_visit
        self._names: dict[str, str] = {}
        self._own: set[int] = set()
        self._labels: dict[int, str] = {}
        self._owners: OrderedDict[int, str] = OrderedDict()
        self._codes: dict[int, str] = {}
        self._queued: dict[int, Event] = {}
        self._counts: dict[int, int] = {}
        self._hidden: set[int] = set()
        self._unfinished_line: int | None = None
        self._line_was_returned = False

    # ------------------------------------------------------------------ what it has to know

    def begin(self, status: dict[str, Any]) -> None:
        """Know who is there and what they run, from before the first event to come."""
        self._names.update((session["id"], sanitize_line(session["name"])) for session in status["sessions"])
        running = [status["running"]] if status["running"] else []
        for item in [*running, *status["side"], *status["queue"]]:
            self._remember(item["execution"], item["session"], item["code"], item.get("count"))
            if item["session"] == self._session:
                self._own.add(item["execution"])

    def adopt(self, execution: int) -> None:
        """This execution was submitted here, so its code is on the screen already."""
        self._own.add(execution)

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

    def is_waited_for_here(self, event: Event) -> bool:
        """Whether it belongs to what the user of this very terminal has handed in and waits for."""
        return event.execution is not None and event.execution == self.foreground and event.execution in self._own

    # ------------------------------------------------------------------ events

    def render(self, event: Event) -> str:
        """Return the text to show for an event, "" for nothing."""
        if event.kind == Kind.STREAM:
            return self._continue_stream(event)
        try:
            text = self.describe(event)
        except MissingField as error:  # it takes no other away
            text = self._paint(f"event {event.seq} cannot be shown: {sanitize_line(str(error))}\n", _RED)
        if text and self.is_mid_line:
            self.line_was_ended()
            return "\n" + text
        return text

    def _continue_stream(self, event: Event) -> str:
        key = event.execution or 0
        text = sanitize(event.text, keep_colours=self._is_colourful)
        if not text:
            return ""
        start = ""
        if self.is_mid_line and self._unfinished_line != key:
            start = "\n"
            self.line_was_ended()
        tag = self._tag(event)
        shown = self._mark_stream(text, tag) if tag else text
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
        end = "\x1b[0m" if "\x1b" in last else ""
        if goes_on:
            return (f"\r{tag}{last}" if overwrites and last else last) + end
        return tag + last + end

    def describe(self, event: Event) -> str:
        """Return the text for an event other than a stream's, from the beginning of a line on."""
        match event.kind:
            case Kind.QUEUED:
                self._take_queued(event)
                return ""
            case Kind.STARTED:
                return self._describe_input(event)
            case Kind.RESULT | Kind.DISPLAY:
                return self._describe_value(event)
            case Kind.PAGE:
                return self._mark(self._tag(event), self._show_bundle(event.data, str(event.seq)))
            case Kind.NEXT_INPUT if self.is_waited_for_here(event):
                return ""  # it stands at the next prompt
            case Kind.NEXT_INPUT:
                return self._mark(self._tag(event), self._highlight(sanitize(event.text), _CODE))
            case Kind.ERROR:
                return self._mark(self._tag(event), self._highlight(sanitize(event.traceback), _TRACEBACK))
            case Kind.INPUT_REQUESTED:
                return self._describe_question(event)
            case Kind.INTERRUPT_REQUESTED:
                return self._describe_interrupt(event)
            case Kind.INTERRUPT_UNANSWERED:
                return self._paint(
                    f"execution {event.execution} goes on in spite of the interrupt; it is here:\n", _RED
                ) + (_end_line(sanitize(event.stack)))
            case Kind.FINISHED:
                return self._describe_end(event)
            case _:
                return self._describe_kernel(event)

    def _take_queued(self, event: Event) -> None:
        assert event.execution is not None
        self._remember(event.execution, event.session, event.code)
        if event.session:
            self._names[event.session] = sanitize_line(event.name)
        call = event.payload.get("call")
        is_message = call.startswith(COMM_CALL) if call is not None else event.payload.get("is_input") is False
        if is_message and not self._shows_messages:
            self._hidden.add(event.execution)
        elif event.execution not in self._own:
            self._queued[event.execution] = event
            if event.session == self._session:
                # Typed into another terminal that shares the session, or here before the user came back.
                name = sanitize_line(event.name)
                self._labels[event.execution] = name if event.seq <= self.past else f"{name} elsewhere"

    def _describe_input(self, event: Event) -> str:
        count = event.payload.get("count")
        self._note_count(event.execution, count)
        queued = self._queued.pop(event.execution or 0, None)
        if queued is None:
            return ""
        first, *others = self._highlight(sanitize(queued.code.strip("\n")), _CODE).rstrip("\n").split("\n")
        label = "" if count is None else f"In [{sanitize_line(str(count))}]: "
        return self._mark(self._tag(queued), "\n".join([f"{label}{first}", *(_CONTINUED + line for line in others)]))

    def _describe_value(self, event: Event) -> str:
        shown = self._show_bundle(event.data, f"{event.execution}-{event.seq}")
        tag = self._tag(event)
        if not tag:
            return _end_line(shown)
        label = "Out" if event.kind == Kind.RESULT else "Display"
        count = None if event.execution in self._own else self._counts.get(event.execution or 0)
        number = "" if count is None else f" [{count}]"
        gap = "\n" if "\n" in shown else " "
        return self._mark(tag, f"{label}{number}:{gap}{shown}")

    def _show_bundle(self, data: Any, name: str) -> str:
        if not isinstance(data, dict):
            return f"<a display that is no mime bundle: {type(data).__name__}>"
        plain = data.get("text/plain")
        shown = self._shorten(plain) if isinstance(plain, str) else f"<{sanitize_line(', '.join(map(str, data)))}>"
        picture = self._show_picture(data, name)
        return shown if picture is None else f"{shown}\n{picture}"

    def read_page(self, event: Event) -> str:
        """Return the whole text of a page; "" if it is none, and not for the user of this terminal."""
        plain = event.data.get("text/plain") if event.kind == Kind.PAGE and isinstance(event.data, dict) else None
        if not isinstance(plain, str) or not self.is_waited_for_here(event):
            return ""
        return _end_line(sanitize(plain, keep_colours=self._is_colourful))

    def _shorten(self, text: str) -> str:
        kept = sanitize(text[:_MAX_SHOWN_CHARS], keep_colours=self._is_colourful)
        left_out = len(text) - _MAX_SHOWN_CHARS
        return f"{kept}\n<and {left_out} more characters>" if left_out > 0 else kept

    def _describe_question(self, event: Event) -> str:
        prompt = sanitize_line(event.prompt)
        if event.execution is not None and event.execution == self.foreground:
            return ""
        number = event.execution
        how = f"%answer {number}" if number in self._own else f"%answer {number} answers for them"
        return self._tag(event) + self._paint(f"waits for input: {prompt} ({how if number else '%answer'})\n", _YELLOW)

    def _describe_interrupt(self, event: Event) -> str:
        by = sanitize_line(event.by or "")
        if by == self._names.get(self._session):
            return ""
        return self._paint(f"[{by} interrupts execution {event.execution}]\n", _FAINT)

    def _describe_end(self, event: Event) -> str:
        number = event.execution
        code = self._codes.pop(number or 0, "")
        self._queued.pop(number or 0, None)
        if number in self._hidden:
            self._hidden.discard(number)
            return ""
        tag = self._tag(event)
        is_here = event.session == self._session and number not in self._labels
        self._own.discard(number or 0)
        self._labels.pop(number or 0, None)
        if event.outcome in (Outcome.LOST, Outcome.CANCELLED, Outcome.ABORTED):
            which = f"execution {number}" + (f" ({code})" if code else "")
            return self._paint(f"{which} is {event.outcome}: {sanitize_line(event.reason or '')}\n", _YELLOW)
        if is_here and tag:
            duration = "" if event.duration_s is None else f" after {event.duration_s:.1f} s"
            return tag + self._paint(f"finished: {event.outcome}{duration}\n", _FAINT)
        return ""

    def _describe_kernel(self, event: Event) -> str:
        match event.kind:
            case Kind.CLIENT_JOINED | Kind.CLIENT_LEFT if event.session != self._session:
                name = sanitize_line(event.name)
                self._names[event.session or ""] = name
                what = _describe_visit(event.kind, event.payload)
                return self._paint(f"[{name} {what}]\n", _FAINT) if self._shows_visit(event.session) else ""
            case Kind.WORKER_DIED:
                memory = event.peak_memory_bytes or event.memory_bytes
                held = f", having held up to {memory / 1e6:.0f} MB" if memory else ""
                end = f"the worker of generation {event.generation} ended: {sanitize_line(event.reason)}{held}\n"
                return self._paint(end, _RED) + (_end_line(sanitize(event.stack)) if event.stack else "")
            case Kind.WORKER_STARTED if event.adopted:
                return self._paint(f"[the worker of generation {event.generation} was taken up again]\n", _FAINT)
            case Kind.WORKER_STARTED if event.generation > 1:
                return self._paint(f"generation {event.generation}: a new, empty namespace\n", _YELLOW)
            case Kind.RESTART_REQUESTED:
                return self._paint(f"[{sanitize_line(event.by)} restarts the kernel]\n", _FAINT)
            case Kind.JOURNAL_TROUBLE | Kind.JOURNAL_RECOVERED:
                return self._paint(f"{sanitize_line(event.message)}\n", _YELLOW)
            case Kind.HUB_STOPPED:
                return self._paint(f"the kernel has stopped: {sanitize_line(event.reason)}\n", _YELLOW)
            case _:
                return self._describe_people(event)

    def _describe_people(self, event: Event) -> str:
        match event.kind:
            case Kind.CLIENT_KICKED:
                return self._paint(f"[{sanitize_line(event.by)} kicked {sanitize_line(event.name)}]\n", _FAINT)
            case Kind.INVITATION_GIVEN:
                invited = f"{sanitize_line(event.name)} as {sanitize_line(event.role)}"
                return self._paint(f"[{sanitize_line(event.by)} invited {invited}]\n", _FAINT)
            case Kind.INVITATION_REVOKED:
                revoked = f"the invitation of {sanitize_line(event.name)}"
                return self._paint(f"[{sanitize_line(event.by)} revoked {revoked}]\n", _FAINT)
            case Kind.CLIENT_REFUSED if event.session is None or event.session != self._session:
                count = event.count if isinstance(event.count, int) else 1
                more = f" ({count} times)" if count > 1 else ""
                where = f" from {sanitize_line(event.address)}" if event.address else ""
                return self._paint(f"refused{where}: {sanitize_line(event.reason)}{more}\n", _YELLOW)
            case _:
                return ""

    # ------------------------------------------------------------------ whose it is

    def _remember(self, execution: int, session: str | None, code: str, count: int | None = None) -> None:
        self._codes[execution] = first_line(code)
        self._owners[execution] = session or ""
        self._note_count(execution, count)
        while len(self._owners) > _KEPT_OWNERS:
            forgotten, _ = self._owners.popitem(last=False)
            self._counts.pop(forgotten, None)

    def _note_count(self, execution: int | None, count: int | None) -> None:
        if execution is not None and execution in self._owners and isinstance(count, int):
            self._counts[execution] = count

    def _tag(self, event: Event) -> str:
        """Who or what a line belongs to; "" for what the user waits for."""
        number = event.execution
        if number is None:
            return self._paint("[background] ", _CYAN)
        if number == self.foreground:
            return ""
        session = event.session or self._owners.get(number)
        if number in self._own or session is None:
            return self._paint(f"[{number}] ", _CYAN)
        name = self._names.get(session, session)
        if session == self._session:
            name = self._labels.get(number, str(number))
        return self._paint(f"[{name}] ", _CYAN)

    def _mark(self, tag: str, text: str) -> str:
        lines = text.rstrip("\n").split("\n")
        return "".join(f"{tag}{line}\n" for line in lines)

    # ------------------------------------------------------------------ colours

    def _highlight(self, text: str, lexer: str) -> str:
        if not self._is_colourful:
            return text
        return _load_painter(lexer)(text)

    def _paint(self, text: str, colour: str) -> str:
        if not self._is_colourful or not text:
            return text
        body = text.rstrip("\n ")
        return f"\x1b[{colour}m{body}\x1b[0m{text[len(body) :]}"


def first_line(code: str) -> str:
    """The beginning of some code, to be recognised by."""
    line = sanitize_line(code.strip().partition("\n")[0])
    return line if len(line) <= 60 else line[:57] + "..."


def join_numbers(numbers: Iterable[int]) -> str:
    """Name executions in a sentence: ``[3], [4] and [7]``."""
    *most, last = [f"[{number}]" for number in numbers]
    return f"{', '.join(most)} and {last}" if most else last


def describe_place(host: str, address: str) -> str:
    """From where somebody comes, in words. By SSH there is no address; a host is what a client says of itself."""
    if host in ("", socket.gethostname()) and (not address or is_loopback(address)):
        return _HERE
    host, address = sanitize_line(host), sanitize_line(address)
    if host and address:
        return f"{host} ({address})"
    return host or address


def _describe_visit(kind: str, payload: dict[str, Any]) -> str:
    if kind == Kind.CLIENT_LEFT:
        return {Departure.LOST: "has lost the connection", Departure.KICKED: "was sent away"}.get(
            payload.get("why") or "", "left"
        )
    place = describe_place(payload.get("host") or "", payload.get("address") or "")
    way = "" if place == _HERE else f" from {place}"
    return "joined" + way + (" to look on" if payload.get("role") == Role.VIEWER else "")


def _end_line(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


@cache
def _load_painter(lexer: str) -> Callable[[str], str]:
    # Here, as most commands write no colours, and a host that they are brought to has nothing to make them with.
    from pygments import highlight, lexers
    from pygments.formatters.terminal import TerminalFormatter

    reads, writes = getattr(lexers, lexer)(stripnl=False), TerminalFormatter()
    return lambda text: highlight(text, reads, writes)
