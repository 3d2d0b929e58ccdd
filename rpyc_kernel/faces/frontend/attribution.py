"""Whose everything is that happens in a kernel, as it concerns the user of one front end."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from rpyc_kernel.core.contract import COMM_CALL, Event
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.words import first_line

_KEPT_OWNERS = 2000
_MAX_EXPECTED = 100
BACKGROUND = "background"
"""Whose that is that belongs to no execution."""


class Attribution:
    """Knows who is there and whose each execution is.

    Args:
        session: the user's; "" for nobody's, so that everything is somebody else's.
        shows_messages: whether the messages of widgets' views are shown, of which a slider sends many.

    Attributes:
        foreground: the execution that the user waits for, or None.
        past: events up to this number happened before the user came.
    """

    def __init__(self, session: str, *, shows_messages: bool = False) -> None:
        self.session = session
        self.foreground: int | None = None
        self.past = 0
        self._shows_messages = shows_messages
        self._names: dict[str, str] = {}
        self._own: set[int] = set()
        self._expected: deque[str] = deque(maxlen=_MAX_EXPECTED)
        self._labels: dict[int, str] = {}
        self._owners: OrderedDict[int, str] = OrderedDict()
        self._codes: dict[int, str] = {}
        self._queued: dict[int, Event] = {}
        self._counts: dict[int, int] = {}
        self._hidden: set[int] = set()

    # ------------------------------------------------------------------ what it has to know

    def begin(self, status: dict[str, Any]) -> None:
        """Know who is there and what they run, from before the first event to come."""
        for session in status["sessions"]:
            self.meet(session["id"], session["name"])
        running = [status["running"]] if status["running"] else []
        for item in [*running, *status["side"], *status["queue"]]:
            self._remember(item["execution"], item["session"], item["code"], item.get("count"))
            if item["session"] == self.session:
                self.adopt(item["execution"])

    def adopt(self, execution: int) -> None:
        """This execution was submitted here, so its code is on the screen already."""
        self._own.add(execution)

    def expect(self, code: str) -> None:
        """This code is handed in here, and waited for: what comes of it is known by it when its first event comes."""
        self._expected.append(code)

    def meet(self, session: str | None, name: str) -> str:
        """Know what a session is called; returns how to show that."""
        shown = sanitize_line(name)
        self._names[session or ""] = shown
        return shown

    def queue(self, event: Event) -> None:
        """An execution was queued."""
        number: int = event.execution  # type: ignore[assignment]  # that of every such event
        self._remember(number, event.session, event.code)
        if event.session:
            self.meet(event.session, event.name)
        if event.session == self.session and event.code in self._expected:
            self._expected.remove(event.code)
            self.adopt(number)
            self.foreground = number
        call = event.payload.get("call")
        is_message = call.startswith(COMM_CALL) if call is not None else event.payload.get("is_input") is False
        if is_message and not self._shows_messages:
            self._hidden.add(number)
        elif number not in self._own:
            self._queued[number] = event
            if event.session == self.session:
                # Typed into another front end that shares the session, or here before the user came back.
                name = sanitize_line(event.name)
                self._labels[number] = name if event.seq <= self.past else f"{name} elsewhere"

    def start(self, event: Event) -> Event | None:
        """An execution begins; returns the event by which it was queued, if its code is not on the screen yet."""
        self._note_count(event.execution, event.payload.get("count"))
        return self._queued.pop(event.execution or 0, None)

    def finish(self, event: Event) -> tuple[str, bool, bool]:
        """An execution has ended.

        Returns:
            The first line of its code, whether it is shown at all, and whether the user has submitted it here.
        """
        number = event.execution or 0
        code = self._codes.pop(number, "")
        self._queued.pop(number, None)
        is_here = event.session == self.session and number not in self._labels
        is_hidden = number in self._hidden
        self._hidden.discard(number)
        if not is_hidden:
            self._own.discard(number)
            self._labels.pop(number, None)
        return code, not is_hidden, is_here

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

    # ------------------------------------------------------------------ what it tells

    def whose(self, event: Event) -> str:
        """Who or what it belongs to: a name, the number of the user's own; "" for what the user waits for."""
        number = event.execution
        if number is None:
            return BACKGROUND
        if number == self.foreground:
            return ""
        session = event.session or self._owners.get(number)
        if number in self._own or session is None:
            return str(number)
        if session == self.session:
            return self._labels.get(number, str(number))
        return self._names.get(session, session)

    def count(self, execution: int | None) -> int | None:
        """Which input of its worker it is, None where that does not have to be said: of the user's own."""
        return None if execution in self._own else self._counts.get(execution or 0)

    def is_own(self, execution: int | None) -> bool:
        """Whether the user has submitted it here."""
        return execution in self._own

    def is_waited_for_here(self, event: Event) -> bool:
        """Whether it belongs to what the user of this very front end has handed in and waits for."""
        return event.execution is not None and event.execution == self.foreground and event.execution in self._own

    @property
    def own_name(self) -> str | None:
        """What the user is called."""
        return self._names.get(self.session)
