"""What an agent can do in a kernel; the protocol's own words are in `server`."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import Any, Final

import anyio

import rpyc_kernel.aio as aio
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import KernelExists, NoSuchExecution, NoSuchKernel, NotQueued
from rpyc_kernel.faces.frontend.render import Recording, Renderer
from rpyc_kernel.faces.frontend.transcript import Transcript
from rpyc_kernel.faces.mcp.report import RUNNING, ClippedText, Picture, Report, take_picture
from rpyc_kernel.frozen import Frozen

MAX_CHARS: Final = 20_000
"""How much text one answer has, unless it is asked for less."""
_LEAVING_S: Final = 5.0
_QUICKER_S: Final = 0.3
_MAX_ASKED: Final = 32
"""A hub refuses more questions than 64 to its worker at once; who asks here has a turn."""
_LOOK_BACK: Final = 5_000
"""So many events back figures are looked for."""
Progress = Callable[[str], Any]


class Answer(Frozen, eq=False):
    """What a tool answers.

    Attributes:
        text: in words.
        pictures: that go along.
        facts: in short for programs.
        is_error: whether the user's code failed.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    facts: dict[str, Any] | None = None
    is_error: bool = False


class Budget:
    """How much text is answered in all.

    Args:
        chars: so much; None for any.
    """

    def __init__(self, chars: int | None = None) -> None:
        self._chars = chars
        self._left_chars = math.inf if chars is None else chars

    @property
    def is_used_up(self) -> bool:
        """Whether there is none left."""
        return self._left_chars <= 0

    def spend(self, text: str) -> str:
        """Take a text from it; returns as much of it as there is."""
        if len(text) <= self._left_chars:
            self._left_chars -= len(text)
            return text
        kept, self._left_chars = text[: int(self._left_chars)], 0
        return f"{kept}\n[the output that this agent may have, {self._chars:,} characters, is used up]"


