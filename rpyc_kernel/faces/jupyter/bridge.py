"""The bridge: one thread that takes Jupyter's messages and the kernel's events, each in order, and waits for neither.

What may take a while is asked of the kernel on other threads, and comes back to this one. Code goes into the kernel's
queue at once; everything that is said about it follows from the kernel's events, so that it does not matter who
submitted it, or whether this bridge was there then.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from rpyc_kernel.client.events import Watch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import COMM_CALL, Event, Kind, Lane, Outcome
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.faces import LEAVING
from rpyc_kernel.faces.jupyter import answers, requests
from rpyc_kernel.faces.jupyter.answering import Answering
from rpyc_kernel.faces.jupyter.attachment import Attachment
from rpyc_kernel.faces.jupyter.client_sessions import ClientSessions
from rpyc_kernel.faces.jupyter.debugging.session import Debugging
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.pairing import Pairing
from rpyc_kernel.faces.jupyter.parent import Parent
from rpyc_kernel.faces.jupyter.prompts import InputRequests
from rpyc_kernel.faces.jupyter.publishing import Publisher
from rpyc_kernel.faces.jupyter.readiness import Readiness
from rpyc_kernel.faces.jupyter.sockets import Sockets
from rpyc_kernel.faces.jupyter.subshells import Subshells

_log = logging.getLogger(__name__)
_LOOK_UP_S = 1.0
_LEAVING_S = 0.05
_ANSWER_S = 0.005
"""How often to look for answers that are not heard: to what was handed in on another thread, or refused at once."""


class Bridge:
    """One kernel on one connection file.

    Args:
        channels: where Jupyter's messages come from and go to; closed in the end.
        attachment: the kernel, and whether it goes with this bridge.
        parent: whose end is the bridge's, too.
        patience_s: for how many seconds to look for a kernel whose hub was lost.
    """

    def __init__(self, channels: Sockets, attachment: Attachment, parent: Parent, patience_s: float) -> None:
        self._patience_s = patience_s
        self._posted: deque[Callable[[], None]] = deque()
        self._thread = threading.get_ident()
        self._events: Watch | None = None
        self._descriptor = -1  # by which they come; one that is lost has none any more
        self._heard_s = 0.0
        self._end: str | None = None
        self._status = 0
        self._is_leaving = threading.Event()
        self._cells = BridgedExecutions()
        self._channels = channels
        self._attachment = attachment
        self._client_sessions = ClientSessions(attachment.join, self._post, self._number, self._refuse, channels)
        self._pairing = Pairing(self._cells, self._client_sessions.awaits_number)
        self._publisher = Publisher(self._channels, self._cells, self._fetch, self._finish)
        channels.welcome = self._publisher.welcome
        self._prompts = InputRequests(self._channels, self._cells, self._answer_prompt)
        self._subshells = Subshells(
            lambda cell: self._client_sessions.hand_in(cell, lane=Lane.SIDE),
            lambda cell: self._publisher.end(cell, Outcome.ABORTED),
        )
        self._parent = parent
        self._answering = Answering(channels, self._publisher.publish_state, lambda: attachment.kernel, self._post)
        self._held_interrupts: list[tuple[float, Callable[[], None]]] = []
        self._farewell: Callable[[], None] = lambda: None
        self._readiness = Readiness()
        self._debugging = Debugging(lambda: attachment.kernel, self._readiness.ask, self._publish_debug_event)
        self._handlers = self._make_handlers()

    def _make_handlers(self) -> dict[str, Callable[[Request], None]]:
        answering, subshells = self._answering, self._subshells
        return {
            "complete_request": answering.by_asking(requests.complete),
            "inspect_request": answering.by_asking(requests.inspect),
            "is_complete_request": answering.by_asking(requests.is_complete),
            "history_request": answering.by_asking(requests.history),
            "comm_info_request": answering.by_asking(requests.list_comms),
            "kernel_info_request": answering.by_asking(self._describe_kernel),
            "usage_request": answering.by_control(lambda kernel, _: answers.measure_usage(kernel)),
            "debug_request": answering.later(lambda request: self._debugging.ask(request.content)),
            "connect_request": answering.at_once(lambda _: {"status": "ok", **self._channels.ports}),
            "create_subshell_request": answering.at_once(lambda _: {"status": "ok", "subshell_id": subshells.create()}),
            "list_subshell_request": answering.at_once(lambda _: {"status": "ok", "subshell_id": subshells.names()}),
            "delete_subshell_request": answering.at_once(self._delete_subshell),
            "interrupt_request": self._interrupt,
            "execute_request": self._execute,
            "comm_open": self._pass_comm,
            "comm_msg": self._pass_comm,
            "comm_close": self._pass_comm,
            "input_reply": self._prompts.take_reply,
            "shutdown_request": self._shut_down,
        }

    def _describe_kernel(self, kernel: KernelClient, _: dict[str, Any]) -> dict[str, Any]:
        return answers.describe_kernel(kernel.name, self._readiness.ask(kernel), is_own=self._attachment.is_owner)

    def _delete_subshell(self, request: Request) -> dict[str, Any]:
        self._subshells.delete(request.content["subshell_id"])
        return {"status": "ok"}

    # ------------------------------------------------------------------ the loop

    def run(self) -> int:
        """Serve until told to leave; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._leave("a signal came"))
        if self._parent.is_known:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # who presses Ctrl-C in its terminal means the parent
        kernel = self._attachment.kernel
        self._listen(kernel.watch(answers.find_beginning(kernel)))
        self._channels.publish("status", {"execution_state": "starting"}, None)
        try:
            while self._end is None:
                patience_s = self._publisher.go_on()
                if self._held_interrupts:
                    patience_s = _LEAVING_S
                if self._client_sessions.has_unanswered:
                    patience_s = _ANSWER_S
                if self._posted:
                    patience_s = 0.0
                came = [*self._channels.receive(_LOOK_UP_S if patience_s is None else patience_s)]
                self._client_sessions.take_answers()  # first: what is handed in now has none so far
                for request in came:
                    self._take(request)
                self._let_interrupts_pass()
                self._do_posted()
                self._look_for_events()
                self._answering.end_overdue()
                self._prompts.look_after()
                self._look_for_parent()
        finally:
            self._close()
        return self._status

    @property
    def end(self) -> str:
        """Why it has ended, "" before."""
        return self._end or ""

    def _look_for_parent(self) -> None:
        if self._parent.is_gone:
            self._leave("the process that started it is gone")

    def _listen(self, events: Watch) -> None:
        self._events, self._descriptor = events, events.fileno()
        self._channels.listen(self._descriptor, events.read_ready)
        self._heard_s = self._channels.waited_s

    def _look_for_events(self) -> None:
        events = self._events
        if events is None:
            return
        if (silent_s := self._channels.waited_s - self._heard_s) >= _LOOK_UP_S:
            self._heard_s += silent_s
            events.read_ready(silent_s)
        self._take_events(self._pairing.admit(events.take()))
        events.go_on()
        if not events.has_ended:
            self._find_descriptor(events)
        elif self._end is None:
            self._ignore(events)
            self._lose(events)

    def _find_descriptor(self, events: Watch) -> None:
        """Wait for another one when the connection was lost, and when it is there again."""
        descriptor = events.fileno()
        if descriptor not in (self._descriptor, -1):
            self._channels.ignore(self._descriptor)
            self._descriptor = descriptor
            self._channels.listen(descriptor, events.read_ready)

    def _ignore(self, events: Watch) -> None:
        self._channels.ignore(self._descriptor)
        events.close()
        self._events = None

    def _take(self, request: Request) -> None:
        handler = self._handlers.get(request.kind)
        if handler is None:
            _log.warning("a message of unknown type %r was dropped", request.kind[:100])
            return
        self._answering.enter(request)
        try:
            handler(request)
        except KeyError as error:
            self._answering.fail(request, RequestError(f"the request has no {error.args[0]!r}"))
        except Exception as error:  # noqa: BLE001 - whatever a client sends, the others are served
            self._answering.fail(request, error)

    def _take_events(self, events: list[Event]) -> None:
        self._publisher.take(events)
        for event in events:
            if event.kind == Kind.INPUT_REQUESTED:
                self._prompts.add(event)
            elif event.kind == Kind.INPUT_ANSWERED:
                self._prompts.remove(event)
            elif event.kind == Kind.WORKER_STARTED:
                self._readiness.note_change()
            elif event.kind == Kind.WORKER_DIED:
                self._readiness.note_change()
                if self._end is None:
                    _log.warning("the worker of generation %d has ended: %s", event.generation, event.reason)

    def _post(self, work: Callable[[], None]) -> None:
        """Have something done on the bridge's thread."""
        self._posted.append(work)
        if threading.get_ident() != self._thread:
            self._channels.wake()

    def _do_posted(self) -> None:
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    # ------------------------------------------------------------------ executions

    def _execute(self, request: Request) -> None:
        code = request.content["code"]
        cell = BridgedExecution(request.header, code, request, file=self._debugging.file_of(str(code)))
        if str(code).strip() in LEAVING:  # it is the client who leaves: nothing runs, and its window or terminal closes
            cell.code, cell.payload["ask_exit"] = "", {"source": "ask_exit", "keepkernel": False}
        expressions = request.content.get("user_expressions")
        if isinstance(expressions, dict) and expressions:
            cell.fetch = partial(requests.evaluate, expressions=expressions)
        subshell = request.header.get("subshell_id")
        if subshell is None:
            is_next = not (self._cells.unfinished or self._client_sessions.pending)
            self._client_sessions.hand_in(cell)
            if is_next:  # said while the kernel works, and not when its events come and somebody waits for the reply
                self._publisher.begin(cell)
        else:
            self._subshells.add(subshell, cell)

    def _pass_comm(self, request: Request) -> None:
        """Comm messages have their turn in the queue: they run on the main thread, where the widgets were made."""
        told = {
            "action": request.kind.removeprefix("comm_"),
            "content": request.content,
            "metadata": request.metadata,
            "buffers": [b64encode(buffer).decode() for buffer in request.buffers],
        }
        cell = BridgedExecution(request.header, f"# {request.kind} {request.content['comm_id']}", request, is_call=True)
        self._client_sessions.hand_in(cell, call=COMM_CALL + json.dumps(told))

    def _number(self, cell: BridgedExecution, number: int) -> None:
        self._cells.add(cell, number)
        self._take_events(self._pairing.release())

    def _refuse(self, cell: BridgedExecution, error: Exception) -> None:
        assert cell.request is not None
        self._subshells.finish(cell, Outcome.ERROR)
        self._answering.fail(cell.request, error)
        self._take_events(self._pairing.release())

    def _finish(self, cell: BridgedExecution, outcome: str) -> None:
        self._subshells.finish(cell, outcome)

    def _fetch(self, cell: BridgedExecution, then: Callable[[dict[str, Any]], None]) -> None:
        assert cell.fetch is not None
        self._answering.ask_aside(cell.fetch, then)

    def _answer_prompt(self, execution: int, text: str | None, is_refused: bool = False) -> None:
        def answer(kernel: KernelClient) -> None:
            try:
                kernel.answer_input(text, execution, is_refused=is_refused)
            except KernelError as error:
                _log.info("an answer came too late: %s", error)

        self._answering.tell(answer)

    def _publish_debug_event(self, event: dict[str, Any]) -> None:
        self._post(lambda: self._channels.publish("debug_event", event, self._cells.last_header))

    # ------------------------------------------------------------------ control

    def _interrupt(self, request: Request) -> None:
        """Interrupt what a subshell runs, if the request names one; else everything that was run from here or waits."""
        subshell = request.header.get("subshell_id")
        beside: list[int | None] = [*self._subshells.running(subshell)]
        targets = beside if subshell is not None else [None, *beside]

        ask = self._answering.by_control(lambda kernel, _: answers.interrupt(kernel, targets))
        if self._attachment.is_owner:
            ask(request)
        else:
            # Managers interrupt what they are about to shut down. A notebook that is closed is nothing to others.
            self._held_interrupts.append((time.monotonic() + _LEAVING_S, partial(ask, request)))

    def _let_interrupts_pass(self) -> None:
        """Carry out those behind which no message came, however long this thread was held up itself."""
        while self._held_interrupts and self._end is None:
            until, ask = self._held_interrupts[0]
            if time.monotonic() < until or self._channels.has_more("control"):
                return
            del self._held_interrupts[0]
            ask()

    def _shut_down(self, request: Request) -> None:
        content = {"status": "ok", "restart": bool(request.content.get("restart", False))}
        restart = partial(self._restart, request) if content["restart"] else None
        if restart is not None and not self._parent.is_known:
            # Nobody would start this process again, so it stays.
            self._answering.by_control(lambda *_: (restart(), content)[1], is_limited=False)(request)
            return
        self._answering.at_once(lambda _: content)(request)
        self._channels.publish("shutdown_reply", content, request.header)
        self._farewell = partial(self._attachment.leave, restart)
        self._leave("it was asked to")

    def _restart(self, request: Request) -> None:
        with self._client_sessions.in_the_name_of(request) as kernel:  # others are told who it was
            kernel.restart()

    def _leave(self, reason: str) -> None:
        self._end = reason
        self._is_leaving.set()
        self._channels.wake()

    def _lose(self, events: Watch) -> None:
        """The kernel has stopped, or its hub is gone: answer everybody who waits."""
        reason = "it was stopped" if events.error is None else str(events.error)
        self._readiness.note_change()  # who waits for a worker finds out that there is no hub
        self._prompts.forget()
        lost = [*self._cells.unfinished.values(), *self._client_sessions.pending]
        self._client_sessions.forget_pending()
        for cell in lost:
            self._publisher.lose(cell, reason)
        self._cells.keep_lost(lost)
        self._take_events(self._pairing.release())
        if events.error is None:
            self._give_up(reason)
        else:
            _log.warning("the kernel's hub is gone (%s); looking for its next one", reason)
            # A daemon, unlike the threads of a pool: the process ends without waiting for a hub that it has started.
            threading.Thread(
                target=self._come_back, args=(reason, events.cursor), name="jupyter-return", daemon=True
            ).start()

    def _come_back(self, reason: str, cursor: int) -> None:
        """Look for the kernel's next hub, off the bridge's thread."""
        while self._attachment.come_back(self._patience_s, self._is_leaving):
            with suppress(KernelError):  # lost again
                kernel = self._attachment.kernel
                unfinished = answers.list_unfinished(kernel)
                events = kernel.watch(answers.find_place(kernel, cursor))
                self._post(partial(self._go_on, events, unfinished))
                return
        self._post(lambda: self._give_up(reason, status=1))

    def _go_on(self, events: Watch, unfinished: set[int]) -> None:
        _log.warning("the kernel is back")
        self._listen(events)
        for cell in self._cells.keep_only(unfinished):
            self._publisher.publish_state("busy", cell.header)
        self._look_for_events()

    def _give_up(self, reason: str, *, status: int = 0) -> None:
        self._status = status
        self._channels.publish("status", {"execution_state": "dead"}, None)
        self._leave(reason)

    def _close(self) -> None:
        _log.info("leaving: %s", self._end)
        self._farewell()
        self._debugging.close()
        self._client_sessions.close()
        self._attachment.close()
        self._readiness.note_change()  # the process ends only when the last question has its answer, if only an error
        if self._events is not None:
            self._ignore(self._events)
        self._answering.close()
        self._channels.close()
