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

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any

from rpyc_kernel.core import actions, events
from rpyc_kernel.core.actions import Action, Record
from rpyc_kernel.core.contract import PROTOCOL_VERSION, RELEASE, UNFINISHED, Kind, Outcome
from rpyc_kernel.core.kernel_state import KernelState
from rpyc_kernel.errors import KernelDied, KernelError, RequestError, WorkerBusy
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.hub import failing
from rpyc_kernel.hub.embedding import EmbeddedProcess
from rpyc_kernel.hub.idling import IdleClock
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.presence import Presence
from rpyc_kernel.hub.pump import Report
from rpyc_kernel.hub.scheduler import Scheduler
from rpyc_kernel.hub.supervisor import Supervisor
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.ring import RingReader
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_log = logging.getLogger(__name__)
_STACK_TIMEOUT_S = 2.0
_INSIST_S, _NUDGE_S = 0.01, 0.1
_NO_WORKER = "there is no worker at the moment; wait for it, or restart the kernel"
_MAX_EXECUTION = 2**62
_LOOKED_THROUGH = 1000
_ENDED = (Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED)
_MAY_FAIL = (actions.DropCall, actions.InterruptWorker, actions.StartGrace, actions.ReportStack)
"""What can be asked for again. Any other action that is not carried out would be waited for without end."""


class _Progress(Frozen):
    """Up to where the ring of a generation is dealt with, once the records before this are committed."""

    ring: RingReader
    generation: int
    position: int


