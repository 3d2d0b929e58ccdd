"""What the kernel decides: who runs next, what ends how, who may do what. No threads, sockets, clock or RPyC.

A fact of `core.events` comes in, the state changes, and the actions to perform come out. The rules:

1. One first-in-first-out main lane; a side lane runs at once, beside it.
2. Every execution ends in exactly one `finished`; nothing vanishes.
3. An error or interrupt aborts only what the same session queued behind it, and only if that execution asked for it.
4. An interrupt acts on the execution it names, or on none.
5. A client that leaves ends nothing.
6. A dead worker ends all it owed as lost, and a new generation follows, unless it keeps dying before it is ready.
7. What is held runs only if somebody approves it. It keeps its place in the queue, and no turn passes to it until then.

Two tables say what may become of the kernel and of an execution by each event, and what is refused or ignored when;
all decisions go by them. docs/reference/states.md is drawn from them.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from heapq import merge
from itertools import islice
from typing import Any, Final, NamedTuple

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import (
    Action,
    AnswerWorker,
    DropCall,
    InterruptWorker,
    KillWorker,
    Record,
    ReportStack,
    RunCode,
    StartGrace,
    StartWorker,
    StopHub,
)
from rpyc_kernel.core.contract import (
    COMM_CALL,
    MAX_HELD,
    MAX_HELD_CODE_CHARS,
    MAX_HELD_OF_ONE,
    SENT_CALL,
    Doing,
    Force,
    Kind,
    Lane,
    Outcome,
    State,
)
from rpyc_kernel.core.sessions import Sessions
from rpyc_kernel.core.source import Program, Source, describe_source, read_source
from rpyc_kernel.errors import NoSuchExecution, NotAsked, NotPermitted, NotQueued, NotRunning, RequestError
from rpyc_kernel.frozen import Frozen

_GONE = "the worker was gone when a new hub came"
_SHOWN_QUEUED = 100
_MAX_REASON_CHARS = 1000
_KEPT_TOKENS = 4096
"""Of so many submissions it is remembered what they were called: many more than may be asked for once more."""

MAX_FAILED_STARTS = 3
"""After so many workers in a row that died before they were ready, the hub stops trying and says so."""


HELD, QUEUED, RUNNING, FINISHED, UNKNOWN = "held", Kind.QUEUED, "running", Kind.FINISHED, "unknown"
"""Where an execution stands; held is queued without a turn, unknown is a number that was never given out."""
LIFECYCLES = (State.STARTING, State.IDLE, State.STOPPING, State.DEAD)
PLACES = (HELD, QUEUED, RUNNING, FINISHED, UNKNOWN)


class Refusal(NamedTuple):
    """What whoever asks is told; nothing changes."""

    error: type[RequestError]
    text: str


class Mark(Enum):
    """What an event is to a state that it does nothing to."""

    IGNORED = "ignored"  # it comes too late
    NEVER = "never"  # it cannot come; a hub to which it does is at fault, and ends


_Cell = tuple[str, ...] | Refusal | Mark
"""What it may be afterwards, or why nothing happens."""
_S, _I, _P, _D = ((state,) for state in LIFECYCLES)
_H, _Q, _R, _F, _U = ((place,) for place in PLACES)
_IGNORED, _NEVER = Mark.IGNORED, Mark.NEVER


def _by_state(*cells: _Cell) -> dict[str, _Cell]:
    return dict(zip(LIFECYCLES, cells, strict=True))


def _by_place(*cells: _Cell) -> dict[str, _Cell]:
    return dict(zip(PLACES, cells, strict=True))


_STOPPING = Refusal(RequestError, "the kernel is stopping and takes no code")
_DEAD = Refusal(RequestError, "the kernel is dead and takes no code; restart it first")
_NO_RESTART = Refusal(RequestError, "the kernel is stopping; start it again instead of restarting it")

# fmt: off
LIFECYCLE: dict[type[events.Event], dict[str, _Cell]] = {
    #                                     starting  idle      stopping      dead
    events.SessionJoined:      _by_state(_S,       _I,       _P,           _D),
    events.SessionLeft:        _by_state(_S + _P,  _I + _P,  _P,           _D + _P),  # a private kernel's last client
    events.StarterLost:        _by_state(_S + _P,  _I + _P,  _P,           _D + _P),
    events.IdleTimeElapsed:    _by_state(_S + _P,  _I + _P,  _IGNORED,     _D + _P),  # or somebody has just come
    events.CodeSubmitted:      _by_state(_S,       _I,       _STOPPING,    _DEAD),
    events.CodeFinished:       _by_state(_S,       _I,       _P,           _IGNORED),
    events.ApproveRequested:   _by_state(_S,       _I,       _STOPPING,    _D),
    events.DeclineRequested:   _by_state(_S,       _I,       _P,           _D),
    events.CancelRequested:    _by_state(_S,       _I,       _P,           _D),
    events.InterruptRequested: _by_state(_S,       _I,       _P,           _D),
    events.GraceElapsed:       _by_state(_S,       _I,       _P,           _IGNORED),
    events.InputWanted:        _by_state(_S,       _I,       _P,           _IGNORED),
    events.InputAnswered:      _by_state(_S,       _I,       _P,           _D),
    events.InputWithdrawn:     _by_state(_S,       _I,       _P,           _IGNORED),
    events.WorkerStarted:      _by_state(_I + _S,  _NEVER,   _P,           _NEVER),  # starting: it is to be replaced
    events.WorkerReported:     _by_state(_S,       _I,       _P,           _D),
    events.UnfinishedTold:     _by_state(_S,       _I,       _P,           _IGNORED),
    events.WorkerDied:         _by_state(_S + _D,  _S,       _P,           _NEVER),
    events.RestartRequested:   _by_state(_S,       _S,       _NO_RESTART,  _S),
    events.ShutdownRequested:  _by_state(_P,       _P,       _IGNORED,     _P),
}
"""What the kernel may be after each event; `State.BUSY` is idle with something on the main lane."""

_NO_SUCH = Refusal(NoSuchExecution, "there is no execution {number}; the last one is {last}")
_IS_RUNNING = Refusal(NotQueued, "execution {number} is running; interrupt it instead")
_NOT_QUEUED = Refusal(NotQueued, "execution {number} has finished already; there is nothing to cancel")
_IS_QUEUED = Refusal(NotRunning, "execution {number} is queued, not running; cancel it instead")
_IS_HELD = Refusal(NotRunning, "execution {number} waits for approval and does not run; cancel or decline it instead")
_NOT_RUNNING = Refusal(NotRunning, "execution {number} has finished already")
_NOT_HELD = Refusal(NotAsked, "execution {number} does not wait for approval: it is {place}")
_STAYS = _by_place(_H, _Q, _R, _F, _U)

EXECUTION: dict[type[events.Event], dict[str, _Cell]] = {
    # An event that names an execution says so of that one, any other of each.
    #                                     held        queued       running      finished      unknown
    events.SessionJoined:      _STAYS,
    events.SessionLeft:        _STAYS,
    events.StarterLost:        _STAYS,
    events.IdleTimeElapsed:    _STAYS,
    events.CodeSubmitted:      _by_place(_NEVER,    _NEVER,      _NEVER,      _NEVER,       _H + _Q + _R),
    events.CodeFinished:       _by_place(_IGNORED,  _IGNORED,    _F,          _IGNORED,     _IGNORED),
    events.ApproveRequested:   _by_place(_Q + _R,   _NOT_HELD,   _NOT_HELD,   _NOT_HELD,    _NO_SUCH),
    events.DeclineRequested:   _by_place(_F,        _NOT_HELD,   _NOT_HELD,   _NOT_HELD,    _NO_SUCH),
    events.CancelRequested:    _by_place(_F,        _F,          _IS_RUNNING, _NOT_QUEUED,  _NO_SUCH),
    events.InterruptRequested: _by_place(_IS_HELD,  _IS_QUEUED,  _R,          _NOT_RUNNING, _NO_SUCH),
    events.GraceElapsed:       _by_place(_IGNORED,  _IGNORED,    _R,          _IGNORED,     _IGNORED),
    events.InputWanted:        _STAYS,
    events.InputAnswered:      _STAYS,
    events.InputWithdrawn:     _STAYS,
    events.WorkerStarted:      _by_place(_H,        _Q + _R,     _R,          _F,           _U),
    events.WorkerReported:     _STAYS,
    events.UnfinishedTold:     _by_place(_H + _F,   _Q + _R + _F, _R + _F,    _F,           _U),
    events.WorkerDied:         _by_place(_H + _F,   _Q + _F,     _F,          _F,           _U),
    events.RestartRequested:   _by_place(_H + _F,   _Q + _F,     _R,          _F,           _U),
    events.ShutdownRequested:  _STAYS,
}
"""What may become of an execution by each event."""

OTHERS: dict[type[events.Event], dict[str, _Cell]] = {
    events.CodeFinished:       {HELD: _H + _F, QUEUED: _Q + _R + _F},  # its turn has come, or its session has failed
    events.ApproveRequested:   {HELD: _H,      QUEUED: _Q},
    events.DeclineRequested:   {HELD: _H,      QUEUED: _Q},
    events.CancelRequested:    {HELD: _H,      QUEUED: _Q},
    events.InterruptRequested: {HELD: _H,      QUEUED: _Q},
    events.GraceElapsed:       {HELD: _H,      QUEUED: _Q},
    events.CodeSubmitted:      {HELD: _H,      QUEUED: _Q},
}
"""What may become of the others that wait, where an event names an execution; those that run go on."""
# fmt: on


@dataclass
class Execution:
    """One submitted piece of code that is not finished."""

    id: int
    session: str
    name: str
    code: str
    lane: str
    stop_on_error: bool
    call: str | None
    source: Source | None = None
    is_input: bool = True
    started_at: float | None = None
    count: int | None = None
    is_in_grace: bool = False
    is_held: bool = False
    was_held: bool = False
    """Whether it is held, and whether it ever was: then those behind it may have run before it."""

    @property
    def is_running(self) -> bool:
        """Whether it was handed to the worker."""
        return self.started_at is not None

    @property
    def place(self) -> str:
        """Where it stands."""
        if self.started_at is not None:
            return RUNNING
        return HELD if self.is_held else QUEUED


class Prompt(Frozen):
    """A line of text that user code waits for."""

    token: int
    execution: int | None
    session: str | None


class Decision(NamedTuple):
    """What the caller is told, and what is to be done."""

    answer: Any
    actions: list[Action]


class KernelState:
    """The whole shared state of one kernel.

    Args:
        is_private: whether the kernel ends with its last client.
    """

    def __init__(self, *, is_private: bool = False) -> None:
        self.sessions = Sessions()
        self._is_private = is_private
        self.generation = 0
        self.lifecycle = State.STARTING
        self._worker_pid: int | None = None
        self._python = self._engine = self._debugger = self._program = ""
        self._rank: int | None = None
        self._world_size: int | None = None
        self._last_execution = 0
        self._last_count = 0
        self._unfinished: dict[int, Execution] = {}
        self._unfinished_of: dict[str, int] = {}  # how many each session has
        self._queue: deque[int] = deque()  # these two in the order of their numbers
        self._held: dict[int, Execution] = {}  # beside it, so that who advances it passes them by at no cost
        self._running: int | None = None
        self._sides: dict[int, Execution] = {}
        self._prompts: dict[int, Prompt] = {}
        # Until a worker that was taken over has told what it asks: the tokens of what may be over, and of what is.
        self._doubtful: frozenset[int] | None = None
        self._answered: set[int] = set()
        self._failed_starts = 0
        self._death_reason = ""
        self._had_worker = False
        self._by_token: dict[tuple[str, str], int] = {}  # newest last

    @property
    def last_execution(self) -> int:
        """The highest number that an execution was given."""
        return self._last_execution

    def handle(self, event: events.Event) -> Decision:
        """Decide upon a fact.

        Raises:
            RequestError: the tables refuse it, or what it asks for cannot be; nothing has changed.
        """
        kind = type(event)
        allowed = LIFECYCLE[kind][self.lifecycle]
        if allowed is Mark.IGNORED:
            return Decision(None, [])
        if isinstance(allowed, Refusal):
            raise allowed.error(allowed.text)
        before = self.lifecycle
        assert allowed is not Mark.NEVER, f"{kind.__name__} came to a kernel that is {before}"
        made = _DECISIONS[kind](self, event)
        assert self.lifecycle in allowed, f"{kind.__name__} has made {self.lifecycle} of {before}"
        return made if isinstance(made, Decision) else Decision(None, made)

    # ------------------------------------------------------------------ participants

    def _session_joined(self, joined: events.SessionJoined) -> Decision:
        """Let a client take part; the answer is whether it is the first of its session, of which everybody hears."""
        if not self.sessions.join(joined.session, joined.name, joined.role):
            return Decision(False, [])
        who = {"name": self.sessions.name_of(joined.session), "role": joined.role}
        payload = {**who, "host": joined.host, "address": joined.address}
        return Decision(True, [Record(Kind.CLIENT_JOINED, None, joined.session, payload)])

    def _session_left(self, left: events.SessionLeft) -> list[Action]:
        """A client is gone; its executions and prompts stay. A private kernel ends with its last client."""
        name = self.sessions.name_of(left.session)
        if not self.sessions.leave(left.session, left.role):
            return []
        record = Record(Kind.CLIENT_LEFT, None, left.session, {"name": name, "why": left.why})
        return [record, *self._end_if_deserted("the last client of a private kernel left")]

    def _starter_lost(self, _: events.StarterLost) -> list[Action]:
        """Whoever started this hub is gone already; a private kernel that nobody else has joined ends."""
        return self._end_if_deserted("nobody is left who knows of this private kernel")

    def _idle_time_elapsed(self, elapsed: events.IdleTimeElapsed) -> list[Action]:
        """End a kernel that nobody has come to, meanwhile either."""
        return self.handle(events.ShutdownRequested(None, elapsed.reason)).actions if self.idle_mark else []

    def _end_if_deserted(self, reason: str) -> list[Action]:
        if not self._is_private or self.sessions.are_present:
            return []
        return self.handle(events.ShutdownRequested(None, reason)).actions

    # ------------------------------------------------------------------ executions

    def _code_submitted(self, submitted: events.CodeSubmitted) -> Decision:
        """Give the code a number and a place; the answer is the number, and of what comes twice the first one."""
        named = submitted.session, submitted.token
        if submitted.token and (known := self._by_token.get(named)) is not None:
            return Decision(known, [])
        if submitted.lane == Lane.SIDE and isinstance(submitted.source, Program):
            raise RequestError("a file runs on the main lane: arguments and working directory are the whole worker's")
        if submitted.is_held:
            self._require_approvable(submitted)
        execution = Execution(
            self._last_execution + 1,
            submitted.session,
            self.sessions.name_of(submitted.session),
            submitted.code,
            submitted.lane,
            submitted.stop_on_error,
            submitted.call,
            submitted.source,
            submitted.is_input and submitted.call is None,
            is_held=submitted.is_held,
            was_held=submitted.is_held,
        )
        is_side = execution.lane == Lane.SIDE and self._is_ready and not execution.is_held
        position = 0 if is_side else len(self._queue) + (self._running is not None)
        # Made before anything changes: what cannot be recorded does not happen.
        payload = {
            "code": execution.code,
            "name": execution.name,
            "lane": execution.lane,
            "position": position,
            "stop_on_error": execution.stop_on_error,
            "call": execution.call,
            "source": describe_source(execution.source),
            "is_input": execution.is_input,
            "is_held": execution.is_held,
        }
        if submitted.token:
            payload["token"] = submitted.token
        queued = Record(Kind.QUEUED, execution.id, execution.session, payload)
        self._last_execution = execution.id
        if submitted.token:
            self._remember(named, execution.id)
        self._admit(execution)
        actions: list[Action] = [queued]
        if is_side:
            actions += self._run(execution, submitted.time)
        elif not execution.is_held:
            self._queue.append(execution.id)
            actions += self._advance(submitted.time)
        return Decision(execution.id, actions)

    def _require_approvable(self, submitted: events.CodeSubmitted) -> None:
        """Only what can be read is held for somebody who reads it."""
        if submitted.call is not None or isinstance(submitted.source, Program):
            what = "a file on the kernel's machine" if submitted.call is None else "a call"
            raise NotPermitted(f"whoever approves code has to see it: hand in the code itself, and not {what}")
        if len(submitted.code) > MAX_HELD_CODE_CHARS:
            raise RequestError(
                f"the code has {len(submitted.code):,} characters; what somebody is to read and approve has at most "
                f"{MAX_HELD_CODE_CHARS:,}"
            )
        hidden = next((char for char in submitted.code if not (char.isprintable() or char in "\n\t")), None)
        if hidden is not None:
            raise RequestError(
                f"the code has a character that nobody sees who is to approve it, U+{ord(hidden):04X}; in a text write "
                f"{hidden!a}"
            )
        asker = _bearer_of(submitted.session)
        if sum(_bearer_of(each.session) == asker for each in self._held.values()) >= MAX_HELD_OF_ONE:
            raise RequestError(
                f"{MAX_HELD_OF_ONE} executions of yours wait for approval already; wait until some are let go or "
                "declined, or cancel some"
            )
        if len(self._held) >= MAX_HELD:
            raise RequestError(f"{MAX_HELD} executions wait for approval already; wait until some are let go")

    def _code_finished(self, finished: events.CodeFinished) -> list[Action]:
        """Close an execution, abort what its session queued behind it if it failed, and run the next."""
        execution = self._named(finished, finished.execution)
        if execution is None:
            return []
        actions = self._end(execution, finished.outcome, duration_s=finished.duration_s)
        if finished.outcome != Outcome.OK and execution.stop_on_error and execution.lane == Lane.MAIN:
            actions += self._abort_session(execution)
        return [*actions, *self._advance(finished.time)]

    def _approve_requested(self, approve: events.ApproveRequested) -> Decision:
        """Let one execution go that is held: it has its turn before all that was submitted later and still waits."""
        execution = self._named(approve, approve.execution)
        assert execution is not None
        payload = {"by": self.sessions.name_of(approve.session)}
        approved = Record(Kind.APPROVED, execution.id, execution.session, payload)
        execution.is_held = False
        del self._held[execution.id]
        insort(self._queue, execution.id)
        return Decision(execution.id, [approved, *self._advance(approve.time)])

    def _decline_requested(self, decline: events.DeclineRequested) -> Decision:
        """End one execution that is held; the answer is its number."""
        execution = self._named(decline, decline.execution)
        assert execution is not None
        by = self.sessions.name_of(decline.session)
        reason = f"declined by {by}" + (f": {decline.reason[:_MAX_REASON_CHARS]}" if decline.reason else "")
        return Decision(execution.id, self._end(execution, Outcome.CANCELLED, reason=reason, by=by))

    def _cancel_requested(self, cancel: events.CancelRequested) -> Decision:
        """Take one queued execution out; the answer is its number."""
        if cancel.only_own:
            self._require_own(cancel.session, cancel.execution)
        execution = self._named(cancel, cancel.execution)
        assert execution is not None
        if not execution.is_held:
            self._queue.remove(execution.id)
        by = self.sessions.name_of(cancel.session)
        return Decision(execution.id, self._end(execution, Outcome.CANCELLED, reason=f"cancelled by {by}", by=by))

    def _interrupt_requested(self, interrupt: events.InterruptRequested) -> Decision:
        """Interrupt exactly the execution that is named, or what runs; the answer is its number."""
        target = self._running if interrupt.execution is None else interrupt.execution
        if target is None:
            raise NotRunning("nothing is running")
        if interrupt.only_own:
            self._require_own(interrupt.session, target)
        execution = self._named(interrupt, target)
        assert execution is not None
        by = self.sessions.name_of(interrupt.session)
        actions: list[Action] = [
            Record(Kind.INTERRUPT_REQUESTED, target, execution.session, {"by": by, "force": interrupt.force})
        ]
        if interrupt.force == Force.TERMINATE:
            self._death_reason = f"terminated by {by}"
            return Decision(target, [*actions, KillWorker(self._death_reason)])
        actions.append(InterruptWorker(target, execution.lane, interrupt.force))
        if not execution.is_in_grace:  # however many press Ctrl-C, one clock runs
            execution.is_in_grace = True
            actions.append(StartGrace(target))
        return Decision(target, actions)

    def _grace_elapsed(self, elapsed: events.GraceElapsed) -> list[Action]:
        """Tell everybody, with the stacks, that an interrupted execution goes on."""
        execution = self._named(elapsed, elapsed.execution)
        if execution is None:
            return []
        execution.is_in_grace = False
        return [ReportStack(execution.id, execution.session)]

    # ------------------------------------------------------------------ prompts

    def _input_wanted(self, wanted: events.InputWanted) -> list[Action]:
        """Show a prompt to the session whose code asks, unless it is told once more.

        What is shown neither as waiting nor as answered just now, an earlier hub has recorded as answered, and died
        before it handed the answer over.
        """
        if wanted.token in self._prompts or wanted.token in self._answered:
            return []
        session = self.owner_of(wanted.execution)
        self._prompts[wanted.token] = Prompt(wanted.token, wanted.execution, session)
        payload = {"prompt": wanted.prompt, "password": wanted.password, "token": wanted.token}
        return [Record(Kind.INPUT_REQUESTED, wanted.execution, session, payload)]

    def _input_answered(self, answered: events.InputAnswered) -> Decision:
        """Pass one answer on; a second answer to the same prompt is an error. The text itself is not recorded."""
        number = answered.execution
        waiting = [prompt for prompt in self._prompts.values() if number in (None, prompt.execution)]  # oldest first
        if not waiting:
            raise NotAsked(f"{'nothing waits' if number is None else f'execution {number} does not wait'} for input")
        own = [prompt for prompt in waiting if prompt.session == answered.session]
        if answered.only_own and not own:
            raise NotPermitted("a connection that asks first has a say in what its own session runs alone")
        prompt = (own or waiting)[0]
        del self._prompts[prompt.token]
        if self._doubtful is not None:
            self._answered.add(prompt.token)
        payload = {"by": self.sessions.name_of(answered.session), "token": prompt.token}
        return Decision(
            prompt.execution,
            [
                Record(Kind.INPUT_ANSWERED, prompt.execution, prompt.session, payload),
                AnswerWorker(prompt.token, answered.text, answered.is_refused),
            ],
        )

    def _input_withdrawn(self, withdrawn: events.InputWithdrawn) -> list[Action]:
        """Forget a prompt, so that no answer goes astray; one that is answered already is left alone."""
        prompt = self._prompts.pop(withdrawn.token, None)
        if prompt is None:
            return []
        payload = {"by": None, "token": prompt.token}
        return [Record(Kind.INPUT_ANSWERED, prompt.execution, prompt.session, payload)]

    # ------------------------------------------------------------------ the worker

    def _worker_started(self, started: events.WorkerStarted) -> list[Action]:
        """The namespace is there; run what waits for it."""
        self._worker_pid = started.pid
        self._python, self._engine, self._debugger = started.python, started.engine, started.debugger
        self._program = started.program
        self._rank, self._world_size = started.rank or (None, None)
        self.generation = started.generation
        self._failed_starts = 0
        self._doubtful = frozenset(self._prompts) if started.adopted else None
        # What an earlier hub could not record may have taken numbers that the journal does not know.
        self._last_execution = max(self._last_execution, started.last_execution)
        self._last_count = max(self._last_count, started.last_count)
        payload = {
            "generation": started.generation,
            "pid": started.pid,
            "python": started.python,
            "engine": started.engine,
            "adopted": started.adopted,
            "program": started.program,
        }
        actions: list[Action] = [Record(Kind.WORKER_STARTED, None, None, payload)]
        if self.lifecycle == State.STOPPING or self._death_reason:
            # It was asked to end before there was a process that could be asked.
            return [*actions, KillWorker(self._death_reason)]
        self.lifecycle = State.IDLE
        # An earlier hub may have died between writing 'started' and handing the code over. The worker drops what it
        # has received before, so handing it over again is always right.
        for execution in self._unfinished.values():
            is_numbered = execution.lane == Lane.MAIN and not execution.was_held
            if execution.is_running and not (is_numbered and execution.id <= started.received):
                actions.append(self._run_code(execution))
        return [*actions, *self._advance(started.time)]

    def _worker_reported(self, reported: events.WorkerReported) -> list[Action]:
        """Record what the worker produced under the session that owns it."""
        return [Record(reported.kind, reported.execution, self.owner_of(reported.execution), reported.payload)]

    def _unfinished_told(self, told: events.UnfinishedTold) -> list[Action]:
        """End what the worker has finished, and forget what it no longer asks, without the hub hearing of it."""
        actions: list[Action] = []
        if self._doubtful is not None and told.asking is not None:
            for token in self._doubtful - told.asking:
                actions += self._input_withdrawn(events.InputWithdrawn(token))
        self._doubtful = None
        self._answered.clear()
        for execution in list(self._unfinished.values()):
            if execution.lane == Lane.SIDE:
                was_received = execution.id in told.sides or execution.id < told.settled
            elif execution.was_held:
                was_received = execution.id in told.approved
            else:
                was_received = execution.id <= told.received
            # What was held has no turn from which it could be told that it runs already.
            is_over = execution.id not in told.unfinished or (execution.was_held and not execution.is_running)
            if was_received and is_over:
                if execution.place == QUEUED:
                    self._queue.remove(execution.id)
                actions += self._end(execution, Outcome.LOST, reason="the record of its end was lost")
        return [*actions, *self._advance(told.time)]

    def _worker_died(self, died: events.WorkerDied) -> list[Action]:
        """Settle what the worker left behind, and see that another takes its place."""
        reason = self._death_reason or died.reason
        was_asked, self._death_reason = bool(self._death_reason), ""
        never_ready, self._worker_pid = self._worker_pid is None, None
        actions: list[Action] = [self._record_death(reason, died)]
        self._prompts.clear()
        if self.lifecycle == State.STOPPING:
            return [*actions, *self._lose_everything(reason), StopHub(reason)]
        self._failed_starts += never_ready and not was_asked
        if self._failed_starts >= MAX_FAILED_STARTS:
            self.lifecycle = State.DEAD
            return [*actions, *self._lose_everything(reason)]
        # What waits for a worker that was not ready, or was to be replaced, has lost nothing: the next one gets it.
        lost = self._lose_running(reason) if self.lifecycle == State.STARTING else self._lose_everything(reason)
        return [*actions, *lost, *self._next_generation()]

    def _restart_requested(self, restart: events.RestartRequested) -> Decision:
        """Replace the worker; the answer is the generation to come, which runs what is submitted from now on."""
        by = self.sessions.name_of(restart.session)
        actions: list[Action] = [Record(Kind.RESTART_REQUESTED, None, restart.session, {"by": by})]
        if self.lifecycle == State.DEAD:
            self._failed_starts = 0
            return Decision(self.generation + 1, [*actions, *self._next_generation()])
        self._death_reason = f"restarted by {by}"
        if self._is_ready:
            actions += self._lose_queued(self._death_reason)
            self.lifecycle = State.STARTING
        return Decision(self.generation + 1, [*actions, KillWorker(self._death_reason)])

    def _shutdown_requested(self, shutdown: events.ShutdownRequested) -> Decision:
        """End the worker, then the hub."""
        has_worker = self.lifecycle != State.DEAD
        self.lifecycle = State.STOPPING
        self._death_reason = shutdown.reason
        if not has_worker:
            return Decision(None, [*self._lose_everything(shutdown.reason), StopHub(shutdown.reason)])
        return Decision(None, [KillWorker(shutdown.reason)])

    # ------------------------------------------------------------------ a new hub for an old kernel

    def go_on_behind(self, execution: int) -> None:
        """Give the next execution a number above this one, of which the journal knows nothing."""
        self._last_execution = max(self._last_execution, execution)

    def restore(self, restored: events.Restored) -> None:
        """Take over what the journal knows of an earlier hub: numbers, queue, prompts, sessions."""
        self.generation = restored.generation
        self._had_worker = restored.had_worker
        self._last_execution = restored.last_execution
        for session, name, role in restored.sessions:
            self.sessions.remember(session, name, role)
        for number, session, queued, started_at, count in restored.unfinished:
            was_held = queued.get("is_held", False) is not False
            execution = Execution(
                number,
                session,
                queued["name"],
                queued["code"],
                queued["lane"],
                queued["stop_on_error"],
                queued["call"],
                read_source(queued.get("source")),
                queued.get("is_input", True),
                started_at,
                count,
                is_held=was_held and started_at is None and number not in restored.approved,
                was_held=was_held,
            )
            self._admit(execution)
            self._last_count = max(self._last_count, count or 0)
            if execution.place == QUEUED:
                self._queue.append(number)
            elif execution.is_running and execution.lane == Lane.MAIN:
                self._running = number
        for token, running, owner in restored.prompts:
            self._prompts[token] = Prompt(token, running, owner)

    def start(self) -> list[Action]:
        """Ask for a worker where none could be taken over: what an earlier one ran is lost, what waited is run.

        What is held is lost, too: whoever approves it now would do so for code of another namespace.
        """
        actions: list[Action] = []
        if self._had_worker:
            actions.append(self._record_death(_GONE, events.WorkerDied(_GONE, 0.0)))
            actions += self._lose([*self._held.values()], _GONE)
        actions += self._lose_running(_GONE)
        for token in list(self._prompts):
            actions += self._input_withdrawn(events.InputWithdrawn(token))
        return [*actions, *self._next_generation()]

    # ------------------------------------------------------------------ what can be seen

    def status(self) -> dict[str, Any]:
        """A snapshot for anybody who asks."""
        running = self._unfinished.get(self._running or 0)
        return {
            "state": self._state,
            "generation": self.generation,
            "worker_pid": self._worker_pid,
            "python": self._python,
            "engine": self._engine,
            "debugger": self._debugger,
            "program": self._program,
            "rank": self._rank,
            "world_size": self._world_size,
            "busy_since": running.started_at if running else None,
            "running": self._describe(running) if running else None,
            "queue": self.queue(0, _SHOWN_QUEUED),
            "queue_length": len(self._queue) + len(self._held),
            "held": len(self._held),
            "side": tuple(self._describe(one) for one in self._sides.values() if one.is_running),
            "prompts": tuple(
                {"execution": prompt.execution, "session": prompt.session} for prompt in self._prompts.values()
            ),
            "last_execution": self._last_execution,
            "sessions": self._describe_sessions(),
        }

    def _describe_sessions(self) -> tuple[dict[str, Any], ...]:
        """Who takes part, and what each does with which execution: the one that runs, else the next one to run."""
        asking = {prompt.execution for prompt in self._prompts.values()}
        doing: dict[str, tuple[str, int]] = {}
        for number in sorted({*self._sides, self._running or 0} - {0}):
            one = self._unfinished[number]
            if one.is_running:
                doing.setdefault(one.session, (Doing.ASKED if number in asking else Doing.RUNNING, number))
        for number in self._queue:
            if len(doing) == len(self._unfinished_of):
                break
            doing.setdefault(self._unfinished[number].session, (Doing.WAITING, number))
        for one in self._held.values():
            doing.setdefault(one.session, (Doing.HELD, one.id))
        described = []
        for session in self.sessions.snapshot():
            what, execution = doing.get(session["id"], (Doing.IDLE if session["connections"] else Doing.GONE, None))
            described.append({**session, "doing": what, "execution": execution})
        return tuple(described)

    def queue(self, after: int, count: int) -> tuple[dict[str, Any], ...]:
        """The next in the queue whose numbers are higher: they stand in the order of their numbers."""
        behind = (number for number in merge(self._queue, self._held) if number > after)
        return tuple(self._describe(self._unfinished[number]) for number in islice(behind, count))

    @property
    def idle_mark(self) -> tuple[int, int] | None:
        """Where nobody is there and nothing runs or waits, what changes when that was otherwise meanwhile; else None.

        Who only looks is not there: a program that asks for the status now and then keeps no kernel alive.
        """
        if self.sessions.are_present or self._unfinished:
            return None
        return self.sessions.joins, self._last_execution

    def owner_of(self, execution: int | None) -> str | None:
        """The session of an unfinished execution, else None."""
        found = self._unfinished.get(execution or 0)
        return found.session if found else None

    @property
    def running(self) -> int | None:
        """The number of the execution on the main lane, or None."""
        return self._running

    # ------------------------------------------------------------------ parts

    @property
    def _is_ready(self) -> bool:
        return self.lifecycle == State.IDLE

    @property
    def _state(self) -> str:
        return State.BUSY if self._is_ready and self._running is not None else self.lifecycle

    def _describe(self, execution: Execution) -> dict[str, Any]:
        return {
            "execution": execution.id,
            "count": execution.count,
            "session": execution.session,
            "name": execution.name,
            "code": execution.code[:200],
            "is_held": execution.is_held,
        }

    def place_of(self, number: int) -> str:
        """Where an execution stands."""
        execution = self._unfinished.get(number)
        if execution is not None:
            return execution.place
        return FINISHED if 0 < number <= self._last_execution else UNKNOWN

    def _named(self, event: events.Event, number: int) -> Execution | None:
        """The execution of an event that names one, None where that is ignored; raises where it is refused."""
        cell = EXECUTION[type(event)][self.place_of(number)]
        if isinstance(cell, Refusal):
            place = self.place_of(number)
            raise cell.error(cell.text.format(number=number, last=self._last_execution, place=place))
        return None if cell is Mark.IGNORED else self._unfinished[number]

    def _advance(self, time: float) -> list[Action]:
        """Run the next in the queue if the main lane is free; a queued side execution starts with it."""
        actions: list[Action] = []
        if not self._is_ready:
            return actions
        for number in tuple(self._queue) if self._sides else ():
            if number in self._sides:
                self._queue.remove(number)
                actions += self._run(self._unfinished[number], time)
        if self._running is None and self._queue:
            actions += self._run(self._unfinished[self._queue.popleft()], time)
        return actions

    def _require_own(self, session: str, number: int) -> None:
        owner = self.owner_of(number)
        if owner not in (None, session):
            raise NotPermitted("a connection that asks first has a say in what its own session runs alone")

    def _run(self, execution: Execution, time: float) -> list[Action]:
        execution.started_at = time
        if execution.lane == Lane.MAIN:
            self._running = execution.id
        if execution.is_input:
            self._last_count += 1
            execution.count = self._last_count
        told = {"generation": self.generation, "count": execution.count}
        return [Record(Kind.STARTED, execution.id, execution.session, told), self._run_code(execution)]

    def _remember(self, named: tuple[str, str], number: int) -> None:
        self._by_token[named] = number
        if len(self._by_token) > _KEPT_TOKENS:
            del self._by_token[next(iter(self._by_token))]

    def _admit(self, execution: Execution) -> None:
        self._unfinished[execution.id] = execution
        if execution.is_held:
            self._held[execution.id] = execution
        self._unfinished_of[execution.session] = self._unfinished_of.get(execution.session, 0) + 1
        if execution.lane == Lane.SIDE:
            self._sides[execution.id] = execution

    def _run_code(self, execution: Execution) -> RunCode:
        # Of what has ended on a side lane the worker is told again and again, so that it need not remember all of it.
        settled = min(self._sides) if execution.lane == Lane.SIDE else 0
        return RunCode(
            execution.id,
            execution.code,
            execution.lane,
            execution.call,
            execution.source,
            settled,
            execution.count,
            execution.was_held,
        )

    def _end(
        self,
        execution: Execution,
        outcome: str,
        *,
        reason: str | None = None,
        duration_s: float | None = None,
        by: str | None = None,
    ) -> list[Action]:
        del self._unfinished[execution.id]
        self._held.pop(execution.id, None)
        self._unfinished_of[execution.session] -= 1
        if not self._unfinished_of[execution.session]:
            del self._unfinished_of[execution.session]
        if self._running == execution.id:
            self._running = None
        self._sides.pop(execution.id, None)
        payload = {
            "outcome": outcome,
            "reason": reason,
            "duration_s": duration_s,
            "by": by,
            "generation": self.generation,
        }
        finished = Record(Kind.FINISHED, execution.id, execution.session, payload)
        if execution.is_running or execution.call is None or execution.call.startswith((COMM_CALL, SENT_CALL)):
            return [finished]
        return [finished, DropCall(execution.call)]

    def _record_death(self, reason: str, died: events.WorkerDied) -> Record:
        payload = {
            "generation": self.generation,
            "reason": reason,
            "stack": died.stack,
            "memory_bytes": died.memory_bytes,
            "peak_memory_bytes": died.peak_memory_bytes,
            "exit_code": died.exit_code,
        }
        return Record(Kind.WORKER_DIED, None, None, payload)

    def _abort_session(self, failed: Execution) -> list[Action]:
        # What was held is let go later than what is behind it.
        waiting = [self._unfinished[n] for n in merge(self._queue, self._held) if n > failed.id]
        actions: list[Action] = []
        for execution in waiting:
            if execution.session == failed.session:
                if not execution.is_held:
                    self._queue.remove(execution.id)
                reason = f"execution {failed.id} of the same session failed"
                actions += self._end(execution, Outcome.ABORTED, reason=reason)
        return actions

    def _lose_everything(self, reason: str) -> list[Action]:
        return [*self._lose_running(reason), *self._lose_queued(reason)]

    def _lose_running(self, reason: str) -> list[Action]:
        return self._lose([execution for execution in self._unfinished.values() if execution.is_running], reason)

    def _lose_queued(self, reason: str) -> list[Action]:
        self._queue.clear()
        return self._lose([execution for execution in self._unfinished.values() if not execution.is_running], reason)

    def _lose(self, executions: list[Execution], reason: str) -> list[Action]:
        return [action for execution in executions for action in self._end(execution, Outcome.LOST, reason=reason)]

    def _next_generation(self) -> list[Action]:
        self.lifecycle = State.STARTING
        self.generation += 1
        self._last_count = 0
        return [StartWorker(self.generation)]


def _bearer_of(session: str) -> str:
    """The invitation that a session is of, or the session where it is of none."""
    return session.partition(":")[0]


_DECISIONS: Final[dict[type[events.Event], Callable[[KernelState, Any], Decision | list[Action]]]] = {
    events.SessionJoined: KernelState._session_joined,
    events.SessionLeft: KernelState._session_left,
    events.StarterLost: KernelState._starter_lost,
    events.IdleTimeElapsed: KernelState._idle_time_elapsed,
    events.CodeSubmitted: KernelState._code_submitted,
    events.CodeFinished: KernelState._code_finished,
    events.ApproveRequested: KernelState._approve_requested,
    events.DeclineRequested: KernelState._decline_requested,
    events.CancelRequested: KernelState._cancel_requested,
    events.InterruptRequested: KernelState._interrupt_requested,
    events.GraceElapsed: KernelState._grace_elapsed,
    events.InputWanted: KernelState._input_wanted,
    events.InputAnswered: KernelState._input_answered,
    events.InputWithdrawn: KernelState._input_withdrawn,
    events.WorkerStarted: KernelState._worker_started,
    events.WorkerReported: KernelState._worker_reported,
    events.UnfinishedTold: KernelState._unfinished_told,
    events.WorkerDied: KernelState._worker_died,
    events.RestartRequested: KernelState._restart_requested,
    events.ShutdownRequested: KernelState._shutdown_requested,
}
