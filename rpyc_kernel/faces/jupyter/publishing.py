"""What happens in the kernel, told in Jupyter's messages: to every subscriber, and to who asked for it."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from rpyc_kernel.core.contract import MESSAGE_OF, Event, Kind, Outcome
from rpyc_kernel.faces.jupyter.cells import Cell, Cells, make_header
from rpyc_kernel.faces.jupyter.channels import Channels, Header

_log = logging.getLogger(__name__)
_DIED = "KernelDied"


class Publisher:
    """Translates events, in order.

    Args:
        channels: where messages go.
        cells: what is known of executions.
        claim: finds the cell of ours that a session of the kernel has queued.
        evaluate: evaluates the expressions a cell of ours came with, and passes on what came of them.
        finished: told of each cell that has ended, and how.
    """

    def __init__(
        self,
        channels: Channels,
        cells: Cells,
        claim: Callable[[str | None], Cell | None],
        evaluate: Callable[[Cell, Callable[[dict[str, Any]], None]], None],
        finished: Callable[[Cell, str], None],
    ) -> None:
        self._channels = channels
        self._cells = cells
        self._claim = claim
        self._evaluate = evaluate
        self._finished = finished
        self._generation = 0
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
        }

    def take(self, events: list[Event]) -> None:
        """Publish what some events mean."""
        for event in _join(events):
            handler = self._handlers.get(event.kind)
            if handler is None:
                continue
            try:
                handler(event)
            except Exception:  # noqa: BLE001 - user code can put anything into what it shows; the others are served
                _log.exception("event %d (%s) cannot be published", event.seq, event.kind)

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
            # Clients take the last word for the state of the whole kernel.
            self._channels.publish("status", {"execution_state": "busy"}, running.header)

    # ------------------------------------------------------------------ an execution's life

    def _take_queued(self, event: Event) -> None:
        assert event.execution is not None
        # An earlier hub may have told of it, and been lost: then it is nobody's request any more, but shows as before.
        header = self._cells.known_header(event.execution) or make_header(event)
        cell = self._claim(event.session) or Cell(header, event.code, is_call=event.call is not None)
        self._cells.add(cell, event.execution)

    def _take_started(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is None:
            return
        self._cells.last_header = cell.header
        if not cell.has_begun:
            self.begin(cell)
        if not cell.is_silent and not cell.is_call:
            self._publish(cell, "execute_input", {"code": cell.code, "execution_count": cell.number})

    def begin(self, cell: Cell) -> None:
        """Say that the kernel is busy with a cell."""
        cell.has_begun = True
        self._publish(cell, "status", {"execution_state": "busy"})

    def _take_finished(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is None:
            return
        if not cell.has_begun:
            self.begin(cell)
        if event.outcome == Outcome.LOST:
            cell.error = describe_death(event.reason)
            self._publish(cell, "error", cell.error)
        self.end(cell, event.outcome)

    def end(self, cell: Cell, outcome: str) -> None:
        """A cell has ended: answer it."""
        self._cells.unfinished.pop(cell.number, None)
        if outcome == Outcome.OK and cell.expressions:
            self._evaluate(cell, lambda values: self._answer(cell, outcome, values))
        else:
            self._answer(cell, outcome, {})
        self._finished(cell, outcome)

    def _answer(self, cell: Cell, outcome: str, values: dict[str, Any]) -> None:
        if cell.request is not None and not cell.is_call:
            self._channels.reply(cell.request, {**_make_reply(cell, outcome), "user_expressions": values})
        self.publish_state("idle", cell.header)

    # ------------------------------------------------------------------ what it shows

    def _show(self, event: Event, kind: str, content: dict[str, Any]) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None:
            cell.remember(kind, content)
        self._channels.publish(kind, content, self._cells.header_of(event.execution))

    def _publish(self, cell: Cell, kind: str, content: dict[str, Any]) -> None:
        self._channels.publish(kind, content, cell.header)

    def _take_stream(self, event: Event) -> None:
        self._show(event, "stream", {"name": event.name, "text": event.text})

    def _take_display(self, event: Event) -> None:
        kind = "update_display_data" if event.payload.get("is_update") else "display_data"
        display_id = event.payload.get("display_id")
        transient = {} if display_id is None else {"display_id": display_id}
        self._show(event, kind, {"data": event.data, "metadata": event.metadata, "transient": transient})

    def _take_result(self, event: Event) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None and not cell.is_silent:
            content = {"data": event.data, "metadata": event.metadata, "execution_count": cell.number}
            self._show(event, "execute_result", content)

    def _take_error(self, event: Event) -> None:
        traceback = event.traceback.rstrip("\n").split("\n")
        content = {"ename": event.ename, "evalue": event.evalue, "traceback": traceback}
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None:
            cell.error = content
        self._show(event, "error", content)

    def _take_clear_output(self, event: Event) -> None:
        self._show(event, "clear_output", {"wait": event.wait})

    def _take_page(self, event: Event) -> None:
        self._add_payload(event, {"source": "page", "data": event.data, "start": 0})

    def _take_next_input(self, event: Event) -> None:
        self._add_payload(event, {"source": "set_next_input", "text": event.text, "replace": event.replace})

    def _add_payload(self, event: Event, payload: dict[str, Any]) -> None:
        cell = self._cells.unfinished.get(event.execution or 0)
        if cell is not None:
            cell.payload.append(payload)

    def _take_comm(self, event: Event) -> None:
        content = {"comm_id": event.comm_id, "data": self._name_messages(event.data)}
        if event.action == "open":
            content |= {"target_name": event.target, "target_module": None}
        self._channels.publish(
            f"comm_{event.action}",
            content,
            self._cells.header_of(event.execution),
            metadata=event.metadata,
            buffers=[base64.b64decode(buffer) for buffer in event.buffers],
        )

    def _name_messages(self, data: dict[str, Any]) -> dict[str, Any]:
        """Name the message that a widget captures the output of: the worker knows only its execution."""
        state = data.get("state")
        captured = state.get("msg_id") if isinstance(state, dict) else None
        if not isinstance(captured, str) or not captured.startswith(MESSAGE_OF):
            return data
        header = self._cells.header_of(int(captured.removeprefix(MESSAGE_OF))) or {}
        return {**data, "state": {**data["state"], "msg_id": header.get("msg_id", "")}}

    # ------------------------------------------------------------------ the worker

    def _take_worker_started(self, event: Event) -> None:
        if self._generation and event.generation > self._generation:
            # Only now, because a client may take it for a reason to forget what it still waits for.
            self._channels.publish("status", {"execution_state": "restarting"}, None)
        self._generation = event.generation
        self._channels.publish("status", {"execution_state": "idle"}, None)

    def _take_worker_died(self, event: Event) -> None:
        self._generation = event.generation
        told = f"[the kernel's process has ended: {event.reason}; its variables are gone]\n"
        running = next((cell for cell in self._cells.unfinished.values() if cell.has_begun), None)
        parent = running.header if running else self._cells.last_header
        self._channels.publish("stream", {"name": "stderr", "text": told}, parent)


def describe_death(reason: str | None) -> dict[str, Any]:
    """The error of a request that went down with the kernel."""
    text = f"the kernel's process has ended: {reason or 'nobody knows why'}"
    return {"ename": _DIED, "evalue": text, "traceback": [f"{_DIED}: {text}"]}


def _make_reply(cell: Cell, outcome: str) -> dict[str, Any]:
    common = {"execution_count": cell.number, "payload": cell.payload}
    if outcome == Outcome.OK:
        return {"status": "ok", **common}
    if outcome in (Outcome.CANCELLED, Outcome.ABORTED):
        return {"status": "aborted", **common}
    error = cell.error or {"ename": "KeyboardInterrupt", "evalue": "", "traceback": ["KeyboardInterrupt"]}
    return {"status": "error", **error, **common}


def _join(events: list[Event]) -> Iterator[Event]:
    """Make one event of neighbouring text of the same stream of the same execution."""
    for _, group in itertools.groupby(events, lambda e: (e.execution, e.name) if e.kind == Kind.STREAM else e.seq):
        first, *others = group
        text = "".join([first.text, *(event.text for event in others)]) if others else ""
        yield dataclasses.replace(first, payload={**first.payload, "text": text}) if others else first