class Hub:
    """The state, the journal and the worker of one kernel, put together.

    Attributes:
        presence: which connections are open.

    Args:
        folder: the kernel's runtime folder, locked.
        journal: where events go.
        settings: of the hub.
        worker_settings: of the worker.
        worker_changed: told the worker's process and generation, for the connection file.
        stop: told the reason when the kernel ends.
        idle_timeout_s: for how long nobody may be there and nothing may run; 0 for as long as it is so.
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
        idle_timeout_s: float = 0.0,
        spare: WorkerProcess | EmbeddedProcess | None = None,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._worker_changed = worker_changed
        self._stop = stop
        self._state = KernelState(is_private=settings.is_private)
        self._lock = threading.Lock()
        self._deciding = _Turn(self._lock)
        self._outbox: list[Action | _Progress] = []
        self._performing = threading.Lock()
        self._performer: int | None = None
        self._scheduler = Scheduler()
        self.presence = Presence()
        self._idling = IdleClock(idle_timeout_s)
        self.last_stack = ""
        self._inherited = 0  # events up to here are of earlier hubs
        self._supervisor = Supervisor(
            folder,
            settings,
            worker_settings,
            self._scheduler,
            spawned=worker_changed,
            started=self._worker_started,
            died=self._worker_died,
            deliver=self._deliver,
            running=lambda: self._state.running,
            spare=spare,
        )
        # Nothing of these is decided.
        self.read, self.follow, self.find = journal.read, journal.follow, journal.find
        self.history, self.acknowledge, self.cursor_of = journal.history, journal.acknowledge, journal.cursor_of
        self.wait_for_worker = self._supervisor.wait_for_worker

    # ------------------------------------------------------------------ beginning

    def begin(self) -> None:
        """Take over what an earlier hub left, or start afresh."""
        restored = self._journal.restored()
        self._state.restore(restored)
        adopted = self._supervisor.adopt(self._journal.ring_position)
        event, execution = self._supervisor.read_noted(adopted.generation if adopted else restored.generation)
        self._journal.go_on_behind(event)
        self._state.go_on_behind(execution)
        self._inherited = self._journal.last
        self.post([Record(Kind.HUB_STARTED, None, None, _describe_hub())])
        if adopted is None:
            self._supervisor.salvage(restored.generation, self._journal.ring_position(restored.generation))
            with self._deciding:
                self._outbox += self._state.start()
            self._perform()
            return
        self._worker_started(adopted)
        self._supervisor.watch()
        # Ends that the hub before held in memory only, because its disk refused, were read from the ring: they come no
        # more. What the worker says stands in the ring behind all those that still come.
        self.notify_worker("tell_unfinished")

    # ------------------------------------------------------------------ deciding

    def handle(self, event: events.Event) -> Any:
        """Decide upon a fact, see to what follows, and return the answer; raises what `KernelState.handle` does."""
        with self._deciding:
            decision = self._state.handle(event)
            self._outbox += decision.actions
        self._perform()
        return decision.answer

    def submit(self, submitted: events.CodeSubmitted, since: int = 0) -> int:
        """Queue code, and return its number; of what an earlier hub has queued under the same token, the number then.

        Args:
            submitted: the code.
            since: an event that there was before the token was used, 0 if it was not used before this hub.
        """
        if submitted.token and 0 < since < self._inherited:
            number = self._find_submission(submitted, since)
            if number is not None:
                return number
        return int(self.handle(submitted))

    def _find_submission(self, submitted: events.CodeSubmitted, cursor: int) -> int | None:
        while cursor < self._inherited:
            cursor, found = self._journal.after(cursor, _LOOKED_THROUGH)
            for _, _, kind, number, session, payload in found:
                is_own = kind == Kind.QUEUED and session == submitted.session and submitted.token in payload
                if is_own and json.loads(payload).get("token") == submitted.token:
                    return number
        return None

    def look(self, view: Callable[[KernelState], Any]) -> Any:
        """Look at the state."""
        with self._deciding:
            return view(self._state)

    def post(self, to_do: list[Action]) -> None:
        """Do something that needs no decision."""
        with self._deciding:
            self._outbox += to_do
        self._perform()

    def _worker_started(self, started: events.WorkerStarted) -> None:
        self._worker_changed(started.pid, started.generation)
        self.handle(started)

    def _worker_died(self, died: events.WorkerDied) -> None:
        self._worker_changed(None, self.look(lambda state: state.generation))
        self.last_stack = died.stack
        if self._supervisor.program is not None:  # nobody else can be its worker
            self.handle(events.ShutdownRequested(None, died.reason))
        self.handle(died)

    def _deliver(self, reports: list[Report], position: int, ring: RingReader, generation: int) -> None:
        """Decide upon what the worker produced, in order."""
        # In one turn: whoever performs now must not commit a part of it without the position it came from.
        with self._deciding:
            for kind, execution, payload in reports:
                self._outbox += _decide_report(self._state, kind, execution, payload)
            self._outbox.append(_Progress(ring, generation, position))
        self._perform()

    # ------------------------------------------------------------------ carrying out

    def _perform(self) -> None:
        if self._performer == threading.get_ident():
            return  # what an action or a reader's answer brought is seen to by the round that goes on
        with self._performing:
            self._performer = threading.get_ident()
            try:
                while self._outbox:
                    with self._lock:
                        batch, self._outbox = self._outbox, []
                    self._carry_out(batch)
            except BaseException as error:  # noqa: BLE001 - what was to be done is lost, others' as well
                failing.end_hub("what was decided", error)
            finally:
                self._performer = None

    def _carry_out(self, batch: list[Action | _Progress]) -> None:
        records: list[Record] = []
        to_do: list[Action] = []
        progress: _Progress | None = None
        for item in batch:
            if isinstance(item, Record):
                records.append(item)
            elif isinstance(item, _Progress):
                progress = item
            else:
                to_do.append(item)
        records += [_note_stop(item) for item in to_do if isinstance(item, actions.StopHub)]
        if progress is None:
            self._journal.append(records)
        else:
            self._journal.append(records, progress.generation, progress.position)
            progress.ring.release(progress.position)
        worker = self._supervisor.worker
        if self._journal.trouble is not None and worker is not None:
            worker.note_numbers(self._journal.last, self._state.last_execution)
        for action in to_do:
            try:
                self._act(action)
            except Exception:
                if not isinstance(action, _MAY_FAIL):
                    raise
                _log.exception("%s failed", type(action).__name__)
        # Last, so that the worker has begun before readers hear of it.
        self._journal.publish(even_quiet=False)

    def _act(self, action: Action) -> None:
        assert self._performer == threading.get_ident()
        match action:
            case actions.RunCode() | actions.DropCall() | actions.InterruptWorker() | actions.AnswerWorker():
                worker = self._supervisor.worker
                if worker is not None:
                    worker.perform(action)
                if isinstance(action, actions.InterruptWorker):
                    self._scheduler.after(_INSIST_S, partial(self._insist, action.execution))
            case actions.StartGrace(execution):
                self._scheduler.after(_NUDGE_S, lambda: self._nudge(execution))
                self._scheduler.after(self._settings.grace_s, lambda: self._end_grace(execution))
            case actions.ReportStack(execution, session):
                # By its callback: it may be seconds until a worker shows its stacks.
                self.ask_stack(_STACK_TIMEOUT_S).add_done_callback(
                    lambda shown: self._report_stack(execution, session, shown)
                )
            case actions.StartWorker(generation):
                self._supervisor.start(generation)
            case actions.KillWorker():
                self._supervisor.kill(is_idle=self._state.running is None)
            case actions.StopHub(reason):
                self._stop(reason)

    def _insist(self, execution: int) -> None:
        worker = self._supervisor.worker
        if worker is not None:
            worker.insist(execution)

    def _nudge(self, execution: int) -> None:
        worker = self._supervisor.worker
        if worker is not None:
            worker.nudge(execution)

    def _end_grace(self, execution: int) -> None:
        self.handle(events.GraceElapsed(execution))

    def _report_stack(self, execution: int, session: str | None, shown: Future[str]) -> None:
        error = shown.exception()
        stack = shown.result() if error is None else f"({error})"
        self.post([Record(Kind.INTERRUPT_UNANSWERED, execution, session, {"stack": stack})])

    def restart(self, session: str) -> int:
        """Restart the worker; returns the new generation.

        Raises:
            RequestError: it is somebody's program.
        """
        program = self._supervisor.program
        if program is not None:
            raise RequestError(
                f"the kernel is embedded in {program}, and cannot be restarted; it ends with that program, or when it "
                "is stopped, and then the program goes on"
            )
        return int(self.handle(events.RestartRequested(session)))

    def look_after(self) -> None:
        """Do what is to be done about once a second."""
        worker = self._supervisor.worker
        if worker is not None:
            worker.look()
        self._journal.look_after()
        if self._idling.look(self.look(lambda state: state.idle_mark), time.monotonic()):
            limit_s = self._idling.limit_s
            self.handle(events.IdleTimeElapsed(f"nobody was connected and nothing ran for {limit_s:g} s"))

    # ------------------------------------------------------------------ what its parts are asked from outside

    @property
    def last(self) -> int:
        """The number of the newest event, 0 if there is none."""
        return self._journal.last

    @property
    def last_execution(self) -> int:
        """The highest number that an execution was given."""
        return self._state.last_execution

    def status(self) -> dict[str, Any]:
        """A snapshot for anybody who asks."""
        worker = self._supervisor.worker
        decided, mark = self.look(lambda state: (state.status(), state.idle_mark))
        decided["sessions"] = self.presence.describe(decided["sessions"])
        return {
            "hub_pid": os.getpid(),
            "time": time.time(),
            "last": self._journal.last,
            "memory_bytes": None if worker is None else worker.memory_bytes,
            "journal": self._journal.trouble,
            **self._idling.describe(mark, time.monotonic()),
            **decided,
        }

    def ask_worker(self, method: str, *arguments: Any) -> Future[Any]:
        """Ask the worker's control thread; the future fails with `WorkerBusy` or `KernelDied`."""
        worker = self._supervisor.worker
        return _failed(KernelDied(_NO_WORKER)) if worker is None else worker.link.request(method, *arguments)

    def notify_worker(self, method: str, *arguments: Any) -> None:
        """Tell the worker something, if there is one."""
        worker = self._supervisor.worker
        if worker is not None:
            worker.link.notify(method, *arguments)

    def hand_over(
        self,
        channel: str,
        whose: tuple[str, str],
        client: socket.socket,
        *more: socket.socket,
        ended: Callable[[], None],
    ) -> None:
        """Have the worker serve a client, with further sockets where the channel needs them; the caller closes its own.

        It is the client of a session, let in by a key. That it has ended is told once, or more often.

        Raises:
            KernelDied: there is no worker.
            WorkerBusy: it takes none.
            OSError: there are no descriptors left.
        """
        worker = self._supervisor.worker
        if worker is None:
            raise KernelDied(_NO_WORKER)
        worker.link.hand_over(channel, whose, client, *more, ended=ended)

    def ask_stack(self, timeout_s: float) -> Future[str]:
        """Every thread's stack, also while a C call holds the interpreter lock; `WorkerBusy` when none came in time."""
        worker = self._supervisor.worker
        if worker is None:
            return _failed(WorkerBusy("there is no worker at the moment, or it is starting; ask again when it is up"))
        return worker.ask_stack(timeout_s)

    def later(self, do: Callable[[], object]) -> None:
        """Have something done by another thread; a signal's handler may ask for it."""
        self._scheduler.after(0, do)

    def close(self) -> None:
        """Stop the clock and close the journal, which answers every reader."""
        self._scheduler.close()
        self._supervisor.join()
        self._journal.close()


