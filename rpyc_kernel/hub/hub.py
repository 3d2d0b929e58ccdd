"""Where decisions meet the world: one lock orders them, and what they ask for is done outside it, in the same order.

Any thread may bring an event. It decides under the lock, leaves the actions in the outbox, and goes on when they are
done, by whichever thread: so nobody can ask for more than the kernel carries out, and the thread that reads the worker
is never kept busy by those who ask. In each round everything to record is committed first, in one transaction, and
then the rest is done: so code is never handed over before `started` is in the journal, nor a frame of the ring given
up before its event is.

What anybody asks is refused before it changes the state, or done. Whatever else fails on the way, between a decision
and its being carried out, leaves a state that nobody can vouch for: then the hub ends, see `failing`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rpyc_kernel.core import actions, events
from rpyc_kernel.core.actions import Action, Record
from rpyc_kernel.core.contract import PROTOCOL_VERSION, RELEASE, UNFINISHED, Kind, Outcome
from rpyc_kernel.core.kernel_state import Decision, KernelState
from rpyc_kernel.errors import KernelError
from rpyc_kernel.hub import failing
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.pump import Report
from rpyc_kernel.hub.supervisor import Supervisor
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.ring import RingReader
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_log = logging.getLogger(__name__)
_STACK_TIMEOUT_S = 2.0
_NUDGE_S = 0.1
_MAX_EXECUTION = 2**62
_ENDED = (Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED)
_MAY_FAIL = (actions.DropCall, actions.InterruptWorker, actions.StartGrace, actions.ReportStack)
"""What can be asked for again. Any other action that is not carried out would be waited for without end."""


@dataclass(frozen=True)
class _Progress:
    """Up to where the ring of a generation is dealt with, once the records before this are committed."""

    ring: RingReader
    generation: int
    position: int


class Hub:
    """The state, the journal and the worker of one kernel, put together.

    Args:
        folder: the kernel's runtime folder, locked.
        journal: where events go.
        settings: of the hub.
        worker_settings: of the worker.
        worker_changed: told the worker's process and generation, for the connection file.
        stop: told the reason when the kernel ends.
        spare: a worker process that was started already.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        journal: Journal,
        settings: HubSettings,
        worker_settings: WorkerSettings,
        *,
        worker_changed: Callable[[int | None, int], None],
        stop: Callable[[str], None],
        spare: WorkerProcess | None = None,
    ) -> None:
        self.journal = journal
        self._settings = settings
        self._worker_changed = worker_changed
        self._stop = stop
        self._state = KernelState(is_private=settings.is_private)
        self._lock = threading.Lock()
        self._outbox: deque[Action | _Progress] = deque()
        self._performing = threading.Lock()
        self._performer: int | None = None
        self._timers: set[threading.Timer] = set()
        self.last_stack = ""
        self.supervisor = Supervisor(
            folder,
            settings,
            worker_settings,
            spawned=worker_changed,
            started=self._worker_started,
            died=self._worker_died,
            deliver=self._deliver,
            running=lambda: self._state.running,
            tick=journal.save_cursors,
            spare=spare,
        )

    # ------------------------------------------------------------------ beginning

    def begin(self) -> None:
        """Take over what an earlier hub left, or start afresh."""
        restored = self.journal.restored()
        self._state.restore(restored)
        adopted = self.supervisor.adopt(self.journal.ring_position)
        event, execution = self.supervisor.read_noted(adopted.generation if adopted else restored.generation)
        self.journal.go_on_behind(event)
        self._state.go_on_behind(execution)
        self.post([Record(Kind.HUB_STARTED, None, None, _describe_hub())])
        if adopted is None:
            self.supervisor.salvage(restored.generation, self.journal.ring_position(restored.generation))
            self._decide(lambda: self._state.start())
            return
        self._worker_started(adopted)
        self.supervisor.watch()
        # Ends that the hub before held in memory only, because its disk refused, were read from the ring: they come no
        # more. What the worker says stands in the ring behind all those that still come.
        self.supervisor.notify("tell_unfinished")

    # ------------------------------------------------------------------ deciding

    def ask(self, decide: Callable[[KernelState], Decision]) -> Any:
        """Make one decision that has an answer, and see to its actions; errors of the tree in `errors` pass through."""
        with self._lock, _whole():
            decision = decide(self._state)
            self._outbox.extend(decision.actions)
        self._perform()
        return decision.answer

    def tell(self, decide: Callable[[KernelState], list[Action]]) -> None:
        """Make one decision without an answer, and see to its actions."""
        self._decide(lambda: decide(self._state))

    def look(self, view: Callable[[KernelState], Any]) -> Any:
        """Look at the state."""
        with self._lock:
            return view(self._state)

    def post(self, to_do: list[Action]) -> None:
        """Do something that needs no decision."""
        self._decide(lambda: to_do)

    def _decide(self, decide: Callable[[], list[Action]]) -> None:
        with self._lock, _whole():
            self._outbox.extend(decide())
        self._perform()

    def _worker_started(self, started: events.WorkerStarted) -> None:
        self._worker_changed(started.pid, started.generation)
        self.tell(lambda state: state.handle_worker_started(started))

    def _worker_died(self, died: events.WorkerDied) -> None:
        self._worker_changed(None, self.look(lambda state: state.generation))
        self.last_stack = died.stack
        self.tell(lambda state: state.handle_worker_died(died))

    def _deliver(self, reports: list[Report], position: int, ring: RingReader, generation: int) -> None:
        """Decide upon what the worker produced, in order."""
        with self._lock, _whole():
            to_do: list[Action | _Progress] = []
            for kind, execution, payload in reports:
                to_do += _decide_report(self._state, kind, execution, payload)
            # All at once: whoever performs now must not commit a part of it without the position it came from.
            self._outbox.extend([*to_do, _Progress(ring, generation, position)])
        self._perform()

    # ------------------------------------------------------------------ carrying out

    def _perform(self) -> None:
        if self._performer == threading.get_ident():
            return  # what an action or a reader's answer brought is seen to by the round that goes on
        with self._performing:
            self._performer = threading.get_ident()
            try:
                while self._outbox:
                    self._carry_out([self._outbox.popleft() for _ in range(len(self._outbox))])
            except BaseException as error:  # noqa: BLE001 - what was to be done is lost, others' as well
                failing.end_hub("what was decided", error)
            finally:
                self._performer = None

    def _carry_out(self, batch: list[Action | _Progress]) -> None:
        records = [item for item in batch if isinstance(item, Record)]
        records += [_note_stop(item) for item in batch if isinstance(item, actions.StopHub)]
        progress = next((item for item in reversed(batch) if isinstance(item, _Progress)), None)
        if progress is None:
            self.journal.append(records)
        else:
            self.journal.append(records, progress.generation, progress.position)
            progress.ring.release(progress.position)
        if self.journal.trouble is not None:
            self.supervisor.note_numbers(self.journal.last, self._state.last_execution)
        for item in batch:
            if not isinstance(item, (Record, _Progress)):
                try:
                    self._act(item)
                except Exception:
                    if not isinstance(item, _MAY_FAIL):
                        raise
                    _log.exception("%s failed", type(item).__name__)
        # Last, so that the worker has begun before readers hear of it.
        self.journal.publish(even_quiet=False)

    def _act(self, action: Action) -> None:
        match action:
            case actions.RunCode():
                self.supervisor.run(action)
            case actions.DropCall(call):
                self.supervisor.notify("drop_call", call)
            case actions.InterruptWorker(execution, lane, force):
                self.supervisor.interrupt(execution, lane, force)
            case actions.StartGrace(execution):
                self._after(_NUDGE_S, lambda: self.supervisor.nudge(execution))
                self._after(self._settings.grace_s, lambda: self._end_grace(execution))
            case actions.ReportStack(execution, session):
                self._after(0, lambda: self._report_stack(execution, session))
            case actions.AnswerWorker(token, text, is_refused):
                self.supervisor.notify("answer", token, text, is_refused)
            case actions.StartWorker(generation):
                self.supervisor.start(generation)
            case actions.KillWorker():
                self.supervisor.kill(is_idle=self._state.running is None)
            case actions.StopHub(reason):
                self._after(0, lambda: self._stop(reason))

    def _end_grace(self, execution: int) -> None:
        self.tell(lambda state: state.handle_grace_elapsed(events.GraceElapsed(execution)))

    def _report_stack(self, execution: int, session: str | None) -> None:
        try:
            stack = self.supervisor.ask_stack(_STACK_TIMEOUT_S).result()
        except KernelError as error:
            stack = f"({error})"
        self.post([Record(Kind.INTERRUPT_UNANSWERED, execution, session, {"stack": stack})])

    def _after(self, delay_s: float, do: Callable[[], None]) -> None:
        def do_and_forget() -> None:
            self._timers.discard(timer)
            try:
                do()
            except Exception:  # noqa: BLE001 - it was only to be told, or can be asked for again
                _log.exception("what was to be done later failed")

        timer = threading.Timer(delay_s, do_and_forget)
        timer.name, timer.daemon = "hub-timer", True
        self._timers.add(timer)
        timer.start()

    def close(self) -> None:
        """Stop the clocks and close the journal, which answers every reader."""
        for timer in list(self._timers):
            timer.cancel()
        self.supervisor.join()
        self.journal.close()


