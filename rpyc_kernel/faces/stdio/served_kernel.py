"""One kernel that a client is connected to by the server: its commands, its events and its prompts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Event, Force, Kind, Lane, Scope, freeze
from rpyc_kernel.core.source import Origin, describe_source
from rpyc_kernel.errors import KernelError, NotQueued, NotRunning, RequestError
from rpyc_kernel.faces.stdio.answers import describe_event, describer_of, text_of_part
from rpyc_kernel.faces.stdio.arrivals import Arrivals
from rpyc_kernel.faces.stdio.error_codes import RpcError
from rpyc_kernel.faces.stdio.evaluation import Evaluation
from rpyc_kernel.faces.stdio.event_telling import EventTelling
from rpyc_kernel.faces.stdio.peer import Peer, Request
from rpyc_kernel.faces.stdio.questions import Question, Questions

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_WAIT_S = 20.0
_AT_ONCE_S = 0.25
"""Most code has ended by then, and is one question. Until then, what is cancelled has no number to be called off by."""


class ServedKernel:
    """A kernel, from a loop.

    Args:
        client: the connection; closed with this.
        number: what the peer calls it.
        peer: who is told of events and asked at prompts.

    Attributes:
        is_leaving: whether requests end as their client is gone, and not as it has taken them back: code goes on then.
        is_over: whether the peer was told that the connection does not come back.
    """

    def __init__(self, client: KernelClient, number: str, peer: Peer) -> None:
        self.client = client
        self.is_leaving = False
        self._number = number
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals(self._read)
        self._subscription: asyncio.Task[None] | None = None
        self._prompts: dict[int, asyncio.Task[None]] = {}
        self._held: tuple[int, Event] | None = None
        self._is_closed = False
        self.is_over = False
        self._losses: set[str] = set()  # what was told since it was there; each connection beneath says so
        self._coming_back: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self._calling_off: set[asyncio.Task[None]] = set()
        self._questions = Questions(client, sent=self._find_descriptor)
        self._find_descriptor()

    # ------------------------------------------------------------------ commands

    def pass_on(self, request: Request, command: Command[Any], arguments: Sequence[Any]) -> None:
        """Give the kernel a command, and the request its answer; takes no task."""

        def tell(answer: Any, error: BaseException | None) -> None:
            if error is None:
                request.answer(answer)
            else:
                request.refuse(error)

        self._questions.begin_for(request, Question(command, arguments, tell, describer_of(command)))

    async def ask(self, command: Command[_T], *arguments: Any) -> _T:
        """Give the kernel a command, and return its answer, however long that takes.

        Raises:
            KernelError: whatever is wrong with it, or with the connection.
        """
        answer: _T = await self._questions.start(command, *arguments)
        return answer

    def _find_descriptor(self) -> None:
        """Wait for another one when the connection was lost, and when it is there again."""
        if not self._is_closed:
            self._arrivals.listen(self.client.fileno())

    def _read(self, waited_s: float) -> None:
        is_connected = self.client.read_ready(waited_s)
        if not is_connected:
            self._arrivals.listen(-1)
        self._find_descriptor()
        if is_connected or self.is_over:
            return
        if self._peer.is_ending and self._giving_up is None:  # nobody waits for what it does not answer now
            self._giving_up = asyncio.ensure_future(asyncio.to_thread(self.client.close))
        if self._coming_back is None:
            self._coming_back = asyncio.ensure_future(self._come_back())

    async def _come_back(self) -> None:
        """Have a lost connection made again though nothing is asked, and tell if that cannot be."""
        try:
            await self.ask(commands.HELLO)
        except KernelError as error:
            self.tell_connection(str(error), is_closed=True)
        finally:
            self._coming_back = None

    # ------------------------------------------------------------------ running code

    def run_code(
        self,
        request: Request,
        *,
        code: str,
        stop_on_error: bool,
        file: str | None,
        first_line: int,
        lane: str,
        max_chars: int,
        report: Callable[[str], None] | None,
    ) -> None:
        """Queue code, and answer with what became of it; what is taken back leaves the queue, or is interrupted."""

        def tell(begun: Any, error: BaseException | None) -> None:
            if error is not None:
                request.refuse(error)
                return
            number, cursor, events = begun
            evaluation = Evaluation(number, max_chars, report)
            evaluation.take(events)
            if evaluation.has_ended:
                request.answer(evaluation.describe())
            else:
                self._loop.call_soon(self._await_end, request, evaluation, cursor)

        source = None if file is None else freeze(describe_source(Origin(file, first_line)))
        if source is None and lane == Lane.MAIN and report is None:
            question = Question(commands.RUN, (code, stop_on_error, _AT_ONCE_S), tell, _read_run)
        else:
            question = Question(commands.EXECUTE, (code, stop_on_error, lane, None, source), tell, _read_queued)
        self._questions.begin_for(request, question)

    def _await_end(self, request: Request, evaluation: Evaluation, cursor: int) -> None:
        if request.is_answered:  # as it was taken back
            self._call_off(evaluation.number)
        else:
            # Not by the task itself: one that is cancelled before its first step does nothing.
            request.answer_by(self._follow(evaluation, cursor), cancelled=lambda: self._call_off(evaluation.number))

    async def _follow(self, evaluation: Evaluation, cursor: int) -> dict[str, Any]:
        while not evaluation.has_ended:
            cursor, events = await self.ask(commands.FOLLOW, evaluation.number, cursor, _WAIT_S, evaluation.reports)
            evaluation.take(events)
        return evaluation.describe()

    def _call_off(self, execution: int) -> None:
        """Have code end, wherever it is, that nobody waits for any more."""
        if not self.is_leaving:
            calling_off = asyncio.ensure_future(self._cancel(execution))
            self._calling_off.add(calling_off)
            calling_off.add_done_callback(self._calling_off.discard)

    async def _cancel(self, number: int) -> None:
        with contextlib.suppress(KernelError):
            try:
                await self.ask(commands.CANCEL, number)
            except NotQueued:
                with contextlib.suppress(NotRunning):
                    await self.ask(commands.INTERRUPT, number, Force.SIGNAL)

    # ------------------------------------------------------------------ events

    async def subscribe(self, since: int | None, *, resume: bool, answers_prompts: bool, max_part: int) -> int:
        """Have the peer told of events; returns the number after which they begin.

        Raises:
            RequestError: it is told of them already.
        """
        if self._subscription is not None and not self._subscription.done():
            raise RequestError("there is a subscription already; end it by events/unsubscribe first")
        hello = await self.ask(commands.HELLO)
        last = int(hello["last"])
        cursor = int(hello["cursor"] or 0) if resume else last if since is None else max(0, since)
        if answers_prompts:
            for prompt in (await self.ask(commands.STATUS))["prompts"]:
                await self._ask_again(prompt["execution"], prompt["session"])
        self._subscription = asyncio.ensure_future(self._tell_events(cursor, answers_prompts, max_part))
        return cursor

    async def _ask_again(self, execution: int | None, session: str | None) -> None:
        """Ask what was asked before anybody listened here."""
        if execution is None or session != self.client.session:
            return
        question, cursor, events = None, *await self.ask(commands.FOLLOW, execution, 0, 0.0, True)
        while events:
            question = next((each for each in reversed(events) if each.kind == Kind.INPUT_REQUESTED), question)
            cursor, events = await self.ask(commands.FOLLOW, execution, cursor, 0.0, True)
        if question is not None:
            self._look_at_prompt(question)

    async def unsubscribe(self) -> None:
        """Have the peer told of no more events."""
        task, self._subscription = self._subscription, None
        for each in [*self._prompts.values(), *([] if task is None else [task])]:
            each.cancel()
            await asyncio.wait({each})

    async def _tell_events(self, cursor: int, answers_prompts: bool, max_part: int) -> None:
        message = "the kernel has stopped"
        try:
            watch = await asyncio.to_thread(self.client.watch, cursor)

            def tell(batch: list[Event]) -> None:
                events = [describe_event(event, max_part) for event in batch]
                self._peer.tell("events", {"kernel": self._number, "cursor": watch.cursor, "events": events})
                for event in batch if answers_prompts else ():
                    self._look_at_prompt(event)

            with contextlib.closing(EventTelling(watch, self._peer, tell)) as telling:
                await telling.end
        except KernelError as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client has to know
            _log.exception("events could not be told")
            message = f"events could not be told: {type(error).__name__}: {error}"
        self.tell_connection(message, is_closed=True)

    def tell_connection(self, message: str, *, is_closed: bool = False) -> None:
        """Tell the peer what became of the connection; "" is that it is there again."""
        if self.is_over or (message in self._losses if message else not self._losses):
            return
        self.is_over = is_closed
        if message:
            self._losses.add(message)
        else:
            self._losses.clear()
        told = {"kernel": self._number, "is_connected": not message, "is_closed": is_closed, "message": message}
        self._peer.tell("connection", told)

    async def read_data(self, seq: int, mime: str, start: int, count: int) -> dict[str, Any]:
        """A part of what an event holds.

        Raises:
            RequestError: it holds nothing of this type, or there is no such event.
        """
        if self._held is None or self._held[0] != seq:
            _, events = await self.ask(commands.READ, max(0, seq - 1), 1, 0.0, Scope.ALL, False)
            if not events or events[0].seq != seq:
                raise RequestError(f"there is no event {seq}")
            self._held = seq, events[0]
        data = self._held[1].payload.get("data")
        if not isinstance(data, dict) or mime not in data:
            raise RequestError(f"event {seq} has no data of the type {mime[:100]!r}")
        text = text_of_part(data[mime])
        return {"text": text[start : start + count], "start": start, "size": len(text)}

    # ------------------------------------------------------------------ prompts

    def _look_at_prompt(self, event: Event) -> None:
        if event.execution is None:
            return
        if event.kind == Kind.INPUT_REQUESTED:
            self._ask_person({"execution": event.execution, "session": event.session, **event.payload})
        elif event.kind in (Kind.INPUT_ANSWERED, Kind.FINISHED) and event.execution in self._prompts:
            self._prompts[event.execution].cancel()

    def _ask_person(self, prompt: dict[str, Any]) -> None:
        execution = prompt["execution"]
        if prompt.get("session") != self.client.session or execution in self._prompts:
            return
        asking = asyncio.ensure_future(self._ask_and_answer(execution, prompt))
        self._prompts[execution] = asking
        asking.add_done_callback(lambda _: self._prompts.pop(execution, None))

    async def _ask_and_answer(self, execution: int, prompt: dict[str, Any]) -> None:
        asked = {"prompt": str(prompt.get("prompt", "")), "password": bool(prompt.get("password"))}
        try:
            answer = await self._peer.ask("input/request", {"kernel": self._number, "execution": execution, **asked})
            text = answer.get("text") if isinstance(answer, dict) else answer
            if text is None or isinstance(text, str):
                await self.ask(commands.ANSWER_INPUT, text, execution)
            else:
                _log.warning("the client answered a prompt with what is no text; others can answer it")
        except (RpcError, KernelError) as error:  # others can answer it, or somebody has
            _log.info("a prompt was not answered: %s", error)

    # ------------------------------------------------------------------ the end

    async def close(self) -> None:
        """Leave the kernel."""
        await self.unsubscribe()
        if self._coming_back is not None:
            self._coming_back.cancel()
            await asyncio.wait({self._coming_back})
        self._is_closed = True
        self._arrivals.close()
        if self._giving_up is not None:
            await self._giving_up
        await asyncio.to_thread(self.client.close)


def _read_run(answer: Any) -> tuple[int, int, Sequence[Event]]:
    """The number of an execution, and what has come of it, of the answer to `run`."""
    cursor, events = reader_of(commands.RUN)(answer)
    return int(events[0].execution), cursor, events


def _read_queued(answer: Any) -> tuple[int, int, Sequence[Event]]:
    """The same of the answer to `execute`."""
    return int(reader_of(commands.EXECUTE)(answer)), 0, ()