class _Turn:
    """One thread's turn to decide: what is begun is refused with one of our errors, or made, or ends the hub.

    Args:
        lock: of the state and the outbox.
    """

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._owner: int | None = None

    def __enter__(self) -> None:
        # Without this, a decision that asks for another would wait for itself.
        assert self._owner != threading.get_ident(), "a decision is made of facts, and asks the hub for nothing"
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner = None
        self._lock.release()
        if error is not None and not isinstance(error, KernelError):
            failing.end_hub("a decision", error)


def _failed(error: KernelError) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _describe_hub() -> dict[str, Any]:
    return {"pid": os.getpid(), "version": PROTOCOL_VERSION, "release": RELEASE}


def _note_stop(stop: actions.StopHub) -> Record:
    """The last record of a hub's life; it is there before the hub begins to leave."""
    return Record(Kind.HUB_STOPPED, None, None, {"reason": stop.reason})


def _decide_report(state: KernelState, kind: str, execution: int | None, payload: dict[str, Any]) -> list[Action]:
    """Decide upon one report of a worker, in which user code could have written anything."""
    try:
        event = _read_report(kind, execution, payload)
        if isinstance(event, events.WorkerReported):  # changes nothing: one that cannot be recorded may fail now
            return state.handle(event).actions
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        _log.error("a %r of execution %s makes no sense: %s", kind, execution, error)
        return []
    return state.handle(event).actions


