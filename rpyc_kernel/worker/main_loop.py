"""The worker's main thread: an asyncio loop that takes executions from the hub and runs user code.

Synchronous code runs inside a callback of the loop, and so holds it up; awaiting code is a task of it. What user code
leaves behind in the loop goes on between executions.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rpyc_kernel.core.contract import UNFINISHED, Kind, Outcome
from rpyc_kernel.core.source import Source, read_source
from rpyc_kernel.system import frames
from rpyc_kernel.system.originals import logging, socket, threading, time
from rpyc_kernel.worker import failing, forks
from rpyc_kernel.worker.capture import begin_execution, current_execution, end_execution
from rpyc_kernel.worker.debugging import interactive
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.gui_loops import windows
from rpyc_kernel.worker.interrupts import Interrupts, may_interrupt, runs_user_code, without_loop
from rpyc_kernel.worker.side_lanes import SideLanes, as_coroutine

_log = logging.getLogger(__name__)


class MainLoop:
    """Runs executions, one at a time on the main lane, any number on side lanes.

    Args:
        engine: runs the code.
        output: publishes what comes of it.
        interrupts: is told what runs.
        take_call: finds a staged call by its token.
        debugger: sees what user code does, if a client wants it to.

    Attributes:
        received: the highest number received on the main lane, of what was never held.
        sides: the lanes beside it.
    """

    def __init__(
        self, engine: PlainEngine, output: EventSink, interrupts: Interrupts, take_call: Any, debugger: DebugServer
    ) -> None:
        self.loop = self._make_loop()
        self._engine = engine
        self._output = output
        self._interrupts = interrupts
        self._take_call = take_call
        self._debugger = debugger
        self._context = contextvars.copy_context()
        self._hub: socket.socket | None = None
        self._reader: frames.FrameReader | None = None
        self._messages: deque[Any] = deque()  # that came and are not taken yet
        self._waiting: deque[tuple[int, str, str | None, Source | None, int | None]] = deque()
        self._is_busy = False
        self._is_leaving = False
        self._holds_loop = False
        self._failures = 0
        self._forking_task: asyncio.Task[Any] | None = None
        self._forks_in_loop = False
        self.received = self._last_count = 0
        self._let_go: set[int] = set()  # received after having been held, in any order
        self._unfinished: set[int] = set()
        self.sides = SideLanes(self._run, output, interrupts)

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        return windows.make_loop()

    @runs_user_code
    def run(self) -> None:
        """Run the loop until the worker is told to leave."""
        asyncio.set_event_loop(self.loop)
        self._context.run(self._engine.start_up)
        while not self._is_leaving:
            try:
                self.loop.run_forever()
            except failing.Anything as error:
                # What callbacks or handlers of signals raise is the user's.
                if forks.is_child():
                    forks.end_child(error)
                # Of callbacks, only what is no error comes here: the loop takes errors for its own part.
                self._failures += failing.is_error(error)
                if self._failures > failing.ATTEMPTS:
                    failing.end_worker(error)
                failing.insist(self.survive, error, show=_pass_over)

    def _keep_listening(self) -> None:
        """Put back what user code may have taken out of the loop, which is its own as well."""
        loop: Any = self.loop
        known = loop._selector._fd_to_key  # the map that `get_map` returns takes ten times as long to look into
        if loop._ssock.fileno() not in known:
            loop._add_reader(loop._ssock.fileno(), loop._read_from_self)
        if self._hub is not None and self._hub.fileno() not in known:
            loop.add_reader(self._hub, self._receive)

    @property
    def _can_listen(self) -> bool:
        try:
            self.loop._selector.select(0)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True

    def survive(self, error: BaseException) -> None:
        """Go on after an exception that ended the loop: the kernel is not one callback's to end."""
        self.loop.call_soon(self._go_on)
        if isinstance(error, OSError) and not self._can_listen:
            failing.end_worker(OSError("its code has closed what it hears its hub by"))
        if isinstance(error, KeyboardInterrupt) and self._interrupts.cancel():
            return
        _show(error)

    @failing.vital
    def _go_on(self) -> None:
        """The loop works again; the exception may have come between a message and its start."""
        self._failures = 0
        self._run_waiting()

    def leave(self) -> None:
        """End the loop, from any thread; finalizers and ``atexit`` functions run."""
        self._is_leaving = True
        self.loop.call_soon_threadsafe(self.loop.stop)

    def take_hub(self, sock: socket.socket) -> None:
        """Listen to a hub, from any thread."""
        sock = forks.keep_from_children(sock)
        sock.setblocking(False)
        self._output.connect(sock)
        self.loop.call_soon_threadsafe(self._listen, sock)

    @failing.vital
    def _listen(self, sock: socket.socket) -> None:
        if self._hub is not None:
            self._forget_hub()
        self._hub, self._reader = sock, frames.FrameReader(sock)
        self.loop.add_reader(sock, self._receive)
        self._receive()

    def _forget_hub(self) -> None:
        if self._hub is not None:
            self.loop.remove_reader(self._hub)
            self._hub.close()
            self._hub = self._reader = None

    @failing.vital
    def _receive(self) -> None:
        _insist(self._take_messages)
        self._run_waiting()

    def _take_messages(self) -> None:
        if self._reader is None:
            return
        try:
            self._messages += self._reader.receive_available()
        except EOFError:
            self._forget_hub()
        while self._messages:
            self._take_message(*self._messages[0])
            self._messages.popleft()

    def _take_message(
        self,
        execution: int,
        code: str,
        call: str | None,
        source: dict[str, Any] | None,
        count: int | None,
        was_held: bool,
    ) -> None:
        # A hub that took over may repeat what the one before had sent.
        if execution in self._let_go or (execution <= self.received and not was_held):
            return
        work = execution, code, call, read_source(source), count
        self._last_count = max(self._last_count, count or 0)
        self._unfinished.add(execution)
        if was_held:
            self._let_go.add(execution)
        else:
            self.received = execution
        self._waiting.append(work)

    def _run_waiting(self) -> None:
        while self._waiting and not self._is_busy:
            self._start(*self._waiting.popleft())

    def _start(self, execution: int, code: str, call: str | None, source: Source | None, count: int | None) -> None:
        self._is_busy = True
        _insist(self._begin, execution)
        started = time.perf_counter()
        self._holds_loop = True
        try:
            outcome = self._context.run(self._run, execution, code, call, source, count)
        except BaseException as error:  # noqa: BLE001 - what a debugger or the like raises in our own frames
            outcome = self._report(execution, error)
        finally:
            self._holds_loop = False
        _insist(self._go_on_with, execution, outcome, started)

    def _go_on_with(self, execution: int, outcome: str | Awaitable[str], started: float) -> None:
        if not isinstance(outcome, str):
            self._begin_task(execution, outcome, started)
            return
        if forks.is_child():
            forks.end_child()
        self._finish(execution, outcome, started)

    def _begin(self, execution: int) -> None:
        self._debugger.begin()
        self._interrupts.begin(execution)
        self._context.run(current_execution.set, execution)
        begin_execution(execution, is_main=True)

    def _begin_task(self, execution: int, outcome: Awaitable[str], started: float) -> None:
        task = self.loop.create_task(_Steps(as_coroutine(outcome), self._context, self._interrupts))
        self._interrupts.begin_task(task)
        task.add_done_callback(lambda done: self._end_task(execution, done, started))

    def _run(
        self, execution: int, code: str, call: str | None, source: Source | None, count: int | None
    ) -> str | Awaitable[str]:
        if call is None:
            return self._engine.run(execution, code, source, count)

        @runs_user_code
        def take_and_call() -> Any:
            return _make(self._take_call(call))

        return self._engine.call(execution, take_and_call)

    @failing.vital
    def _end_task(self, execution: int, task: asyncio.Task[str], started: float) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        # An error that is left is none that the engine knows of, such as a cancellation before the first step.
        outcome = task.result() if error is None else self._report(execution, error)
        if forks.is_child():
            forks.end_child()
        _insist(self._finish, execution, outcome, started)
        self._run_waiting()

    def _report(self, execution: int, error: BaseException) -> str:
        if forks.is_child():
            forks.end_child(error)
        try:
            return self._context.run(self._engine.report, execution, error)
        except BaseException as another:  # noqa: BLE001 - whatever it is, the main lane must go on
            _log.exception("an error could not be reported")
            _insist(self._output.emit, Kind.ERROR, execution, describe_error(another))
            return Outcome.ERROR

    def _finish(self, execution: int, outcome: str, started: float) -> None:
        interactive.end()
        self._debugger.end()
        self._interrupts.end()
        self._context.run(current_execution.set, 0)
        end_execution(execution)
        self._keep_listening()
        self._is_busy = False
        duration_s = round(time.perf_counter() - started, 6)
        self._output.emit(Kind.FINISHED, execution, {"outcome": outcome, "duration_s": duration_s})
        self._unfinished.discard(execution)

    # ------------------------------------------------------------------ forked children

    def prepare_fork(self) -> None:
        """Note what is about to fork: a child of it ends with that."""
        is_main = threading.get_ident() == threading.main_thread().ident
        self._forking_task = asyncio.current_task(self.loop) if is_main else None
        self._forks_in_loop = is_main and self.loop.is_running()

    def become_child(self) -> None:
        """In a forked child: listen to no hub, and end with what was forked in."""
        self._hub = self._reader = None
        self._waiting.clear()
        if not self._forks_in_loop:
            return
        forks.renew_loop(self.loop)
        if self._holds_loop:
            return  # to what was called there; `_start` is below it
        asyncio._set_running_loop(self.loop)
        if self._forking_task is None:
            self.loop.call_soon(forks.end_child)
        else:
            self._forking_task.add_done_callback(_end_child_with)

    @property
    def last_execution(self) -> int:
        """The highest number received on either lane."""
        return max(self.received, self.sides.last_execution, *self._let_go)

    @property
    def last_count(self) -> int:
        """How many inputs it has received."""
        return max(self._last_count, self.sides.last_count)

    def tell_unfinished(self, asking: list[int]) -> None:
        """Tell the hub through the ring, behind every `finished` so far, what it may still wait for.

        Args:
            asking: the tokens of the questions that wait.
        """
        unfinished, sides, settled = self.sides.describe()
        unfinished += self._unfinished
        told = {"unfinished": unfinished, "received": self.received, "sides": sides, "settled": settled}
        self._output.emit(UNFINISHED, 0, {**told, "asking": asking, "let_go": sorted(self._let_go)})


