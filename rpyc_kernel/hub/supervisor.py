"""The life of workers: start one or take over the one an earlier hub left, watch it, say how it ended."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import RunCode
from rpyc_kernel.core.contract import MAX_NUMBER, Force, Lane
from rpyc_kernel.core.source import describe_source
from rpyc_kernel.errors import KernelDied, WorkerBusy
from rpyc_kernel.hub.pump import BATCH_BYTES, Pump, Report, read_reports
from rpyc_kernel.hub.worker_link import WorkerLink
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import processes, ring
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.stacks import Stacks

_log = logging.getLogger(__name__)
_GREETING_S = 60.0
_TAKE_OVER_S = 10.0
_CUT_OFF_S = 2
_NO_WORKER = "there is no worker at the moment; wait for it, or restart the kernel"


class Supervisor:
    """Runs one worker at a time, each watched by a thread of its own.

    Args:
        folder: the kernel's runtime folder.
        hub_settings: which interpreter, where.
        worker_settings: handed to the worker.
        spawned: told the process and the generation of a worker before it may live on without a hub.
        started: told when a worker is ready.
        died: told when one is gone and all its output was delivered.
        deliver: takes its output.
        running: tells which execution holds the main lane.
        tick: called about once a second while there is a worker.
        spare: a process that was started already, for the first generation.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        hub_settings: HubSettings,
        worker_settings: WorkerSettings,
        *,
        spawned: Callable[[int, int], None],
        started: Callable[[events.WorkerStarted], None],
        died: Callable[[events.WorkerDied], None],
        deliver: Callable[[list[Report], int, ring.RingReader, int], None],
        running: Callable[[], int | None],
        tick: Callable[[], None],
        spare: WorkerProcess | None = None,
    ) -> None:
        self._spare = spare
        self._folder = folder
        self._hub_settings = hub_settings
        self._worker_settings = worker_settings
        self._spawned = spawned
        self._started = started
        self._died = died
        self._deliver = deliver
        self._running = running
        self._tick = tick
        self._lock = threading.Lock()
        self._link: WorkerLink | None = None
        self._is_up = threading.Event()
        self._ring: ring.RingReader | None = None
        self._stacks: Stacks | None = None
        self._pid: int | None = None
        self._generation = 0
        self._memory_bytes: int | None = None
        self._seconds_cut_off = 0
        self._why_ended = ""
        self._told: dict[int, str] = {}
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process, None while there is none."""
        return self._pid

    @property
    def memory_bytes(self) -> int | None:
        """What the worker held about a second ago; None if the system does not tell."""
        return self._memory_bytes

    def wait_for_worker(self, timeout_s: float) -> bool:
        """Wait until there is a worker that can be asked; whether there is."""
        return self._is_up.wait(timeout_s)

    # ------------------------------------------------------------------ beginning

    def start(self, generation: int) -> None:
        """Start a worker in the background."""
        self._seconds_cut_off, self._why_ended = 0, ""
        self._generation = generation
        self._thread = threading.Thread(target=self._live, args=(generation,), name=f"worker-{generation}", daemon=True)
        self._thread.start()

    def adopt(self, ring_position: Callable[[int], int]) -> events.WorkerStarted | None:
        """Take over the worker of an earlier hub, if one lives; `watch` must follow.

        Args:
            ring_position: where to read on in the ring of a generation.

        Raises:
            WorkerBusy: it lives, and does not answer or cannot be heard; a second one would be another kernel.
            VersionMismatch: it is of another release.
        """
        if self._spare is not None or not self._folder.worker_socket.exists():
            return None
        try:
            link = WorkerLink(self._folder.worker_socket, timeout_s=_TAKE_OVER_S)
        except TimeoutError:
            raise WorkerBusy("the worker of the hub before lives, but does not answer") from None
        except OSError as error:
            _log.info("no worker to take over: %s", error)
            return None
        greeting = link.greeting
        generation = int(greeting["generation"])
        self._generation = generation
        self._pid = int(greeting["pid"])
        try:
            self._take_files(link, ring_position(generation))
        except (OSError, ValueError) as error:
            link.abandon()
            raise WorkerBusy(f"the worker of the hub before lives, but its ring cannot be read: {error}") from None
        self._link = link
        self._is_up.set()
        return _started(greeting, adopted=True)

    def _take_files(self, link: WorkerLink, position: int) -> None:
        """Take the worker's ring and stacks, by the descriptors it sent: their names may be gone."""
        assert self._pid is not None
        self._ring = ring.RingReader(link.ring_descriptor, position)
        os.close(link.ring_descriptor)
        self._stacks = Stacks(self._pid, link.stacks_descriptor)

    def note_numbers(self, event: int, execution: int) -> None:
        """Keep for the next hub which numbers were given out; this one cannot write them down."""
        reader = self._ring
        if reader is not None:
            reader.words[ring.WORD_EVENT], reader.words[ring.WORD_EXECUTION] = event, execution

    def read_noted(self, generation: int) -> tuple[int, int]:
        """The numbers that the hub before has noted with its last worker: of an event, and of an execution.

        One that no hub can have given out was written by user code, which shares the map.
        """
        try:  # of a worker that lives by its descriptor: the folder may have vanished
            words = ring.look(self._folder.ring(generation)) if self._ring is None else self._ring.words
        except (OSError, ValueError):
            return 0, 0
        event, execution = words[ring.WORD_EVENT], words[ring.WORD_EXECUTION]
        return (event, execution) if max(event, execution) < MAX_NUMBER else (0, 0)

    def salvage(self, generation: int, position: int) -> None:
        """Deliver what a worker that died without a hub had produced."""
        path = self._folder.ring(generation)
        if not path.exists():
            return
        try:
            reader = ring.RingReader(path, position)
        except (OSError, ValueError) as error:
            _log.error("the output of generation %d cannot be salvaged: %s", generation, error)
            return
        try:
            while frames := reader.read(BATCH_BYTES):
                self._deliver(read_reports(frames, self._folder, generation), reader.position, reader, generation)
        except ring.RingDamaged as damage:
            _log.error("%s", damage)
        finally:
            reader.close()

    def watch(self) -> None:
        """Begin to read and watch the worker that was taken over."""
        assert self._link is not None
        assert self._ring is not None
        assert self._pid is not None
        child = processes.AdoptedProcess(self._pid)
        pump = self._pump(self._link, self._ring, self._generation)
        pump.start()
        self._thread = threading.Thread(
            target=self._see_out, args=(child, pump), name=f"worker-{self._generation}", daemon=True
        )
        self._thread.start()

    def _live(self, generation: int) -> None:
        """One worker's life, from start to end."""
        try:
            child, link = self._spawn(generation)
        except Exception as error:  # noqa: BLE001 - the top of a thread: everybody must hear that there is no worker
            _log.error("a worker cannot be started: %s", error)
            self._pid = None
            self._died(events.WorkerDied(f"it could not be started: {error}", time.time()))
            return
        started = _started(link.greeting, adopted=False)
        self._take_files(link, 0)
        assert self._ring is not None
        pump = self._pump(link, self._ring, generation)
        with self._lock:
            self._link = link
        self._is_up.set()
        pump.start()
        self._started(started)
        self._see_out(child, pump)

    def _spawn(self, generation: int) -> tuple[processes.Child, WorkerLink]:
        folder = self._folder
        folder.settle()
        for path in folder.worker_files():  # of earlier generations, whose output is in the journal by now
            path.unlink(missing_ok=True)
        ring.create(folder.ring(generation), self._worker_settings.ring_bytes)
        process, self._spare = self._spare, None
        process = process or WorkerProcess(folder, self._hub_settings, self._worker_settings)
        self._pid = process.child.pid
        # Until it is told its generation, a worker ends with its hub. From then on others must know of it.
        self._spawned(self._pid, generation)
        process.tell(generation)
        try:
            link = WorkerLink(folder.worker_socket, timeout_s=_GREETING_S)
        except Exception as error:
            raise OSError(f"{error}; it {process.give_up()}") from error
        process.close()
        return process.child, link

    def _pump(self, link: WorkerLink, reader: ring.RingReader, generation: int) -> Pump:
        return Pump(
            self._folder,
            generation,
            reader,
            link.run_socket,
            link.output_descriptors,
            running=self._running,
            deliver=lambda reports, position: self._deliver(reports, position, reader, generation),
            damaged=lambda: link.notify("tell_unfinished"),
            tick=self._each_second,
        )

    def _each_second(self, is_cut_off: bool) -> None:
        if self._pid is not None:
            self._memory_bytes = processes.memory_bytes(self._pid) or self._memory_bytes
        if is_cut_off:
            self._end_cut_off()
        self._tick()

    def _end_cut_off(self) -> None:
        """End a worker that will never hear of this hub again, as its code has closed the connection, but lives on.

        What runs may end first, on either lane; and so may a worker that is on its way out.
        """
        reader, pid = self._ring, self._pid
        if reader is None or pid is None or reader.words[ring.WORD_RUNNING] or reader.words[ring.WORD_SIDES]:
            return
        self._seconds_cut_off += 1
        if self._seconds_cut_off > _CUT_OFF_S:
            self._why_ended = "its code had closed the connection to the hub"
            processes.kill(pid)

    # ------------------------------------------------------------------ the end

    def _see_out(self, child: processes.Child | processes.AdoptedProcess, pump: Pump) -> None:
        ending = child.wait()
        processes.end_group(child.pid)  # which the worker was the leader of
        pump.finish()
        with self._lock:
            self._is_up.clear()
            link, self._link = self._link, None
            self._ring = None  # not closed: the hub may still have a position in it to give back
            stacks, self._stacks = self._stacks, None
            self._pid = None
        if link is not None:
            link.close()
        stack = ""
        if stacks is not None:
            stack = stacks.read_fault()
            stacks.close()
        memory, self._memory_bytes = self._memory_bytes, None
        self._died(
            events.WorkerDied(
                self._why_ended or Stacks.reason_of(stack) or ending.reason,
                time.time(),
                stack,
                memory,
                ending.peak_memory_bytes,
                exit_code=ending.exit_code,
            )
        )

    def join(self) -> None:
        """Wait for the thread of the last worker."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    # ------------------------------------------------------------------ what a worker is asked

    def run(self, work: RunCode) -> None:
        """Hand over an execution."""
        link = self._link
        if link is None:
            return
        source = describe_source(work.source)
        if work.lane == Lane.SIDE:
            link.notify("run_side", work.execution, work.code, work.call, source, work.settled, work.count)
        else:
            link.run(work.execution, work.code, work.call, source, work.count)

    def interrupt(self, execution: int, lane: str, force: str) -> None:
        """Send a signal marked for one execution, and SIGINT to what it has started and waits for.

        Side lanes get an exception instead, having no signals.
        """
        link, reader, pid = self._link, self._ring, self._pid
        if link is None or reader is None or pid is None:
            return
        if lane == Lane.SIDE:
            link.notify("interrupt_side", execution)
        else:
            children = _foreground(reader, pid, execution)  # before the worker starts others in answer to it
            self._told = {child: processes.program_of(child) for child in children}
            reader.words[ring.WORD_FORCE] = force == Force.EXCEPTION
            reader.words[ring.WORD_INTERRUPT] = execution
            if not processes.would_end(pid, processes.INTERRUPT_SIGNAL):
                processes.kill(pid, processes.INTERRUPT_SIGNAL)
            for child in children:
                processes.kill(child, signal.SIGINT)

    def nudge(self, execution: int) -> None:
        """End what the worker waits for, if it has not noticed the interrupt of this execution.

        That may be a child which it was just about to start. One that was told already is not told again, unless it
        has begun another program since: what a shell gets between its fork and its exec is lost.
        """
        reader, pid = self._ring, self._pid
        if reader is not None and pid is not None and reader.words[ring.WORD_INTERRUPT] == execution:
            processes.kill(pid, processes.NUDGE_SIGNAL)
            for child in _foreground(reader, pid, execution):
                if self._told.get(child) != processes.program_of(child):
                    processes.kill(child, signal.SIGINT)

    def notify(self, method: str, *arguments: Any) -> None:
        """Tell the worker something, if there is one."""
        link = self._link
        if link is not None:
            link.notify(method, *arguments)

    def hand_over(self, channel: str, sock: socket.socket) -> None:
        """Have the worker serve a client; the caller closes its own socket.

        Raises:
            KernelDied: there is no worker.
            WorkerBusy: it takes none.
            OSError: there are no descriptors left.
        """
        link = self._link
        if link is None:
            raise KernelDied(_NO_WORKER)
        link.hand_over(channel, sock)

    def request(self, method: str, *arguments: Any) -> Future[Any]:
        """Ask the worker's control thread."""
        link = self._link
        if link is not None:
            return link.request(method, *arguments)
        future: Future[Any] = Future()
        future.set_exception(KernelDied(_NO_WORKER))
        return future

    def ask_stack(self, timeout_s: float) -> Future[str]:
        """Every thread's stack, also while a C call holds the interpreter lock; `WorkerBusy` when none came in time."""
        stacks = self._stacks
        if stacks is not None:
            return stacks.ask(timeout_s)
        future: Future[str] = Future()
        future.set_exception(WorkerBusy("there is no worker at the moment, or it is starting; ask again when it is up"))
        return future

    def kill(self, is_idle: bool) -> None:
        """End the worker: an idle one may run its ``atexit`` functions for a while, a busy one gets SIGTERM first."""
        pid, link = self._pid, self._link
        if pid is None:
            return
        if is_idle and link is not None:
            link.notify("leave")
            patience_s = 2.0
        else:
            processes.kill(pid, signal.SIGTERM)
            patience_s = 0.5
        timer = threading.Timer(patience_s, lambda: self._kill_if_still(pid))
        timer.daemon = True
        timer.start()

    def _kill_if_still(self, pid: int) -> None:
        with self._lock:
            if self._pid == pid:
                processes.kill(pid)


def _foreground(reader: ring.RingReader, pid: int, execution: int) -> list[int]:
    """The children of the worker that belong to an execution; none if it does not run all the while they are sought."""
    words = reader.words
    if words[ring.WORD_RUNNING] != execution:
        return []
    first = ring.WORD_SPARED + 1
    spared = set(words[first : first + min(words[ring.WORD_SPARED], ring.MAX_SPARED)])
    children = processes.foreground_of(pid, spared)
    return children if words[ring.WORD_RUNNING] == execution else []


def _started(greeting: dict[str, Any], adopted: bool) -> events.WorkerStarted:
    return events.WorkerStarted(
        generation=int(greeting["generation"]),
        pid=int(greeting["pid"]),
        python=str(greeting["python"]),
        engine=str(greeting["engine"]),
        adopted=adopted,
        received=int(greeting["received"]),
        last_execution=int(greeting["last_execution"]),
        last_count=int(greeting["last_count"]),
        debugger=str(greeting.get("debugger", "")),
        time=time.time(),
    )