def _read_report(kind: str, execution: int | None, payload: dict[str, Any]) -> events.Event:
    """Say what has happened by a report. Raises if it makes no sense."""
    if execution is not None and not 0 < execution < _MAX_EXECUTION:
        raise ValueError("no such number")
    if kind == Kind.FINISHED:
        outcome = payload["outcome"] if payload["outcome"] in _ENDED else Outcome.ERROR
        return events.CodeFinished(execution or 0, outcome, time.time(), float(payload.get("duration_s", 0.0)))
    if kind == Kind.INPUT_REQUESTED:
        prompt, password = str(payload["prompt"]), bool(payload["password"])
        return events.InputWanted(execution, int(payload["token"]), prompt, password)
    if kind == Kind.INPUT_ANSWERED:
        return events.InputWithdrawn(int(payload["token"]))
    if kind == UNFINISHED:
        unfinished, sides = (frozenset(map(int, payload[name])) for name in ("unfinished", "sides"))
        settled = int(payload.get("settled", 0))
        asking = frozenset(map(int, payload["asking"])) if "asking" in payload else None
        received, approved = int(payload["received"]), frozenset(map(int, payload["let_go"]))
        return events.UnfinishedTold(unfinished, received, sides, time.time(), settled, asking, approved)
    return events.WorkerReported(kind, execution, payload)
