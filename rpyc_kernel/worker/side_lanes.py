"""Lanes beside the main one: each execution there has a thread of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from os import getpid  # not what user code may put in its place
from typing import Any

from rpyc_kernel.core.contract import Kind, Lane, Outcome
from rpyc_kernel.core.source import Source, read_source
from rpyc_kernel.system import processes
from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.system.threads import KernelThread, follow_tracers, make_thread
from rpyc_kernel.worker import failing, forks
from rpyc_kernel.worker.capture import begin_execution, current_execution, end_execution
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.interrupts import Interrupts

Run = Callable[[int, str, "str | None", "Source | None", "int | None"], "str | Awaitable[str]"]
"""Runs an execution, of which it is told the number, the code, the call, the source and the count."""


class SideLanes:
    """Runs executions, any number at the same time.

    Attributes:
        last_execution: the highest number received.
        last_count: the highest count of an input received.
    """

    def __init__(self, run: Run, output: EventSink, interrupts: Interrupts) -> None:
        self._run_code = run
        self._output = output
        self._interrupts = interrupts
        self._runners: dict[int, threading.Thread] = {}
        self._received: set[int] = set()  # from `_settled` on
        self._settled = 0
        self._unfinished: set[int] = set()
        self._lock = threading.Lock()
        self.last_execution = self.last_count = 0

    def describe(self) -> tuple[list[int], list[int], int]:
        """What has not finished, what was received, and the number below which all of that is settled."""
        with self._lock:
            return list(self._unfinished), sorted(self._received), self._settled

    def start(
        self,
        execution: int,
        code: str,
        call: str | None,
        source: dict[str, Any] | None = None,
        settled: int = 0,
        count: int | None = None,
    ) -> None:
        """Run an execution in a thread of its own, beside the main lane; one that came before is not run again.

        The hub does not repeat what is below ``settled``: all that has ended, for the hub as well.
        """
        outcomes: list[str | Exception] = []
        started = time.perf_counter()
        name = f"{Lane.SIDE}-{execution}"
        begun = threading.Event()
        runner = KernelThread(self._run, name, (execution, code, call, read_source(source), count, outcomes))
        # An interrupt can hit the runner in any code, ours too. So another thread tells how it ended.
        ending = execution, runner, begun, outcomes, started
        ender = make_thread(self._finish, f"{name}-end", ending)
        with self._lock:
            if execution < self._settled or execution in self._received:
                return
            if settled > self._settled:
                self._settled = settled
                self._received = {number for number in self._received if number >= settled}
            self._received.add(execution)
            self.last_execution = max(self.last_execution, execution)
            self.last_count = max(self.last_count, count or 0)
            self._unfinished.add(execution)
            self._interrupts.tell_sides(len(self._unfinished))
            begin_execution(execution, is_main=False)
            try:
                ender.start()
                runner.start()
            except RuntimeError as error:  # there are no more threads
                outcomes.append(error)  # to be told outside of the lock: the ring may be full
            self._runners[execution] = runner
        begun.set()
        if ender.ident is None:
            self._finish(*ending)

    def interrupt(self, execution: int) -> bool:
        """Raise KeyboardInterrupt in a side lane at its next bytecode; False when it is not running.

        The processes that its thread has started get SIGINT, as a child may be what it waits for.
        """
        with self._lock:
            runner = self._runners.get(execution)
            if runner is None or runner.ident is None or not runner.is_alive():
                return False
            # Before the code starts others in answer to the exception.
            children = processes.foreground_of(getpid(), thread=runner.native_id)
            self._interrupts.raise_in_thread(runner.ident)
        for child in children:
            processes.kill(child, signal.SIGINT)
        return True

    def _run(
        self,
        execution: int,
        code: str,
        call: str | None,
        source: Source | None,
        count: int | None,
        outcomes: list[str | Exception],
    ) -> None:
        current_execution.set(execution)
        try:
            try:
                follow_tracers()
                result = self._run_code(execution, code, call, source, count)
                outcomes.append(result if isinstance(result, str) else asyncio.run(as_coroutine(result)))
            except BaseException as error:
                if forks.is_child():
                    forks.end_child(error)
                raise
            finally:
                if forks.is_child():
                    forks.end_child()
                with self._lock:  # the next thread may get the identity of this one
                    self._runners.pop(execution, None)
        except KeyboardInterrupt:
            pass  # it came when there was no user code to take it
        except Exception as error:  # noqa: BLE001 - what user code has put in our way, such as a profiler that raises
            outcomes.append(error)

    @failing.vital
    def _finish(
        self,
        execution: int,
        runner: threading.Thread,
        begun: threading.Event,
        outcomes: list[str | Exception],
        started: float,
    ) -> None:
        begun.wait()
        if runner.ident is not None:
            runner.join()
        with self._lock:
            self._runners.pop(execution, None)
        end_execution(execution)
        outcome = outcomes[0] if outcomes else Outcome.INTERRUPTED
        if isinstance(outcome, Exception):
            self._output.emit(Kind.ERROR, execution, {**describe_error(outcome, has_frames=False), "rich": None})
            outcome = Outcome.ERROR
        duration_s = round(time.perf_counter() - started, 6)
        self._output.emit(Kind.FINISHED, execution, {"outcome": outcome, "duration_s": duration_s})
        with self._lock:
            self._unfinished.discard(execution)
            self._interrupts.tell_sides(len(self._unfinished))


async def as_coroutine(outcome: Awaitable[str]) -> str:
    """Wait for what is to be waited for by a task of its own."""
    return await outcome