class _Steps(Coroutine[Any, Any, str]):
    """A coroutine whose steps run in a context that outlives it, and in which a cancellation may be an interrupt.

    A task runs in a copy of the context it is made in, and what user code sets there would be lost with it. (To be told
    the context to run in, `asyncio.Task` must be that of Python 3.11 or later.)
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, str], context: contextvars.Context, interrupts: Interrupts
    ) -> None:
        self._coroutine = coroutine
        self._context = context
        self._interrupts = interrupts

    def __await__(self) -> Any:
        return (yield from self._coroutine.__await__())

    def send(self, value: Any) -> Any:
        """Go on to where it waits next."""
        return self._context.run(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception."""
        if self._interrupts.insists:
            self._interrupts.insists = False
            error = (KeyboardInterrupt(),)
        return self._context.run(self._coroutine.throw, *error)

    def close(self) -> None:
        """End it."""
        self._context.run(self._coroutine.close)


def _show(error: BaseException) -> None:
    if not isinstance(error, SystemExit):  # what a background task meant to end was itself
        with contextlib.suppress(Exception):  # the stream may be the user's
            sys.stderr.write(describe_error(without_loop(error))["traceback"])


_insist = functools.partial(failing.insist, show=_show)


def _pass_over(error: BaseException) -> None:
    """It is tried again, and shown if that fails, too."""


def _end_child_with(task: asyncio.Task[Any]) -> None:
    forks.end_child(asyncio.CancelledError() if task.cancelled() else task.exception())


@may_interrupt
def _make(call: Callable[[], Any]) -> Any:
    """Make a staged call. Where it is of C, as of ``time.sleep``, no frame but this one is there to interrupt."""
    return call()
