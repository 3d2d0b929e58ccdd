"""What one thread does one thing after the other, also while one of those things waits.

A job that waits for a reply runs the jobs that arrive meanwhile, on its own stack, as RPyC's nested calls need it.
Where there is no job, the thread itself reads what comes in, unless its standby does.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Final

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.system.originals import logging, queue, threading, time
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs.reading import Reading

_log = logging.getLogger(__name__)

LIMIT_BYTES: Final = 16 * 1024 * 1024
_CUT_BYTES: Final = 256 * 1024 * 1024
_LOOK_AGAIN_S: Final = 0.005
_LOOKS_WITHOUT_LIFE: Final = 100

Job = Callable[[], None]
Lost = Callable[[BaseException], None]
_Item = tuple["Job | None", int, bool, "Lost | None"]


class JobQueue:
    """Jobs and the thread that does them.

    The thread is the caller of ``run``. Everything else may be called from anywhere, but ``wait_for`` and
    ``wait_idly`` only by jobs, and ``put`` only where the thread is not reading: by what it reads itself, by jobs, or
    by whoever holds the baton.

    Args:
        channel: Where they come from.
        read: Waits for what comes in and puts the jobs that it leads to; see ``Reading``.
    """

    def __init__(self, channel: Channel, read: Callable[[], None]) -> None:
        self.reading: Final = Reading(channel, read, self._look)
        self._jobs: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lost: list[tuple[Lost | None, BaseException]] = []
        self._postponed: deque[Job] = deque()
        self._ident = -1
        self._waits = 0
        self._is_finished = False
        self._queued_bytes = 0
        self._counting = threading.Lock()  # never taken by user threads

    @property
    def is_in_job(self) -> bool:
        """Whether the caller is part of a job: on the thread that does them, and not while that reads."""
        return threading.get_ident() == self._ident and not self.reading.is_own_thread

    def put(self, job: Job, size_bytes: int = 0, *, nests: bool = True, lost: Lost | None = None) -> None:
        """Have the job done in its turn; its size counts for ``hold_back``.

        A job should not raise, but can where it finds too little of the stack left; then ``lost`` is called with that.

        A job that does not nest is left until no other waits: nothing can depend on it, and a thousand of them, each
        waiting a little, would be a thousand deep.
        """
        if size_bytes:
            with self._counting:
                self._queued_bytes += size_bytes
        self._jobs.put((job, size_bytes, nests, lost))

    def wake(self) -> None:
        """Have a waiting job look whether what it waits for has happened."""
        if self._waits:
            self._look()

    def finish(self) -> None:
        """Let ``run`` return. Only for jobs."""
        self._is_finished = True

    def run(self) -> None:
        """Do the jobs until one of them calls ``finish``."""
        self._ident = threading.get_ident()  # given to another thread once this one has ended, but then nobody waits
        while not self._is_finished:
            try:
                if self._postponed:
                    self._postponed.popleft()()
                else:
                    item = self._next(None)
                    try:
                        self._do(*item)
                    except BaseException as error:  # noqa: BLE001 - as in `wait_for`
                        self._lost = [*self._lost, (item[3], error)]
                    del item  # and with it what it refers to
                if self._lost:
                    self._tell_lost()
            except BaseException:  # noqa: BLE001 - the top of a thread
                self._lost = []
                _log.exception("a job raised")

    def wait_for(self, latch: Latch, timeout_s: float | None) -> None:
        """Inside a job: do other jobs until the latch is set or the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._waits += 1  # then look at the latch: whoever sets it does the two in the other order
        try:
            while not latch.is_set:
                try:
                    item = self._next(deadline)
                except queue.Empty:
                    return
                try:
                    self._do(*item)
                except BaseException as error:  # noqa: BLE001 - whatever it is, who waits for the job is to hear of it
                    self._lost = [*self._lost, (item[3], error)]  # no call: there may be no room for one
                del item
                if self._lost:
                    self._tell_lost()
        finally:
            self._waits -= 1

    def wait_idly(self, latch: Latch, timeout_s: float | None) -> None:
        """Inside a job: do nothing until the latch is set or the time is over, but see that somebody reads."""
        if timeout_s is not None or not self.reading.read_while(lambda: not latch.is_set):
            self.reading.summon()
        latch.wait(timeout_s)

    def hold_back(self, may_pause: Callable[[], bool], show_life: Callable[[], object]) -> None:
        """Wait while too much is queued and ``may_pause`` says that waiting cannot lead to a standstill.

        Meanwhile no question of the peer's is answered, so ``show_life`` is called now and then.

        Raises ``ConnectionLost`` when far too much is queued and it says otherwise.
        """
        for look in itertools.count(1):
            if self._queued_bytes <= LIMIT_BYTES or not may_pause():
                break
            time.sleep(_LOOK_AGAIN_S)
            if look % _LOOKS_WITHOUT_LIFE == 0:
                show_life()
        if self._queued_bytes > _CUT_BYTES:
            raise ConnectionLost(
                f"the peer has sent {self._queued_bytes} bytes of requests while this side waits for it"
            )

    def _tell_lost(self) -> None:
        """Tell whoever waits for jobs that raised; where the stack ends meanwhile, whoever waits further up goes on."""
        while self._lost:
            lost, error = self._lost[-1]
            if lost is None:
                _log.error("a job raised", exc_info=error)
            else:
                lost(error)
            self._lost.pop()

    def _next(self, deadline: float | None) -> _Item:
        """The next job, waited for; raises ``queue.Empty`` after the deadline.

        Where there is one, the standby reads, for reading cannot be broken off in the middle of a message.
        """
        if deadline is not None:
            self.reading.summon()
            return self._jobs.get(timeout=max(0.0, deadline - time.monotonic()))
        reading, is_idle = self.reading, not self._waits
        while self._jobs.empty() and not (reading.read_while(self._jobs.empty, idly=is_idle) or reading.ask()):
            pass
        return self._jobs.get()

    def _look(self) -> None:
        self._jobs.put((None, 0, True, None))

    def _do(self, job: Job | None, size_bytes: int, nests: bool, lost: Lost | None) -> None:
        if size_bytes:
            with self._counting:
                self._queued_bytes -= size_bytes
        if job is not None and (nests or not self._waits):
            job()
        elif job is not None:
            self._postponed.append(job)
