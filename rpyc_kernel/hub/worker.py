"""One generation of worker, as its hub has it: the process, the sockets to it, its ring, its stacks, its pump."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core import actions, events
from rpyc_kernel.core.contract import Force, Lane
from rpyc_kernel.core.source import describe_source
from rpyc_kernel.hub.embedding import EmbeddingProgram
from rpyc_kernel.hub.pump import Pump, Report
from rpyc_kernel.hub.worker_link import WorkerLink
from rpyc_kernel.system import processes, ring
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.stacks import Stacks

_CUT_OFF_S = 2


class Worker:
    """A worker from its greeting to its end.

    Args:
        folder: the kernel's runtime folder.
        child: its process.
        link: the sockets to it.
        position: where to read on in its ring.
        running: tells which execution holds the main lane.
        deliver: takes its output, with the ring and the position in it up to which that goes.
        is_adopted: an earlier hub has started it.

    Attributes:
        started: what it said of itself.
        memory_bytes: what it held about a second ago; None if the system does not tell.
        has_ended: its number may be another process's by now.
        ask_stack: see `Stacks.ask`.

    Raises:
        OSError, ValueError: its ring cannot be read.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        child: processes.Child | processes.AdoptedProcess | EmbeddingProgram,
        link: WorkerLink,
        position: int,
        *,
        running: Callable[[], int | None],
        deliver: Callable[[list[Report], int, ring.RingReader, int], None],
        is_adopted: bool = False,
    ) -> None:
        self.link = link
        self._child = child
        self._pid = child.pid
        self._is_embedded = isinstance(child, EmbeddingProgram)
        if isinstance(child, EmbeddingProgram):
            link.on_lost(child.has_left.set)
        self._ring = reader = ring.RingReader(link.ring_descriptor, position)
        os.close(link.ring_descriptor)
        self._stacks = Stacks(child.pid, link.stacks_descriptor, lambda: link.request("dump_stacks"))
        self.ask_stack = self._stacks.ask
        self.started = _read_greeting(
            link.greeting, is_adopted, str(child) if isinstance(child, EmbeddingProgram) else ""
        )
        self.memory_bytes: int | None = None
        self.has_ended = False
        self._seconds_cut_off = 0
        self._why_ended = ""
        self._told: dict[int, str] = {}
        generation = self.started.generation
        self._pump = Pump(
            folder,
            generation,
            reader,
            link.run_socket,
            link.output_descriptors,
            running=running,
            deliver=lambda reports, position: deliver(reports, position, reader, generation),
            damaged=lambda: link.notify("tell_unfinished"),
        )

    def read_output(self) -> None:
        """Begin to read what it produces."""
        self._pump.start()

    # ------------------------------------------------------------------ what it is asked

    def perform(self, action: actions.OfWorker) -> None:
        """Pass on what was decided; of one that is gone, whoever watches it will say so."""
        match action:
            case actions.RunCode():
                self._run(action)
            case actions.InterruptWorker(execution, lane, force):
                self._interrupt(execution, lane, force)
            case actions.AnswerWorker(token, text, is_refused):
                self.link.notify("answer", token, text, is_refused)
            case actions.DropCall(call):
                self.link.notify("drop_call", call)

    def _run(self, work: actions.RunCode) -> None:
        source = describe_source(work.source)
        if work.lane == Lane.SIDE:
            self.link.notify("run_side", work.execution, work.code, work.call, source, work.settled, work.count)
        else:
            self.link.run(work.execution, work.code, work.call, source, work.count, work.was_held)

    def _interrupt(self, execution: int, lane: str, force: str) -> None:
        """Send a signal marked for one execution, and SIGINT to what it has started and waits for.

        Side lanes get an exception instead, having no signals.
        """
        if lane == Lane.SIDE:
            self.link.notify("interrupt_side", execution)
            return
        if self._is_embedded:  # its signals and its children are the program's
            self._ring.words[ring.WORD_INTERRUPT] = execution
            self.link.notify("interrupt", execution)
            return
        children = self._foreground(execution)  # before the worker starts others in answer to it
        self._told = {child: processes.program_of(child) for child in children}
        self._ring.words[ring.WORD_FORCE] = force == Force.EXCEPTION
        self._ring.words[ring.WORD_INTERRUPT] = execution
        if not processes.would_end(self._pid, processes.INTERRUPT_SIGNAL):
            processes.kill(self._pid, processes.INTERRUPT_SIGNAL)
        for child in children:
            processes.kill(child, signal.SIGINT)

    def insist(self, execution: int) -> None:
        """Have another thread of its see to it, if its main thread has not noticed the interrupt of this execution."""
        if not self._is_embedded and self._ring.words[ring.WORD_INTERRUPT] == execution:
            self.link.notify("insist", execution)

    def nudge(self, execution: int) -> None:
        """End what it waits for, if it has not noticed the interrupt of this execution.

        That may be a child which it was just about to start. One that was told already is not told again, unless it
        has begun another program since: what a shell gets between its fork and its exec is lost.
        """
        if self._is_embedded:
            return
        if self._ring.words[ring.WORD_INTERRUPT] == execution:
            processes.kill(self._pid, processes.NUDGE_SIGNAL)
            for child in self._foreground(execution):
                if self._told.get(child) != processes.program_of(child):
                    processes.kill(child, signal.SIGINT)

    def _foreground(self, execution: int) -> list[int]:
        """Its children that belong to an execution; none if that does not run all the while they are sought."""
        words = self._ring.words
        if words[ring.WORD_RUNNING] != execution:
            return []
        first = ring.WORD_SPARED + 1
        spared = set(words[first : first + min(words[ring.WORD_SPARED], ring.MAX_SPARED)])
        children = processes.foreground_of(self._pid, spared)
        return children if words[ring.WORD_RUNNING] == execution else []

    # ------------------------------------------------------------------ what it shares

    def note_numbers(self, event: int, execution: int) -> None:
        """Keep for the next hub which numbers were given out; this one cannot write them down."""
        self._ring.words[ring.WORD_EVENT], self._ring.words[ring.WORD_EXECUTION] = event, execution

    @property
    def noted_numbers(self) -> tuple[int, int]:
        """What the hub before has noted."""
        return self._ring.words[ring.WORD_EVENT], self._ring.words[ring.WORD_EXECUTION]

    def look(self) -> None:
        """Look at it, about once a second."""
        if self.has_ended:
            return
        self.memory_bytes = processes.memory_bytes(self._pid) or self.memory_bytes
        self._pump.look()
        if self._pump.is_cut_off and not self._is_embedded:
            self._end_cut_off()

    def _end_cut_off(self) -> None:
        """End a worker that will never hear of this hub again, as its code has closed the connection, but lives on.

        What runs may end first, on either lane; and so may a worker that is on its way out.
        """
        if self._ring.words[ring.WORD_RUNNING] or self._ring.words[ring.WORD_SIDES]:
            return
        self._seconds_cut_off += 1
        if self._seconds_cut_off > _CUT_OFF_S:
            self._why_ended = "its code had closed the connection to the hub"
            processes.kill(self._pid)

    # ------------------------------------------------------------------ the end

    def wait(self) -> processes.Ending:
        """Wait for its end, and until all that it had produced was delivered."""
        ending = self._child.wait()
        self.has_ended = True
        if not self._is_embedded:
            processes.end_group(self._pid)  # which it was the leader of
        self._pump.finish()
        return ending

    def close(self, ending: processes.Ending) -> events.WorkerDied:
        """Answer everybody who waits for it, and say how it ended."""
        self.link.close()
        stack = self._stacks.read_fault()
        self._stacks.close()
        # The ring is not closed: the hub may still have a position in it to give back.
        return events.WorkerDied(
            self._why_ended or Stacks.reason_of(stack) or ending.reason,
            time.time(),
            stack,
            self.memory_bytes,
            ending.peak_memory_bytes,
            exit_code=ending.exit_code,
        )


def _read_greeting(greeting: dict[str, Any], is_adopted: bool, program: str) -> events.WorkerStarted:
    return events.WorkerStarted(
        generation=int(greeting["generation"]),
        pid=int(greeting["pid"]),
        python=str(greeting["python"]),
        engine=str(greeting["engine"]),
        adopted=is_adopted,
        received=int(greeting["received"]),
        last_execution=int(greeting["last_execution"]),
        last_count=int(greeting["last_count"]),
        debugger=str(greeting.get("debugger", "")),
        rank=_read_rank(greeting.get("rank")),
        program=program,
        time=time.time(),
    )


def _read_rank(rank: list[int] | None) -> tuple[int, int] | None:
    return (int(rank[0]), int(rank[1])) if rank else None
