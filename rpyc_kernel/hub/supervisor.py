"""The life of workers: start one or take over the one an earlier hub left, watch it, and have its end told."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import MAX_NUMBER
from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.hub.embedding import EmbeddedProcess, EmbeddingProgram
from rpyc_kernel.hub.pump import BATCH_BYTES, Report, read_reports
from rpyc_kernel.hub.scheduler import Scheduler
from rpyc_kernel.hub.worker import Worker
from rpyc_kernel.hub.worker_link import WorkerLink
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import processes, ring
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_log = logging.getLogger(__name__)
_GREETING_S = 60.0
_TAKE_OVER_S = 10.0
_LEAVING_S = 2.0
"""How long a program may take to let go of its kernel; what it runs then is lost to its clients."""


class Supervisor:
    """Runs one worker at a time, each watched by a thread of its own.

    Args:
        folder: the kernel's runtime folder.
        hub_settings: which interpreter, where.
        worker_settings: handed to the worker.
        scheduler: ends a worker that does not leave by itself.
        spawned: told the process and the generation of a worker before it may live on without a hub.
        started: told when a worker is ready.
        died: told when one is gone and all its output was delivered.
        deliver: takes its output.
        running: tells which execution holds the main lane.
        spare: a process that was started already, for the first generation.

    Attributes:
        worker: the one that can be asked, None while there is none.
        program: what the kernel is embedded in, None if it is not.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        hub_settings: HubSettings,
        worker_settings: WorkerSettings,
        scheduler: Scheduler,
        *,
        spawned: Callable[[int, int], None],
        started: Callable[[events.WorkerStarted], None],
        died: Callable[[events.WorkerDied], None],
        deliver: Callable[[list[Report], int, ring.RingReader, int], None],
        running: Callable[[], int | None],
        spare: WorkerProcess | EmbeddedProcess | None = None,
    ) -> None:
        self._folder = folder
        self._hub_settings = hub_settings
        self._worker_settings = worker_settings
        self._scheduler = scheduler
        self._spawned = spawned
        self._started = started
        self._died = died
        self._deliver = deliver
        self._running = running
        self._spare = spare
        self.program = spare.child if isinstance(spare, EmbeddedProcess) else None
        self._pid: int | None = None  # from its start to its end, also while it cannot be asked
        self.worker: Worker | None = None
        self._is_up = threading.Event()
        self._thread: threading.Thread | None = None

    def wait_for_worker(self, timeout_s: float) -> bool:
        """Wait until there is a worker that can be asked; whether there is."""
        return self._is_up.wait(timeout_s)

    # ------------------------------------------------------------------ an earlier hub's worker

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
        process = processes.AdoptedProcess(int(link.greeting["pid"]))
        try:
            worker = self._take(process, link, ring_position(int(link.greeting["generation"])), is_adopted=True)
        except (OSError, ValueError) as error:
            link.abandon()
            raise WorkerBusy(f"the worker of the hub before lives, but its ring cannot be read: {error}") from None
        return worker.started

    def watch(self) -> None:
        """Begin to read and watch the worker that was taken over."""
        worker = self.worker
        assert worker is not None
        worker.read_output()
        self._begin(worker.started.generation, lambda: self._see_out(worker))

    def read_noted(self, generation: int) -> tuple[int, int]:
        """The numbers that the hub before has noted with its last worker: of an event, and of an execution.

        One that no hub can have given out was written by user code, which shares the map.
        """
        if self.worker is not None:  # by its descriptor: the folder may have vanished
            noted = self.worker.noted_numbers
        else:
            try:
                words = ring.look(self._folder.ring(generation))
            except (OSError, ValueError):
                return 0, 0
            noted = words[ring.WORD_EVENT], words[ring.WORD_EXECUTION]
        return noted if max(noted) < MAX_NUMBER else (0, 0)

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

    # ------------------------------------------------------------------ one generation

    def start(self, generation: int) -> None:
        """Start a worker in the background."""
        self._begin(generation, lambda: self._live(generation))

    def _begin(self, generation: int, live: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=live, name=f"worker-{generation}", daemon=True)
        self._thread.start()

    def _live(self, generation: int) -> None:
        """One worker's life, from start to end."""
        try:
            process, link = self._spawn(generation)
        except Exception as error:  # noqa: BLE001 - the top of a thread: everybody must hear that there is no worker
            _log.error("a worker cannot be started: %s", error)
            self._pid = None
            self._died(events.WorkerDied(f"it could not be started: {error}", time.time()))
            return
        worker = self._take(process, link, 0)
        worker.read_output()
        self._started(worker.started)
        self._see_out(worker)

    def _spawn(self, generation: int) -> tuple[processes.Child | EmbeddingProgram, WorkerLink]:
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

    def _take(
        self,
        process: processes.Child | processes.AdoptedProcess | EmbeddingProgram,
        link: WorkerLink,
        position: int,
        *,
        is_adopted: bool = False,
    ) -> Worker:
        """Make of a process that has greeted the worker that everybody asks."""
        self.worker = Worker(
            self._folder,
            process,
            link,
            position,
            running=self._running,
            deliver=self._deliver,
            is_adopted=is_adopted,
        )
        self._pid = process.pid
        self._is_up.set()
        return self.worker

    def _see_out(self, worker: Worker) -> None:
        ending = worker.wait()
        self._is_up.clear()
        self.worker = self._pid = None
        self._died(worker.close(ending))

    def kill(self, *, is_idle: bool) -> None:
        """End the worker: an idle one may run its ``atexit`` functions for a while, a busy one gets SIGTERM first."""
        pid, worker = self._pid, self.worker
        if pid is None:
            return
        if self.program is not None:
            if worker is not None:
                worker.link.notify("leave")
            self._scheduler.after(_LEAVING_S, self.program.has_left.set)
            return
        if is_idle and worker is not None:
            worker.link.notify("leave")
            patience_s = 2.0
        else:
            processes.kill(pid, signal.SIGTERM)
            patience_s = 0.5
        self._scheduler.after(patience_s, lambda: self._kill_if_still(pid))

    def _kill_if_still(self, pid: int) -> None:
        worker = self.worker
        if self._pid == pid and not (worker is not None and worker.has_ended):
            processes.kill(pid)

    def join(self) -> None:
        """Wait for the thread of the last worker."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
