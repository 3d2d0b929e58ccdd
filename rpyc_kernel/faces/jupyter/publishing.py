"""What happens in the kernel, told in Jupyter's messages: to every subscriber, and to who asked for it."""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions, format_time, make_header
from rpyc_kernel.faces.jupyter.lines import Lines
from rpyc_kernel.faces.jupyter.messages import Header
from rpyc_kernel.faces.jupyter.sockets import Sockets
from rpyc_kernel.wire.parent_messages import execution_of

_log = logging.getLogger(__name__)
_DIED = "KernelDied"


class Publisher:
    """Translates events, in order.

    Args:
        channels: where messages go.
        cells: what is known of executions.
        fetch: gets what the reply to a cell of ours carries of it, and passes that on.
        finished: told of each cell that has ended, and how.
    """

    def __init__(
        self,
        channels: Sockets,
        cells: BridgedExecutions,
        fetch: Callable[[BridgedExecution, Callable[[dict[str, Any]], None]], None],
        finished: Callable[[BridgedExecution, str], None],
    ) -> None:
        self._channels = channels
        self._cells = cells
        self._fetch = fetch
        self._finished = finished
        self._generation = 0
        self._count = 0
        self._unannounced: dict[int, BridgedExecution] = {}
        self._lines = Lines(self._show_text)
        self._restarter: str | None = None
        self._news = ""
        self._untold: set[str] = set()
        self._comms: set[str] = set()
        self._handlers: dict[str, Callable[[Event], None]] = {
            Kind.QUEUED: self._take_queued,
            Kind.STARTED: self._take_started,
            Kind.STREAM: self._take_stream,
            Kind.DISPLAY: self._take_display,
            Kind.RESULT: self._take_result,
            Kind.ERROR: self._take_error,
            Kind.CLEAR_OUTPUT: self._take_clear_output,
            Kind.PAGE: self._take_page,
            Kind.NEXT_INPUT: self._take_next_input,
            Kind.COMM: self._take_comm,
            Kind.FINISHED: self._take_finished,
            Kind.WORKER_STARTED: self._take_worker_started,
            Kind.WORKER_DIED: self._take_worker_died,
            Kind.RESTART_REQUESTED: self._take_restart_requested,
        }

    def take(self, events: list[Event]) -> None:
        """Publish what some events mean."""
        for event in _join(events):
            handler = self._handlers.get(event.kind)
            if handler is None:
                continue
            try:
                if event.execution is None:
                    self._lines.end_all()
                elif event.kind != Kind.STREAM:
                    self._lines.end(event.execution)
                handler(event)
            except Exception:  # noqa: BLE001 - user code can put anything into what it shows; the others are served
                _log.exception("event %d (%s) cannot be published", event.seq, event.kind)
        for number in [*self._unannounced]:
            self._announce(number)

    def go_on(self) -> float | None:
        """Publish what has waited long enough; returns in how many seconds the next will have, if anything waits."""
        self._lines.end_due()
        return self._lines.patience_s

    def welcome(self, publish: Callable[..., None]) -> None:
        """Show a new subscriber what runs, and what it has shown so far."""
        publish("iopub_welcome", {"subscription": ""})
        if self._channels.early:
            for message in self._channels.early:
                publish(*message)
            return
        for cell in list(self._cells.unfinished.values()):
            if cell.has_begun:
                publish("status", {"execution_state": "busy"}, cell.header)
                for kind, content in cell.replay():
                    publish(kind, content, cell.header)

    def publish_state(self, state: str, parent: Header | None) -> None:
        """Tell that the kernel begins or has ended to work on a message."""
        self._channels.publish("status", {"execution_state": state}, parent)
        running = next((cell for cell in self._cells.unfinished.values() if cell.has_begun), None)
        if state == "idle" and running is not None:
            # Clients take the last word for the state of the whole kernel. It is no answer to the cell's request: that
            # has had its own.
            self._channels.publish("status", {"execution_state": "busy"}, None)

    # ------------------------------------------------------------------ an execution's life

    def _take_queued(self, event: Event) -> None:
        assert event.execution is not None
        if event.execution not in self._cells.unfinished:  # else it is ours
            # An earlier hub may have told of it, and been lost: then it is nobody's request, but shows as before.
            header = self._cells.known_header(event.execution) or make_header(event)
            self._cells.add(BridgedExecution(header, event.code, is_call=event.call is not None), event.execution)

    def _take_started(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is None:
            return
        self._cells.last_header = cell.header
        cell.started = event.time
        self._count = event.payload.get("count") or self._count
        cell.count = self._count  # what is not counted itself is told how far the count is
        if not cell.has_begun:
            self.begin(cell)
        if not cell.is_silent and not cell.is_call:
            # Before all that it shows. Where it has ended already and shows nothing, its reply does not wait for this:
            # that comes by another channel, and clients look for what a cell shows up to the idle behind both.
            self._unannounced[cell.number] = cell
            self._tell_news(cell)

    def _announce(self, number: int | None) -> None:
        cell = self._unannounced.pop(number or 0, None)
        if cell is not None:
            self._publish(cell, "execute_input", {"code": cell.code, "execution_count": cell.count})

    def begin(self, cell: BridgedExecution) -> None:
        """Say that the kernel is busy with a cell."""
        cell.has_begun = True
        self._publish(cell, "status", {"execution_state": "busy"})

    def _tell_news(self, cell: BridgedExecution) -> None:
        """Tell a client what has become of its variables, where it will see it: no page shows what has no cell."""
        session = str(cell.header.get("session"))
        if session in self._untold:
            self._untold.discard(session)
            self._show_text(cell.number, "stderr", self._news)

    def _take_finished(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is None:
            return
        if not cell.has_begun:
            self.begin(cell)
        if event.outcome == Outcome.LOST:
            self.lose(cell, event.reason)
        else:
            self.end(cell, event.outcome)

    def lose(self, cell: BridgedExecution, reason: str | None) -> None:
        """A cell has gone down with the kernel, or its hub."""
        self._lines.end(cell.number)
        self._announce(cell.number)
        cell.error = _describe_death(reason)
        self._publish(cell, "error", cell.error)
        self.end(cell, Outcome.LOST)

    def end(self, cell: BridgedExecution, outcome: str) -> None:
        """A cell has ended: answer it."""
        self._cells.unfinished.pop(cell.number, None)
        if outcome == Outcome.OK and cell.fetch is not None:
            self._fetch(cell, lambda values: self._answer(cell, Outcome.ERROR if cell.error else outcome, values))
        else:
            self._answer(cell, outcome, {})
        self._finished(cell, outcome)

    def _answer(self, cell: BridgedExecution, outcome: str, values: dict[str, Any]) -> None:
        if cell.request is not None and cell.request.kind.endswith("_request"):
            content, metadata = _make_reply(cell, outcome, values)
            self._channels.reply(cell.request, content, metadata, cell.buffers)
        self._announce(cell.number)
        self.publish_state("idle", cell.header)

    # ------------------------------------------------------------------ what it shows

    def _show(self, execution: int | None, kind: str, content: dict[str, Any]) -> None:
        self._announce(execution)
        cell = self._cells.unfinished.get(execution or 0)
        if cell is not None:
            cell.remember(kind, content)
        self._channels.publish(kind, content, self._cells.header_of(execution))

    def _publish(self, cell: BridgedExecution, kind: str, content: dict[str, Any]) -> None:
        self._channels.publish(kind, content, cell.header)

    def _show_text(self, execution: int | None, name: str, text: str) -> None:
        self._show(execution, "stream", {"name": name, "text": text})

    def _take_stream(self, event: Event) -> None:
        self._lines.take(event.execution, event.name, event.text)

    def _take_display(self, event: Event) -> None:
        kind = "update_display_data" if event.payload.get("is_update") else "display_data"
        content = {"data": event.data, "metadata": event.metadata, "transient": _transient_of(event)}
        self._show(event.execution, kind, content)

    def _take_result(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None and not cell.is_silent:
            content = {"data": event.data, "metadata": event.metadata, "execution_count": cell.count}
            self._show(event.execution, "execute_result", {**content, "transient": _transient_of(event)})

    def _take_error(self, event: Event) -> None:
        rich = event.payload.get("rich")
        lines = rich or event.traceback.rstrip("\n").split("\n")
        content = {"ename": event.ename, "evalue": event.evalue, "traceback": lines}
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None:
            cell.error = content
        if rich != []:  # else user code has shown it in its own way
            self._show(event.execution, "error", content)

    def _take_clear_output(self, event: Event) -> None:
        self._show(event.execution, "clear_output", {"wait": event.wait})

    def _take_page(self, event: Event) -> None:
        rich = event.payload.get("rich")
        data = event.data if rich is None else {**event.data, "text/plain": rich}
        self._add_payload(event, {"source": "page", "data": data, "start": 0})

    def _take_next_input(self, event: Event) -> None:
        payload = {"source": "set_next_input", "text": event.text, "replace": event.replace}
        self._add_payload(event, payload, is_further=bool(event.payload.get("is_further")))

    def _add_payload(self, event: Event, payload: dict[str, Any], *, is_further: bool = False) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None:
            # As IPython has it: the last one of a source counts, unless it is to stand beside the others.
            place = f"{payload['source']} {event.seq}" if is_further else payload["source"]
            cell.payload[place] = payload

    def _take_comm(self, event: Event) -> None:
        self._announce(event.execution)
        content = {"comm_id": event.comm_id, "data": self._name_messages(event.data)}
        if event.action == "open":
            content |= {"target_name": event.target, "target_module": None}
            self._comms.add(event.comm_id)
        elif event.action == "close":
            self._comms.discard(event.comm_id)
        self._channels.publish(
            f"comm_{event.action}",
            content,
            self._cells.header_of(event.execution),
            metadata=event.metadata,
            buffers=[base64.b64decode(buffer) for buffer in event.buffers],
        )

    def _name_messages(self, data: Any) -> Any:
        """Name the message that a widget captures the output of: the worker knows only its execution."""
        state = data.get("state") if isinstance(data, dict) else None
        captured = execution_of(state.get("msg_id")) if isinstance(state, dict) else None
        if captured is None:
            return data
        header = self._cells.header_of(captured) or {}
        return {**data, "state": {**data["state"], "msg_id": header.get("msg_id", "")}}

    # ------------------------------------------------------------------ the worker

    def _take_worker_started(self, event: Event) -> None:
        if self._generation and event.generation > self._generation:
            if self._restarter is None:
                # Only now, because a client may take it for a reason to forget what it still waits for. And only here:
                # notebooks say then that the kernel appears to have died.
                self._channels.publish("status", {"execution_state": "restarting"}, None)
            self._restarter = None
        if event.generation != self._generation:
            self._count = 0
        self._generation = event.generation
        self._channels.publish("status", {"execution_state": "idle"}, None)

    def _take_worker_died(self, event: Event) -> None:
        self._generation = event.generation
        what = (
            f"the kernel's process has ended: {event.reason}"
            if self._restarter is None
            else f"{self._restarter} has restarted the kernel"
        )
        self._news = f"[{what}; its variables are gone]\n"
        # Those whose code ran or waited are told by its error.
        told = {str(cell.header.get("session")) for cell in self._cells.unfinished.values() if cell.request is not None}
        self._untold = self._cells.sessions() - told
        for comm_id in self._comms:
            self._channels.publish("comm_close", {"comm_id": comm_id, "data": {}}, None)
        self._comms.clear()

    def _take_restart_requested(self, event: Event) -> None:
        self._restarter = event.by


def _transient_of(event: Event) -> dict[str, Any]:
    """What is to be known of something shown, and not to be kept with it: the name by which it is updated."""
    display_id = event.payload.get("display_id")
    return {} if display_id is None else {"display_id": display_id}


def _describe_death(reason: str | None) -> dict[str, Any]:
    """The error of a request that went down with the kernel."""
    text = f"the kernel's process has ended: {reason or 'nobody knows why'}"
    return {"ename": _DIED, "evalue": text, "traceback": [f"{_DIED}: {text}"]}


def _make_reply(cell: BridgedExecution, outcome: str, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of the reply to a cell, and its metadata."""
    if outcome in (Outcome.CANCELLED, Outcome.ABORTED):
        return {"status": "aborted"}, {"status": "aborted"}  # no number: notebooks would show it for one that has run
    common = {"execution_count": cell.count, "payload": [*cell.payload.values()], "user_expressions": values}
    metadata = {} if cell.started is None else {"started": format_time(cell.started)}
    if outcome == Outcome.OK:
        return {"status": "ok", **common}, {**metadata, "status": "ok"}
    error = cell.error or {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
    return {"status": "error", **error, **common}, {**metadata, "status": "error"}


def _join(events: list[Event]) -> Iterator[Event]:
    """Make one event of neighbouring text of the same stream of the same execution."""
    for _, group in itertools.groupby(events, lambda e: (e.execution, e.name) if e.kind == Kind.STREAM else e.seq):
        first, *others = group
        if others:
            text = "".join([first.text, *(event.text for event in others)])
            payload = {**first.payload, "text": text}
            first = Event(first.seq, first.time, first.kind, first.execution, first.session, payload)
        yield first
