"""What the bridge knows of executions: whose message each came from, and what unfinished ones have shown so far."""

from __future__ import annotations

import datetime
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.jupyter.messages import Header, Request

_KEPT_HEADERS = 2000
_MAX_SHOWN_CHARS = 4 * 1024 * 1024
_CUT = "[what was shown before this is in the kernel's log: rpyc-kernel log]\n"

Message = tuple[str, dict[str, Any]]
"""What was published: message type and content."""


@dataclass
class BridgedExecution:
    """One execution, from the moment it is handed in.

    Attributes:
        header: of the request; of one made up for code that came from elsewhere.
        code: the source.
        request: what to answer, None for code that came from elsewhere.
        number: of the execution, 0 until it has one.
        count: which input it is, None until it begins; of what is no input, that of the last one.
        is_call: whether it is a call in the worker and no code: nothing to show as an input.
        file: the file it is said to be in, while somebody debugs.
        has_begun: whether it was said to be busy.
        shown: what it has published.
        is_cut: whether the first part of that was dropped.
        started: when its code began to run, in seconds since the epoch; None before.
        payload: what else the reply carries: a page, the text of the next input; the last of each kind.
        fetch: asks the kernel, when the code has ended well, for what the reply carries of it; may take a while.
        buffers: of the reply.
        error: of the reply.
    """

    header: Header
    code: str
    request: Request | None = None
    number: int = 0
    count: int | None = None
    is_call: bool = False
    file: str | None = None
    has_begun: bool = False
    shown: deque[Message] = field(default_factory=deque)
    shown_chars: int = 0
    is_cut: bool = False
    started: float | None = None
    payload: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetch: Callable[[KernelClient], dict[str, Any]] | None = None
    buffers: Sequence[bytes] = ()
    error: dict[str, Any] | None = None

    @property
    def is_silent(self) -> bool:
        """Whether its client wants nothing shown."""
        return self.request is not None and bool(self.request.content.get("silent", False))

    @property
    def is_input(self) -> bool:
        """Whether it is counted: what is not blank, and its client neither hides nor keeps out of the history."""
        if self.request is None:
            return True
        is_kept = not self.is_silent and bool(self.request.content.get("store_history", True))
        return is_kept and (self.is_call or bool(str(self.code).strip()))

    @property
    def may_ask(self) -> bool:
        """Whether its client answers prompts."""
        return self.request is None or bool(self.request.content.get("allow_stdin", False))

    def remember(self, kind: str, content: dict[str, Any]) -> None:
        """Keep what was shown for those who come later, up to a limit."""
        if kind == "clear_output" and not content["wait"]:
            self.shown.clear()
            self.shown_chars = 0
            return
        self.shown.append((kind, content))
        self.shown_chars += _size_of(content)
        while self.shown_chars > _MAX_SHOWN_CHARS and len(self.shown) > 1:
            self.shown_chars -= _size_of(self.shown.popleft()[1])
            self.is_cut = True

    def replay(self) -> Iterator[Message]:
        """What to show to one who comes now, so that it ends up with what the others see.

        It begins with clearing: a client that has come back may have a part of it already.
        """
        if not self.is_call and not self.is_silent:
            yield "execute_input", {"code": self.code, "execution_count": self.count}
        if self.shown:
            yield "clear_output", {"wait": True}
        if self.is_cut:
            yield "stream", {"name": "stderr", "text": _CUT}
        yield from join_streams(self.shown)


class BridgedExecutions:
    """The executions of a kernel as messages of Jupyter: those that are not finished, and the parents of the last."""

    def __init__(self) -> None:
        self.unfinished: dict[int, BridgedExecution] = {}
        self._headers: OrderedDict[int, Header] = OrderedDict()
        self.last_header: Header | None = None

    def add(self, cell: BridgedExecution, number: int) -> None:
        """An execution has got its number."""
        cell.number = number
        self.unfinished[number] = cell
        self._headers[number] = self.last_header = cell.header
        while len(self._headers) > _KEPT_HEADERS:
            self._headers.popitem(last=False)

    def keep_lost(self, cells: list[BridgedExecution]) -> None:
        """These have been answered, since the kernel's hub was lost; the worker may run them all the same."""
        for cell in cells:
            cell.request = None
            if cell.number:
                self.unfinished[cell.number] = cell

    def keep_only(self, numbers: set[int]) -> list[BridgedExecution]:
        """Forget what was lost and the kernel does not run any more; returns what it does, and has begun."""
        lost = {number: cell for number, cell in self.unfinished.items() if cell.request is None}
        for number in lost.keys() - numbers:
            del self.unfinished[number]
        return [cell for number, cell in lost.items() if number in numbers and cell.has_begun]

    def sessions(self) -> set[str]:
        """Who has run something not long ago."""
        return {str(header.get("session")) for header in self._headers.values()}

    def known_header(self, number: int) -> Header | None:
        """The header of an execution that had been added before."""
        return self._headers.get(number)

    def header_of(self, execution: int | None) -> Header | None:
        """The parent of what an execution shows, also after its end. What belongs to none goes to the last one."""
        return self.last_header if execution is None else self._headers.get(execution, self.last_header)


def make_header(event: Event) -> Header:
    """A header for code that no message of a client of ours brought: others can tell by the session who it was."""
    return {
        "msg_id": f"execution-{event.execution}-{event.session}",
        "session": event.session or "",
        "username": event.name,
        "date": format_time(event.time),
        "msg_type": "execute_request",
        "version": "5.3",
    }


def format_time(seconds: float) -> str:
    """A time, given in seconds since the epoch, as Jupyter writes it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


def join_streams(messages: Iterable[Message]) -> Iterator[Message]:
    """Make one message of neighbouring text of the same stream."""
    for name, group in itertools.groupby(messages, lambda message: message[0] == "stream" and message[1]["name"]):
        if name:
            yield "stream", {"name": name, "text": "".join(content["text"] for _, content in group)}
        else:
            yield from group


def _size_of(content: dict[str, Any]) -> int:
    parts = (content.get("text"), *content.get("data", {}).values())
    return sum(len(part) for part in parts if isinstance(part, str))
