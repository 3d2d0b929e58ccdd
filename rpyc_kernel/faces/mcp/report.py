"""What became of an execution, as an agent reads it: in words, within a limit, and with its pictures."""

from __future__ import annotations

import base64
from typing import Any, Final

from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.frozen import Frozen

MAX_PICTURES: Final = 4
MAX_PICTURE_CHARS: Final = 4_000_000
"""Of base64. What is larger is named."""
_MAX_LINE_CHARS: Final = 200
_MAX_TAIL_CHARS: Final = 1000
_BEGINNINGS: Final = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8"}
"""Of the pictures that agents can see. A model refuses all that follows one that is none."""
RUNNING, _QUEUED, _HELD, _ASKING = "running", "queued", "waits for a person's yes", "asks"


class Picture(Frozen):
    """A picture that was shown.

    Attributes:
        mime: its type.
        data: in base64.
    """

    mime: str
    data: str


class Report:
    """One execution, put together from its events.

    Args:
        number: its number.
        max_chars: how much of what it prints is told.
    """

    def __init__(self, number: int, max_chars: int) -> None:
        self.number = number
        self.pictures: list[Picture] = []
        self.question: Event | None = None
        self._state = _QUEUED
        self._finished: Event | None = None
        self._text = ClippedText(max_chars)
        self._tail = ""

    @property
    def last_line(self) -> str:
        """The last line that it has written, as far as it is shown at once; of a bar that is drawn anew, its newest."""
        lines = self._tail.replace("\r", "\n").split("\n")
        return next((line for each in reversed(lines) if (line := sanitize_line(each))), "")[-_MAX_LINE_CHARS:]

    @property
    def text(self) -> str:
        """What it printed and showed, with its error, as far as it is kept."""
        return self._text.get()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._finished is not None

    @property
    def state(self) -> str:
        """How it ended, or what it does."""
        if self._finished is not None:
            return str(self._finished.outcome)
        return _ASKING if self.question is not None else self._state

    def take(self, event: Event) -> None:
        """See one of its events, in order."""
        if event.kind == Kind.QUEUED:
            self._state = _HELD if event.payload.get("is_held") else _QUEUED
        elif event.kind == Kind.STARTED:
            self._state = RUNNING
        elif event.kind == Kind.STREAM:
            self._text.add(sanitize(event.text))
            self._tail = (self._tail + event.text)[-_MAX_TAIL_CHARS:]
        elif event.kind in (Kind.DISPLAY, Kind.RESULT):
            self._take_data(event)
        elif event.kind == Kind.ERROR:
            self._text.add_line(sanitize(event.traceback))
        elif event.kind == Kind.INPUT_REQUESTED:
            self.question = event
        elif event.kind == Kind.INPUT_ANSWERED:
            self.question = None
        elif event.kind == Kind.FINISHED:
            self._finished, self.question = event, None
        elif event.kind == Kind.APPROVED:
            self._state = _QUEUED

    def _take_data(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        mark = "=> " if event.kind == Kind.RESULT else ""
        picture, fault = take_picture(data)
        if picture and len(self.pictures) == MAX_PICTURES:
            picture, fault = None, f"there are {MAX_PICTURES} already; figures shows the newest"
        self.pictures += [picture] if picture else []
        plain = data.get("text/plain")
        if isinstance(plain, str):
            self._text.add_line(mark + sanitize(plain))
        elif not picture:
            self._text.add_line(f"{mark}<{', '.join(map(str, data)) or 'nothing'}>")
        if fault:
            self._text.add_line(f"[a picture is left out: {fault}]")

    def describe(self) -> str:
        """All of it, in words."""
        text = self._text.get(f"; read_output(execution={self.number}, start={self._text.first_chars}) has them")
        lines = [f"execution {self.number}: {self._describe_state()}", text]
        return "\n".join(filter(None, lines))

    def _describe_state(self) -> str:
        if self._finished is not None:
            took = self._finished.payload.get("duration_s")
            reason = self._finished.payload.get("reason")
            words = [str(self._finished.outcome)]
            words += [f"in {took:.3g} s"] if isinstance(took, float) else []
            words += [f"({reason})"] if reason else []
            gone = "; the variables are gone with its process" if self.state == Outcome.LOST else ""
            return " ".join(words) + gone
        if self.question is not None:
            return f"asks {sanitize(str(self.question.prompt))!r}; answer it by the tool answer"
        if self._state == _HELD:
            return f"waits until a person lets it run; see what became of it by wait(execution={self.number})"
        return f"still {self._state}; wait for it by wait(execution={self.number}), or end it by interrupt"

    def as_dict(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "execution": self.number,
            "state": self.state,
            "has_ended": self.has_ended,
            "is_error": self.state in (Outcome.ERROR, Outcome.LOST),
            "omitted_chars": self._text.omitted_chars,
        }


def take_picture(data: dict[str, Any]) -> tuple[Picture | None, str]:
    """The picture in a mime bundle, or why it has one that cannot be handed on."""
    fault = ""
    for mime, beginning in _BEGINNINGS.items():
        if isinstance(data.get(mime), str):
            text = "".join(data[mime].split())
            fault = _find_fault(text, beginning)
            if not fault:
                return Picture(mime, text), ""
    return None, fault


def _find_fault(text: str, beginning: bytes) -> str:
    if len(text) > MAX_PICTURE_CHARS:
        return f"it has {len(text):,} characters of base64, more than {MAX_PICTURE_CHARS:,}"
    try:
        is_picture = base64.b64decode(text, validate=True).startswith(beginning)
    except ValueError:
        is_picture = False
    return "" if is_picture else "it is not what its type says"


class ClippedText:
    """Text of which the beginning and the end are kept.

    Args:
        max_chars: how much of it.

    Attributes:
        first_chars: how much of the beginning.
        omitted_chars: how much is missing between the two.
    """

    def __init__(self, max_chars: int) -> None:
        self.first_chars, self._last_chars = max_chars - max_chars // 2, max_chars // 2
        self._first = ""
        self._last = ""
        self.omitted_chars = 0

    def add(self, text: str) -> None:
        """Add text."""
        room = self.first_chars - len(self._first)
        self._first += text[:room]
        self._last += text[room:]
        excess = len(self._last) - self._last_chars
        if excess > 0:
            self.omitted_chars += excess
            self._last = self._last[excess:]

    def add_line(self, text: str) -> None:
        """Add text on a line of its own."""
        so_far = self._last or self._first
        self.add(("" if not so_far or so_far.endswith("\n") else "\n") + text.rstrip("\n") + "\n")

    def get(self, how: str = "") -> str:
        """What is kept, with a word on what is missing, and on how to have it."""
        if not self.omitted_chars:
            return self._first + self._last
        return f"{self._first}\n[... {self.omitted_chars:,} characters are left out here{how} ...]\n{self._last}"
