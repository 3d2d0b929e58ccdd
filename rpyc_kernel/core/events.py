"""What can happen to a kernel: the facts that `KernelState` decides upon.

Each is in the past tense and carries the time at which it happened, so that decisions need no clock. What is requested
has been checked where it came in, and so has who may request it; see `core.commands`.
"""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.contract import Departure, Force, Lane, Role
from rpyc_kernel.core.source import Source
from rpyc_kernel.frozen import Frozen


class SessionJoined(Frozen):
    """A client connected under this session.

    Attributes:
        host: what the client says its machine is called.
        address: from where it came; "" by a unix socket.
    """

    session: str
    name: str
    role: str = Role.OWNER
    host: str = ""
    address: str = ""


class SessionLeft(Frozen):
    """One of the session's connections ended."""

    session: str
    role: str = Role.OWNER
    why: str = Departure.LEFT


class StarterLost(Frozen):
    """Whoever started this hub is gone already."""


class IdleTimeElapsed(Frozen):
    """Nobody was there and nothing ran for as long as the kernel waits for that, when this was last looked at."""

    reason: str


class CodeSubmitted(Frozen):
    """A session handed in code to run, or (``call``) a staged call in the worker, or (``source``) a file.

    Attributes:
        is_input: whether a person would call it an input. Those are counted; a call never is one.
        token: names it among the submissions of its session, "" if it may not come twice.
        is_held: whether somebody has to approve it before it runs.
    """

    session: str
    code: str
    time: float
    stop_on_error: bool = True
    lane: str = Lane.MAIN
    call: str | None = None
    source: Source | None = None
    is_input: bool = True
    token: str = ""
    is_held: bool = False


class ApproveRequested(Frozen):
    """A session lets an execution go that is held."""

    session: str
    execution: int
    time: float


class DeclineRequested(Frozen):
    """A session wants an execution that is held never to run; the reason may be empty."""

    session: str
    execution: int
    reason: str = ""


class CancelRequested(Frozen):
    """A session wants a queued execution gone.

    Attributes:
        only_own: whether it may take away no other session's.
    """

    session: str
    execution: int
    only_own: bool = False


class InterruptRequested(Frozen):
    """A session wants a running execution to stop; None means whatever runs on the main lane.

    Attributes:
        only_own: whether it may interrupt no other session's.
    """

    session: str
    execution: int | None
    force: str = Force.SIGNAL
    only_own: bool = False


class GraceElapsed(Frozen):
    """The time an interrupted execution had to stop is over."""

    execution: int


class InputAnswered(Frozen):
    """A session answers a prompt: the one of ``execution``, or the only one there is.

    Text None is end-of-file, or where it is refused says that nobody can be asked.

    Attributes:
        only_own: whether it may answer no other session's.
    """

    session: str
    text: str | None
    execution: int | None = None
    is_refused: bool = False
    only_own: bool = False


class WorkerStarted(Frozen):
    """A worker is ready to run code."""

    generation: int
    pid: int
    python: str
    engine: str
    adopted: bool = False
    received: int = 0
    time: float = 0.0
    last_execution: int = 0
    last_count: int = 0
    debugger: str = ""
    program: str = ""
    rank: tuple[int, int] | None = None


class WorkerReported(Frozen):
    """The worker produced an event of its own: a stream, a display, a result, an error."""

    kind: str
    execution: int | None
    payload: dict[str, Any]


class InputWanted(Frozen):
    """User code waits for a line of text."""

    execution: int | None
    token: int
    prompt: str
    password: bool


class InputWithdrawn(Frozen):
    """User code no longer waits for a line of text that it wanted: it was interrupted."""

    token: int


class CodeFinished(Frozen):
    """The worker is through with an execution."""

    execution: int
    outcome: str
    time: float
    duration_s: float = 0.0


class UnfinishedTold(Frozen):
    """The worker said what it has not finished; reports of some ends may be lost.

    Attributes:
        unfinished: the executions that will still end.
        received: the highest number received on the main lane, of what was never held.
        sides: those that were received on side lanes, of the numbers from ``settled`` on.
        time: when it said so.
        settled: all below this number that were to run on side lanes were received.
        asking: the tokens of the lines of text that it waits for, each of which it has told before; None: not told.
        approved: what was received on the main lane of what had been held.
    """

    unfinished: frozenset[int]
    received: int
    sides: frozenset[int]
    time: float
    settled: int = 0
    asking: frozenset[int] | None = None
    approved: frozenset[int] = frozenset()


class WorkerDied(Frozen):
    """The worker process is gone."""

    reason: str
    time: float
    stack: str = ""
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    exit_code: int | None = None


class RestartRequested(Frozen):
    """A session wants a new namespace."""

    session: str


class ShutdownRequested(Frozen):
    """The kernel is to end."""

    session: str | None
    reason: str


class Restored(Frozen):
    """What a new hub reads in the journal of one that is gone.

    Attributes:
        unfinished: number, session, what `queued` said, when it began, and which input it is of each execution.
        approved: those of them that were held and are so no longer.
        prompts: token, execution and session of each question that waits.
        sessions: id, name and role of each.
    """

    generation: int
    last_execution: int
    had_worker: bool = False
    unfinished: tuple[tuple[int, str, dict[str, Any], float | None, int | None], ...] = ()
    approved: frozenset[int] = frozenset()
    prompts: tuple[tuple[int, int | None, str | None], ...] = ()
    sessions: tuple[tuple[str, str, str], ...] = ()


Event = (
    SessionJoined
    | SessionLeft
    | StarterLost
    | IdleTimeElapsed
    | CodeSubmitted
    | CodeFinished
    | ApproveRequested
    | DeclineRequested
    | CancelRequested
    | InterruptRequested
    | GraceElapsed
    | InputWanted
    | InputAnswered
    | InputWithdrawn
    | WorkerStarted
    | WorkerReported
    | UnfinishedTold
    | WorkerDied
    | RestartRequested
    | ShutdownRequested
)
"""What is decided upon; `Restored` is what there is before anything has happened."""
