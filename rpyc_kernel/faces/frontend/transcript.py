"""What is to be seen of a kernel: events come in, and changes of what is shown go out.

::

    transcript = Transcript(kernel.session)
    transcript.begin({**kernel.status(), "queue": kernel.queue()})
    for events in kernel.watch(...):
        for change in transcript.take_all(events):
            ...  # an item was added, extended, updated; the output of an execution was cleared; old items are forgotten

Nothing in it waits, reads a clock, or knows where it is shown. What it holds is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rpyc_kernel.core.contract import Event, Kind, MissingField
from rpyc_kernel.faces.frontend import notices
from rpyc_kernel.faces.frontend.attribution import Attribution
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.overwriting import settle

_OUTPUT_KINDS = frozenset({Kind.STREAM, Kind.DISPLAY, Kind.RESULT, Kind.ERROR})
_MAX_SHOWN_CHARS = 100_000
"""Of a value; a hundred megabytes in a line would keep a terminal busy for minutes."""
_MAX_ITEM_CHARS = 20_000
"""Of a stream; what comes after that is a further item."""
_MAX_ITEMS = 5000
_MAX_CHARS = 50_000_000
"""Of all items together, with their pictures."""


class Shown(Enum):
    """What an item is."""

    INPUT = "code that begins to run and was not typed here, or that was and is to be shown by `echo`"
    STREAM = "printed"
    RESULT = "the value of an expression"
    DISPLAY = "shown by the code"
    PAGE = "to be read at leisure"
    PROPOSAL = "what the code of somebody else, or nobody's, proposes to run next"
    ERROR = "a traceback"
    QUESTION = "code waits for input that is not asked for here"
    NOTICE = "what the kernel, people in it or the front end itself have to say"


@dataclass(eq=False)
class Item:
    """Something shown, from the beginning of a line on.

    Attributes:
        shown: what it is.
        whose: a name, the number of an execution of the user's own in the background, or "background"; "" for what the
            user waits for, and for notices.
        execution: its number, None for what belongs to none.
        text: what to show, with no control characters but line ends, tabs and colours (``ESC [ … m``). Of a value or
            display its plain text.
        data: the mime bundle of a value, display or page; {} for all else.
        stream: ``stdout`` or ``stderr`` of what was printed, else "".
        count: of an input and its values which input of its worker it is, None where that is not said.
        display: the id under which it can be updated, else None.
        is_update: it came as the update of a display that is not there any more.
        tone: of a notice.
        seq: the number of the event that it came with, or was updated by; 0 for what no event has said.
        time: of the event that it came with, in seconds since the epoch.
    """

    shown: Shown
    whose: str
    execution: int | None
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    stream: str = ""
    count: int | None = None
    display: str | None = None
    is_update: bool = False
    tone: Tone = Tone.PLAIN
    seq: int = 0
    time: float = 0.0

    @property
    def size(self) -> int:
        """How much it holds, in characters."""
        return len(self.text) + sum(len(value) for value in self.data.values() if isinstance(value, str))


@dataclass(frozen=True, eq=False)
class Added:
    """A new item, below all others.

    Attributes:
        item: the item.
        text: of a stream, what was printed, with carriage returns.
    """

    item: Item
    text: str = ""


@dataclass(frozen=True, eq=False)
class Extended:
    """The last item of a stream goes on.

    Attributes:
        item: with all of its text.
        text: what was printed, with carriage returns.
        kept: how many characters of what the item was before still hold; after them ``item.text[kept:]`` is new.
    """

    item: Item
    text: str
    kept: int


@dataclass(frozen=True, eq=False)
class Cleared:
    """The output of an execution is taken away.

    Attributes:
        execution: its number.
        items: what is no longer there.
    """

    execution: int
    items: Sequence[Item]


@dataclass(frozen=True, eq=False)
class Updated:
    """What was shown under an id is something else now.

    Attributes:
        items: those of this id, oldest first, each with its new text and data.
    """

    items: Sequence[Item]


@dataclass(frozen=True, eq=False)
class Ended:
    """An execution has ended: nothing of it changes any more, but late output of its threads may come.

    Attributes:
        execution: its number.
    """

    execution: int


@dataclass(frozen=True, eq=False)
class Forgotten:
    """The oldest items are held no longer, as there are too many.

    Attributes:
        items: those that are held no longer, oldest first.
    """

    items: Sequence[Item]


Change = Added | Extended | Cleared | Updated | Ended | Forgotten


def to_draw(changes: Iterable[Change]) -> tuple[list[Item], list[Item]]:
    """What changes come to for a view that keeps something of its own for each item, such as a widget.

    Args:
        changes: as they came.

    Returns:
        The items to draw, new ones and old ones that are otherwise now, in order and each once; and those drawn before
        that are to be taken away.

    Example:
        >>> from rpyc_kernel.frontend import Added, Cleared, Item, Shown, to_draw
        >>> item, other = (Item(Shown.STREAM, "", 1, text) for text in ("one", "two"))
        >>> drawn, gone = to_draw([Added(other), Cleared(1, [item]), Cleared(1, [other])])
        >>> drawn, [each.text for each in gone]
        ([], ['one'])
    """
    drawn: dict[Item, None] = {}
    gone: list[Item] = []
    new: set[Item] = set()
    for change in changes:
        match change:
            case Added(item) | Extended(item):
                drawn[item] = None
                if isinstance(change, Added):
                    new.add(item)
            case Updated(items):
                drawn |= dict.fromkeys(items)
            case Cleared(items=items) | Forgotten(items):
                gone += [item for item in items if item not in new]
                for item in items:
                    drawn.pop(item, None)
    return list(drawn), gone


OUTPUT = frozenset({Shown.STREAM, Shown.RESULT, Shown.DISPLAY, Shown.ERROR})
"""What an execution can clear."""


class Transcript:
    """The items, and how they change.

    Args:
        session: whose user sees it; "" for nobody's, so that everything says whose it is.
        shows_messages: whether to show the messages of widgets' views, of which a slider sends many.
        shows_visit: tells of which sessions' coming and going to tell.

    Attributes:
        whose: knows whose everything is, and what the user waits for.
        items: what is shown, oldest first.

    Example:
        >>> import rpyc_kernel
        >>> from rpyc_kernel.frontend import Transcript
        >>> with rpyc_kernel.connect("demo") as kernel:
        ...     transcript, status = Transcript(kernel.session), kernel.status()
        ...     transcript.begin({**status, "queue": kernel.queue()})
        ...     _ = transcript.echo("6 * 7", is_handed_in=True)
        ...     _ = kernel.execute("6 * 7")
        ...     _ = transcript.take_all(list(kernel.events(since=status["last"], follow=False)))
        >>> [(item.shown.name, item.text) for item in transcript.items]
        [('INPUT', '6 * 7'), ('RESULT', '42')]
    """

    def __init__(self, session: str, *, shows_messages: bool = False, shows_visit: Any = lambda session: True) -> None:
        self.whose = Attribution(session, shows_messages=shows_messages)
        self.items: deque[Item] = deque()
        self._shows_visit = shows_visit
        self._to_be_cleared: set[int] = set()
        self._size = 0

    def begin(self, status: dict[str, Any]) -> None:
        """Know who is there and what runs, by a status with the whole queue, before the first event that is taken."""
        self.whose.begin(status)

    def take_all(self, events: Sequence[Event]) -> list[Change]:
        """Take events, without what later ones of them clear or update."""
        superseded = find_superseded(events, self._to_be_cleared)
        return [change for event in events if event.seq not in superseded for change in self.take(event)]

    def take(self, event: Event) -> list[Change]:
        """What an event changes."""
        try:
            changes = self._take(event)
        except MissingField as error:  # it takes no other away
            text = f"event {event.seq} cannot be shown: {sanitize_line(str(error))}"
            changes = [self._add(_notice_of(event, text, Tone.TROUBLE))]
        return [*changes, *self._forget()]

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> list[Change]:
        """Add lines of the front end's own."""
        item = Item(Shown.NOTICE, "", None, _clean(text, keep_colours=True), tone=tone)
        return [self._add(item), *self._forget()]

    def echo(self, code: str, *, is_handed_in: bool = False) -> list[Change]:
        """Add what the user has typed, for a front end that does not show it by itself, as a terminal does.

        Args:
            code: what was typed.
            is_handed_in: whether it is about to be submitted as it stands by a front end that does not tell `whose`
                the number: what comes of it is shown as the user's own, and as waited for until it ends.
        """
        if is_handed_in:
            self.whose.expect(code)
        return [self._add(Item(Shown.INPUT, "", None, _clean_code(code))), *self._forget()]

    # ------------------------------------------------------------------ events

    def _take(self, event: Event) -> list[Change]:
        match event.kind:
            case Kind.STREAM | Kind.DISPLAY | Kind.RESULT | Kind.ERROR:
                return [*self._clear_at_last(event), *self._take_output(event)]
            case Kind.CLEAR_OUTPUT if event.execution is not None:
                self._to_be_cleared.add(event.execution)
                return [] if event.wait else self._clear_at_last(event)
            case Kind.QUEUED:
                self.whose.queue(event)
                return [self._add(_notice_of(event, text, tone)) for text, tone in notices.describe(event, self.whose)]
            case Kind.STARTED:
                queued = self.whose.start(event)
                code = "" if queued is None else _clean_code(queued.code)
                count = event.payload.get("count")
                return [] if queued is None else [self._add(self._item(Shown.INPUT, queued, code, count=count))]
            case Kind.PAGE:
                return [self._add(self._bundle(Shown.PAGE, event))]
            case Kind.NEXT_INPUT if self.whose.is_waited_for_here(event):
                return []  # it stands at the next prompt
            case Kind.NEXT_INPUT:
                return [self._add(self._item(Shown.PROPOSAL, event, _clean_code(event.text)))]
            case Kind.INPUT_REQUESTED if event.execution is None or event.execution != self.whose.foreground:
                return [self._add(self._item(Shown.QUESTION, event, sanitize_line(event.prompt)))]
            case Kind.FINISHED:
                return self._finish(event)
            case Kind.CLIENT_JOINED | Kind.CLIENT_LEFT if not self._shows_visit(event.session):
                notices.describe(event, self.whose)  # which has to know the name
                return []
            case _:
                told = notices.describe(event, self.whose)
                return [self._add(_notice_of(event, text, tone)) for text, tone in told]

    def _take_output(self, event: Event) -> list[Change]:
        match event.kind:
            case Kind.STREAM:
                return self._go_on_with_stream(event, sanitize(event.text, keep_colours=True))
            case Kind.ERROR:
                return [self._add(self._item(Shown.ERROR, event, _clean(event.traceback)))]
            case Kind.RESULT:
                return [self._add(self._bundle(Shown.RESULT, event, display=event.payload.get("display_id")))]
            case _:
                return self._display(event)

    def _display(self, event: Event) -> list[Change]:
        item = self._bundle(Shown.DISPLAY, event, display=event.display_id)
        shown = [other for other in self.items if item.display is not None and other.display == item.display]
        if not event.is_update or not shown:
            item.is_update = event.is_update
            return [self._add(item)]
        for other in shown:
            self._size += item.size - other.size
            other.text, other.data, other.whose, other.seq = item.text, item.data, item.whose, item.seq
        return [Updated(shown)]

    def _go_on_with_stream(self, event: Event, text: str) -> list[Change]:
        if not text:
            return []
        item = self._item(Shown.STREAM, event, settle(text))
        item.stream = event.name
        last = self.items[-1] if self.items else None
        if last is None or _is_full(last) or not _is_same_stream(last, item):
            return [self._add(item, text)]
        done, newline, rest = last.text.rpartition("\n")
        kept = len(done) + len(newline) if "\r" in rest or "\r" in text else len(last.text)
        self._size -= len(last.text)
        last.text = done + newline + settle(rest + text)
        self._size += len(last.text)
        return [Extended(last, text, kept)]

    def _finish(self, event: Event) -> list[Change]:
        number = event.execution or 0
        self._to_be_cleared.discard(number)
        whose = self.whose.whose(event)
        code, is_shown, is_here = self.whose.finish(event)
        if number == self.whose.foreground:
            self.whose.foreground = None
        told = notices.describe_end(event, code, is_marked=is_here and bool(whose)) if is_shown else None
        if told is None:
            return [Ended(number)]
        item = _notice_of(event, *told)
        item.whose = whose if item.tone is Tone.FAINT else ""
        return [Ended(number), self._add(item)]

    def _clear_at_last(self, event: Event) -> list[Change]:
        number = event.execution
        if number not in self._to_be_cleared or number is None:
            return []
        self._to_be_cleared.discard(number)
        own = [item for item in self.items if item.execution == number and item.shown in OUTPUT]
        for item in own:
            self.items.remove(item)
            self._size -= item.size
        return [Cleared(number, own)]

    # ------------------------------------------------------------------ items

    def _item(self, shown: Shown, event: Event, text: str, *, count: int | None = None) -> Item:
        whose = self.whose.whose(event)
        return Item(shown, whose, event.execution, text, count=count, seq=event.seq, time=event.time)

    def _bundle(self, shown: Shown, event: Event, *, display: str | None = None) -> Item:
        data = event.data
        item = self._item(shown, event, plain_text_of(data), count=self.whose.count(event.execution))
        item.data, item.display = data if isinstance(data, dict) else {}, display
        return item

    def _add(self, item: Item, text: str = "") -> Change:
        self.items.append(item)
        self._size += item.size
        return Added(item, text)

    def _forget(self) -> list[Change]:
        forgotten = []
        while len(self.items) > 1 and (len(self.items) > _MAX_ITEMS or self._size > _MAX_CHARS):
            forgotten.append(self.items.popleft())
            self._size -= forgotten[-1].size
        return [Forgotten(forgotten)] if forgotten else []


def _notice_of(event: Event, text: str, tone: Tone) -> Item:
    return Item(Shown.NOTICE, "", event.execution, text, tone=tone, seq=event.seq, time=event.time)


def _is_full(item: Item) -> bool:
    return len(item.text) > (_MAX_ITEM_CHARS if item.text.endswith("\n") else 5 * _MAX_ITEM_CHARS)


def _is_same_stream(last: Item, item: Item) -> bool:
    return (last.shown, last.whose, last.execution, last.stream) == (
        item.shown,
        item.whose,
        item.execution,
        item.stream,
    )


def _clean(text: str, *, keep_colours: bool = False) -> str:
    """A text that stands as a whole: no carriage return in it goes back to before it begins."""
    return settle(sanitize(text, keep_colours=keep_colours)).replace("\r", "")


def _clean_code(code: str) -> str:
    """To Python a carriage return ends a line, so nothing before it may be hidden."""
    return sanitize(code.replace("\r\n", "\n").replace("\r", "\n").strip("\n"))


def plain_text_of(data: Any) -> str:
    """What of a mime bundle can be shown as text, with no control characters but line ends, tabs and colours."""
    if not isinstance(data, dict):
        return f"<a display that is no mime bundle: {type(data).__name__}>"
    plain = data.get("text/plain")
    if not isinstance(plain, str):
        return f"<{sanitize_line(', '.join(map(str, data)))}>"
    kept = _clean(plain[:_MAX_SHOWN_CHARS], keep_colours=True)
    left_out = len(plain) - _MAX_SHOWN_CHARS
    return f"{kept}\n<and {left_out} more characters>" if left_out > 0 else kept


def find_superseded(events: Sequence[Event], pending: Set[int] = frozenset()) -> set[int]:
    """The numbers of those events whose output a later one of them clears or updates.

    Args:
        events: as they came.
        pending: the executions whose output goes with the next that comes of them.
    """
    return _find_cleared(events) | _find_updated(events, pending)


def _find_cleared(events: Sequence[Event]) -> set[int]:
    superseded: set[int] = set()
    cleared: set[int | None] = set()
    shown: set[int | None] = set()
    if any(_id_of(event) is not None for event in events):
        return superseded  # whether an update adds an item depends on what was cleared before
    for event in reversed(events):
        if event.kind == Kind.CLEAR_OUTPUT and event.execution is not None:
            if event.execution in cleared:
                superseded.add(event.seq)
            elif not event.wait or event.execution in shown:
                cleared.add(event.execution)
        elif event.kind in _OUTPUT_KINDS:
            shown.add(event.execution)
            if event.execution in cleared:
                superseded.add(event.seq)
    return superseded


def _find_updated(events: Sequence[Event], pending: Set[int]) -> set[int]:
    """Of the updates by one execution that nothing clears meanwhile, those between the first and the last.

    The first one is needed: it may be what adds the item, or what the execution's output was to be cleared with.
    """
    superseded: set[int] = set()
    waiting = set(pending)
    latest: dict[tuple[str, int | None], set[int]] = {}
    for event in events:
        number = event.execution
        if event.kind == Kind.CLEAR_OUTPUT and number is not None:
            latest.clear()
            waiting.add(number)
        elif event.kind in _OUTPUT_KINDS and number in waiting:
            latest.clear()
            waiting.discard(number)
        display = _id_of(event)
        if display is None:
            continue
        key = (display, number)
        if key in latest and event.kind == Kind.DISPLAY and event.is_update:
            superseded |= latest[key]
            latest[key] = {event.seq}
        else:
            latest.setdefault(key, set())
    return superseded


def _id_of(event: Event) -> str | None:
    """Under which id a display or value can be updated."""
    return event.payload.get("display_id") if event.kind in (Kind.DISPLAY, Kind.RESULT) else None