def _describe_hub() -> dict[str, Any]:
    return {"pid": os.getpid(), "version": PROTOCOL_VERSION, "release": RELEASE}


def _note_stop(stop: actions.StopHub) -> Record:
    """The last record of a hub's life; it is there before the hub begins to leave."""
    return Record(Kind.HUB_STOPPED, None, None, {"reason": stop.reason})


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """A decision is refused with one of our errors, or made; what breaks off in its middle ends the hub."""
    try:
        yield
    except KernelError:
        raise
    except BaseException as error:  # noqa: BLE001 - as above
        failing.end_hub("a decision", error)


def _decide_report(state: KernelState, kind: str, execution: int | None, payload: dict[str, Any]) -> list[Action]:
    """Decide upon one report of a worker, in which user code could have written anything."""
    try:
        decide = _read_report(state, kind, execution, payload)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        _log.error("a %r of execution %s makes no sense: %s", kind, execution, error)
        return []
    return decide()


def _read_report(
    state: KernelState, kind: str, execution: int | None, payload: dict[str, Any]
) -> Callable[[], list[Action]]:
    """What a report has the state decide. Raises if it makes no sense, before the state has changed."""
    if execution is not None and not 0 < execution < _MAX_EXECUTION:
        raise ValueError("no such number")
    if kind == Kind.FINISHED:
        outcome = payload["outcome"] if payload["outcome"] in _ENDED else Outcome.ERROR
        finished = events.CodeFinished(execution or 0, outcome, time.time(), float(payload.get("duration_s", 0.0)))
        return lambda: state.handle_code_finished(finished)
    if kind == Kind.INPUT_REQUESTED:
        prompt, password = str(payload["prompt"]), bool(payload["password"])
        wanted = events.InputWanted(execution, int(payload["token"]), prompt, password)
        return lambda: state.handle_input_wanted(wanted)
    if kind == Kind.INPUT_ANSWERED:
        withdrawn = events.InputWithdrawn(int(payload["token"]))
        return lambda: state.handle_input_withdrawn(withdrawn)
    if kind == UNFINISHED:
        unfinished, sides = (frozenset(map(int, payload[name])) for name in ("unfinished", "sides"))
        settled = int(payload.get("settled", 0))
        told = events.UnfinishedTold(unfinished, int(payload["received"]), sides, time.time(), settled)
        return lambda: state.handle_unfinished_told(told)
    # All others change nothing, so that one which cannot be recorded may fail now.
    records = state.handle_worker_reported(events.WorkerReported(kind, execution, payload))
    return lambda: records