class Agent:
    """An agent's place in a kernel; connected when it is first of use.

    Args:
        address: the kernel's name, or where it is.
        name: how others see the agent.
        role: what it may do.
        session: the session to continue.
        max_chars: the most text that one answer has.
        budget: how much text it gets in all.
        is_leaving: says whether what ends its calls now is the server's end, which ends no code.

    Attributes:
        came: set when it is connected for the next time.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        role: str,
        session: str | None = None,
        max_chars: int,
        budget: Budget,
        is_leaving: Callable[[], bool],
    ) -> None:
        self.came = anyio.Event()
        self.budget = budget
        self._is_leaving = is_leaving
        self._address = address
        self._name = name
        self._role = role
        self._session = session
        self._max_chars = max_chars
        self._kernel: aio.KernelClient | None = None
        self._loss = ""
        self._connecting = anyio.Lock()
        self._turns = anyio.Semaphore(_MAX_ASKED)

    async def kernel(self) -> aio.KernelClient:
        """The client.

        Raises:
            KernelError: there is none to be had.
        """
        async with self._connecting:
            if self._kernel is None or self._kernel.is_closed:
                self._kernel = await self._connect()
                self.came.set()
                self.came = anyio.Event()
            return self._kernel

    async def _connect(self) -> aio.KernelClient:
        session = self._session if self._kernel is None else self._kernel.session
        options: dict[str, Any] = {"name": self._name, "role": self._role, "session": session}
        options["on_loss"] = self._note_loss
        try:
            return await aio.connect(self._address, **options)
        except NoSuchKernel:
            if self._kernel is not None or any(mark in self._address for mark in "/:"):
                raise
        with contextlib.suppress(KernelExists):  # somebody else has started it meanwhile
            await (await aio.start(self._address)).close()
        return await aio.connect(self._address, **options)

    def _note_loss(self, words: str) -> None:
        self._loss = words

    async def close(self) -> None:
        """Leave; the kernel and what runs in it go on."""
        if self._kernel is not None:
            await self._kernel.close()

    def _limit(self, max_chars: int | None) -> int:
        return self._max_chars if max_chars is None else max(100, min(max_chars, self._max_chars))

    # ------------------------------------------------------------------ running

    async def execute(
        self, code: str, timeout_s: float, max_chars: int | None, interrupts: bool, progress: Progress
    ) -> Answer:
        """Run code, and wait for its end, or for as long as that."""
        kernel = await self.kernel()
        with anyio.CancelScope(shield=True):  # who cancels meanwhile could not know what to end
            number = await kernel.enqueue(code)
        try:
            report = await self._watch(kernel, number, timeout_s, self._limit(max_chars), progress)
        except anyio.get_cancelled_exc_class():
            if not self._is_leaving():
                with anyio.move_on_after(_LEAVING_S, shield=True):
                    await self._end(kernel, number)
            raise
        if interrupts and not report.has_ended and report.question is None:
            await self._end(kernel, number)
            report = await self._watch(kernel, number, _LEAVING_S, self._limit(max_chars), progress)
        return self._tell(report)

    async def wait(self, execution: int, timeout_s: float, max_chars: int | None, progress: Progress) -> Answer:
        """Wait for the end of an execution, or for as long as that."""
        report = await self._watch(await self.kernel(), execution, timeout_s, self._limit(max_chars), progress)
        return self._tell(report)

    def _tell(self, report: Report) -> Answer:
        facts, text = report.as_dict(), report.describe()
        if self._loss and not report.has_ended:
            text = f"{text}\n[as far as is known: {self._loss}]"
        return Answer(text, tuple(report.pictures), facts, is_error=facts["is_error"])

    async def _watch(
        self, kernel: aio.KernelClient, number: int, timeout_s: float, max_chars: int, progress: Progress
    ) -> Report:
        report = Report(number, max_chars)
        seen = 0
        async for event in kernel.events(execution=number, follow=False):  # also where there is no time to wait
            report.take(event)
            seen = event.seq
        if report.has_ended:
            return report
        told = ""
        with anyio.move_on_after(timeout_s) as scope:
            until = scope.deadline
            coming: Any = kernel.events(seen, execution=number)
            async with contextlib.aclosing(coming) as events:
                while True:
                    if not coming.has_next:  # of what came at once the last line is told, so that no flood is
                        words = self._describe_progress(report)
                        if words != told:
                            await progress(words)
                        told = words
                    # Who asks waits for the agent, unless somebody else is quicker, or has been long ago.
                    is_asked = report.question is not None
                    scope.deadline = min(until, anyio.current_time() + _QUICKER_S) if is_asked else until
                    try:
                        report.take(await anext(events))
                    except StopAsyncIteration:
                        break
        return report

    def _describe_progress(self, report: Report) -> str:
        line = "" if self.budget.is_used_up or report.state != RUNNING else report.last_line
        return f"execution {report.number}: {report.state}" + (f", {line}" if line else "")

    async def _end(self, kernel: aio.KernelClient, number: int) -> None:
        try:
            await kernel.cancel(number)
        except NotQueued:
            await kernel.interrupt(number, wait=1.0)

    async def read_output(self, execution: int, start: int, max_chars: int | None) -> Answer:
        """A part of the text that tells of an execution, counted as where its middle was left out."""
        kernel, limit = await self.kernel(), self._limit(max_chars)
        report = Report(execution, sys.maxsize)
        async for event in kernel.events(execution=execution, follow=False):
            report.take(event)
        text = report.text
        part = text[start : start + limit]
        facts = {"start": start, "chars": len(part), "all_chars": len(text)}
        return Answer(f"characters {start:,} to {start + len(part):,} of {len(text):,}\n{part}", facts=facts)

    async def interrupt(self, execution: int | None) -> Answer:
        """Interrupt what runs, or take it out of the queue."""
        kernel = await self.kernel()
        if execution is not None:
            try:
                await kernel.cancel(execution)
                return Answer(f"execution {execution} is cancelled")
            except NotQueued:
                pass
        outcome = await kernel.interrupt(execution)
        if outcome.status == "not-running":
            what = "nothing runs now" if execution is None else f"execution {execution} does not run any more"
            return Answer(what, facts={"status": outcome.status})
        stack = f"; it is at\n{outcome.stack}" if outcome.stack else ""
        told = self._clip(f"{outcome.status}: execution {outcome.execution}{stack}")
        return Answer(told, facts={"status": outcome.status})

    async def answer(self, text: str | None, execution: int | None) -> Answer:
        """Answer what code asks."""
        await (await self.kernel()).answer_input(text, execution)
        return Answer("answered; wait for the execution")

    # ------------------------------------------------------------------ looking

    async def status(self) -> Answer:
        """What the kernel does, and who is there."""
        kernel = await self.kernel()
        told = await kernel.status()
        running = told["running"]
        lines = [
            f"kernel {told['kernel']!r}, {told['state']}, Python {told['python']}, generation {told['generation']}",
            f"you are {kernel.client_name!r}, {kernel.role}",
            f"running: execution {running['execution']} of {running['name']}: {running['code']}" if running else "",
            *(f"queued: execution {each['execution']} of {each['name']}: {each['code']}" for each in told["queue"]),
            *(f"here: {each['name']} ({each['role']})" for each in told["sessions"] if each["connections"]),
        ]
        facts = {name: told[name] for name in ("kernel", "state", "generation", "queue_length", "last")}
        return Answer(self._clip("\n".join(filter(None, lines))), facts=facts)

    async def variables(self, start: int, count: int) -> Answer:
        """The variables, by name."""
        kernel = await self.kernel()
        async with self._turns:
            found = await kernel.variables(start, count)
        lines = [f"{each.name}: {each.type}{_size_of(each)} = {each.preview}" for each in found]
        return Answer(self._clip("\n".join(lines) or "there are none"), facts={"count": len(found)})

    async def inspect(self, path: str) -> Answer:
        """What is known of a name or a path."""
        kernel = await self.kernel()
        async with self._turns:
            found = await kernel.inspect(path)
        if not found:
            return Answer(f"there is no {path!r}", facts={"found": False})
        parts = (f"{found.name}{found.signature}: {found.type}", found.preview, found.doc, found.source)
        told = self._clip("\n\n".join(filter(None, parts)))
        return Answer(told, facts={"found": True, "type": found.type, "file": found.file, "line": found.line})

    async def table(
        self, path: str, rows: tuple[int, int], columns: tuple[int, int], sort: list[Any], where: list[Any]
    ) -> Answer:
        """A rectangle of a table or array."""
        conditions = [tuple(each) for each in where]
        order = [tuple(each) if isinstance(each, list) else each for each in sort]
        kernel = await self.kernel()
        async with self._turns:
            cells = await kernel.slice(path, rows, columns, sort=order, filter=conditions)
        lines = ["\t".join(["", *cells.column_labels])]
        lines += ["\t".join([label, *row]) for label, row in zip(cells.row_labels, cells.rows, strict=True)]
        head = f"{cells.row_count} rows that pass, {cells.column_count} columns; here {len(cells.rows)} rows"
        told = self._clip("\n".join([head, *lines]))
        return Answer(told, facts={"row_count": cells.row_count, "column_count": cells.column_count})

    async def figures(self, count: int) -> Answer:
        """The newest pictures that anybody's code has shown."""
        kernel = await self.kernel()
        last = (await kernel.status())["last"]
        found: list[tuple[Event, Picture]] = []
        async for event in kernel.events(max(0, last - _LOOK_BACK), follow=False):
            if event.kind in (Kind.DISPLAY, Kind.RESULT) and isinstance(event.data, dict):
                picture, _ = take_picture(event.data)
                found += [(event, picture)] if picture else []
        chosen = found[-count:] if count > 0 else []
        lines = [f"from execution {event.execution}: {picture.mime}" for event, picture in chosen]
        return Answer("\n".join(lines) or "none was shown lately", tuple(picture for _, picture in chosen))

    async def history(self, count: int, pattern: str) -> Answer:
        """What was run, the newest last."""
        found = await (await self.kernel()).history(pattern, limit=count)
        lines = [f"[{each.execution}] {each.name}: {each.code}" for each in found]
        return Answer(self._clip("\n".join(lines) or "nothing was run"))

    async def transcript(self, since: int | None, count: int) -> tuple[str, int]:
        """What happened after an event, or lately, as a person would see it; and the cursor to go on from."""
        kernel = await self.kernel()
        last = (await kernel.status())["last"]
        cursor = max(0, last - count if since is None else min(since, last))
        recording = Recording(Transcript(""), Renderer(is_colourful=False))
        parts: list[str] = []
        size = 0
        queued: set[int | None] = set()
        async for event in kernel.events(cursor, follow=False):
            if event.kind == Kind.QUEUED:
                queued.add(event.execution)
            elif event.kind == Kind.STARTED and event.execution not in queued:  # but before the first event here
                with contextlib.suppress(NoSuchExecution, StopAsyncIteration):
                    recording.render(await anext(kernel.events(execution=event.execution, follow=False)))
            part = self._clip(recording.render(event))
            if since is not None and parts and (len(parts) >= count or size + len(part) > self._max_chars):
                break
            parts.append(part)
            size += len(part)
            cursor = event.seq
        text = "".join(parts)
        newest = text[-self._max_chars :]
        text = f"[...]{newest}" if since is None and len(newest) < len(text) else text
        return f"{text}\n[up to event {cursor}; kernel://transcript/{cursor} goes on]", cursor

    def _clip(self, text: str) -> str:
        clipped = ClippedText(self._max_chars)
        clipped.add(text)
        return clipped.get()


def _size_of(variable: Any) -> str:
    if variable.shape is not None:
        return f" {variable.shape}"
    return "" if variable.size is None else f" ({variable.size})"
