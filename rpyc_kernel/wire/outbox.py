"""What waits to be sent over one channel: in order, from any thread, interrupted at any point.

Whoever has a frame writes it at once where nothing is in its way, which saves a change of threads. Everything else is
left to a thread that can wait: what the socket does not take, and what arrives while something else is being written.

A user's thread can be interrupted by Ctrl-C after any call. So that this tears no frame, a transfer is described before
it begins, each write and the note of how much it wrote are one call into C, and whoever comes next goes on from that
note.

Producers wait while more than ``limit_bytes`` are queued; finalizers and who reads never do. Whether there is room is
asked before a frame is queued, so a producer that gives up has sent nothing, and the limit may be overshot by one frame
for each producer.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.errors import CallTimeout, ConnectionLost
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.system.originals import queue, threading
from rpyc_kernel.wire.channel import Channel

LIMIT_BYTES: Final = 16 * 1024 * 1024
_JOINED_BYTES: Final = 64 * 1024
_LINGER_S: Final = 0.005

Pulse = Callable[[], "float | None"]


def _no_pulse() -> None:
    """Lets every wait be as long as it takes."""


class Outbox:
    """Frames on their way out of a connection.

    Args:
        channel: Where to.
        bury: Deals with what a finalizer has left; returns small frames to send for that.
        on_blocked: Called when the socket does not take everything at once; has to see to a ``flush`` on another
            thread. Without it, ``run`` does that.
        limit_bytes: How much may be queued before producers wait.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        bury: Callable[[Any], list[bytes]] = lambda left: [],
        on_blocked: Callable[[], None] | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._channel = channel
        self._limit_bytes = limit_bytes
        self._frames: deque[bytes] = deque()
        self._transfer: _Transfer | None = None
        # The same thread can enter both again: the collector may run in there, and with it any finalizer.
        self._turn = threading.RLock()  # to write; never held while waiting
        self._count_lock = threading.RLock()
        self._is_flush_due = False
        self._queued_bytes = 0
        self._room = Latch()
        # A queue made in C, for finalizers may use it wherever they happen to run. True says that there are frames,
        # False that there will be no more, and anything else is what a finalizer left.
        self._bell: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._alarm: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_lingering = self._is_rung = False
        self._bury = bury
        self._on_blocked = on_blocked or self._ring
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        return self._queued_bytes > self._limit_bytes

    def wait_for_room(self, timeout_s: float | None = None) -> None:
        """Return when another frame may be queued.

        Raises:
            CallTimeout: The peer has not taken enough in this time.
            ConnectionLost: The outbox is closed.
        """
        while self.is_full and not self._is_closed:
            room = self._room
            if self._queued_bytes <= self._limit_bytes:  # asked again: it may have changed between these lines
                break
            if not room.wait(timeout_s):
                raise CallTimeout(f"the peer has taken too little of what was sent to it for {timeout_s} s")
        if self._is_closed:
            raise ConnectionLost("the connection is closed")

    def put(self, frame: bytes) -> None:
        """Send a frame, or leave it to ``run``; for users' threads. Never waits; ask for room first."""
        self._append(frame)
        if not self._write_alone():
            self._ring()

    def put_uncounted(self, frame: bytes) -> None:
        """Leave a small frame to ``run``, without a lock, from code that may have interrupted any other code."""
        self._frames.append(frame)
        self._ring()

    def send(self, frame: bytes) -> None:
        """Send a frame as far as the socket takes it, after what is queued already; for a connection's own threads."""
        with self._turn:
            if self._frames or self._transfer is not None:
                self._append(frame)
            else:  # as nearly always: it need not be queued
                self._transfer = _Transfer(self._channel.pack(frame))
        while self._has_work():
            with self._turn:
                if self._write_batch():
                    continue
                is_flush_due, self._is_flush_due = self._is_flush_due, True
            if not is_flush_due:
                self._on_blocked()
            return

    @property
    def stage(self) -> object:
        """What changes with every step of what is being written; None where nothing is."""
        transfer = self._transfer
        return None if transfer is None else (id(transfer), len(transfer.sent))

    def flush(self, pulse: Pulse = _no_pulse) -> None:
        """Write everything, for as long as the peer takes; asks ``pulse`` before each wait how long it may be.

        Raises:
            ConnectionLost: The connection ended.
        """
        while True:
            with self._turn:
                is_blocked = not self._write_batch()
                if not (is_blocked or self._has_work()):
                    self._is_flush_due = False
                    return
            if is_blocked:
                self._channel.wait_writable(pulse())

    def run(self, pulse: Pulse = _no_pulse) -> None:
        """Write what is left to it, until closed; asks ``pulse`` like ``flush``.

        Raises:
            ConnectionLost: The connection ended; who finds out why it did closes the outbox.
        """
        while (rung := self._hear(pulse)) is not False:
            if rung is not True:
                self._linger()
            self._is_rung = False
            self._bury_all(rung)
            self.flush(pulse)
        self.flush(pulse)

    @property
    def leave(self) -> Callable[[Any], None]:
        """What a finalizer calls, a function made in C, with what ``run`` is to deal with."""
        return self._bell.put

    def close(self) -> None:
        """Let ``run`` return after what is queued now, and refuse producers."""
        self._is_closed = True
        self._bell.put(False)
        self._alarm.put(True)
        self._room.set()

    def _ring(self) -> None:
        self._is_rung = True
        self._bell.put(True)
        if self._is_lingering:
            self._alarm.put(True)

    def _hear(self, pulse: Pulse) -> Any:
        while True:
            try:
                return self._bell.get(timeout=pulse())
            except queue.Empty:
                pass

    def _bury_all(self, left: Any) -> None:
        """Deal with this, and with what else has been left up to now."""
        while left is not False:
            if left is not True:
                self._frames.extend(self._bury(left))
            if self._bell.empty():  # nobody else takes anything out of it
                return
            left = self._bell.get()
        self._bell.put(False)

    def _linger(self) -> None:
        """Let finalizers leave some more: nobody waits for that, and each wake-up takes time from those who call.

        Whoever rings need not wait.
        """
        self._is_lingering = True  # then look: who rings does the two in the other order
        with contextlib.suppress(queue.Empty):
            if not (self._is_rung or self._is_closed):
                self._alarm.get(timeout=_LINGER_S)
        self._is_lingering = False
        while not self._alarm.empty():
            self._alarm.get()

    def _has_work(self) -> bool:
        return bool(self._frames) or self._transfer is not None

    # ---- writing, with the turn; nothing in here waits ----

    def _write_alone(self) -> bool:
        """Write the one frame there is, if nothing else is in progress; return whether that is done."""
        with self._turn:
            try:
                # An interrupt may have left it, or this is the handler of a signal that came in the middle of it.
                if self._transfer is not None and not self._advance(self._transfer):
                    return False
                if len(self._frames) != 1:
                    return False
                frame = self._frames[0]  # stays there until it is written
                self._transfer = transfer = _Transfer(self._channel.pack(frame), frame)
                return self._advance(transfer)
            except ConnectionLost:  # whoever flushes will hear of it
                return False

    def _write_batch(self) -> bool:
        """Go on with the transfer in progress or begin the next; return whether it is done."""
        transfer = self._transfer = self._transfer or self._take_batch()
        return transfer is None or self._advance(transfer)

    def _take_batch(self) -> _Transfer | None:
        if not self._frames:
            return None
        parts: list[bytes] = []
        size_bytes = 0
        while self._frames and size_bytes < _JOINED_BYTES:
            frame = self._frames.popleft()
            self._settle(len(frame))
            parts += self._channel.pack(frame)
            size_bytes += len(frame)
        return _Transfer(parts if size_bytes > _JOINED_BYTES else [b"".join(parts)])

    def _advance(self, transfer: _Transfer) -> bool:
        while (rest := transfer.rest()) is not None:
            steps = len(transfer.sent)
            self._channel.transmit(rest, transfer.sent)
            if len(transfer.sent) == steps:
                return False
        if transfer.frame is not None and self._frames and self._frames[0] is transfer.frame:
            self._frames.popleft()
            self._settle(len(transfer.frame))
        if self._transfer is transfer:
            self._transfer = None
        return True

    # ---- counting ----

    def _append(self, frame: bytes) -> None:
        with self._count_lock:
            queued_bytes = self._queued_bytes + len(frame)
            self._frames.append(frame)
            self._queued_bytes = queued_bytes

    def _settle(self, size_bytes: int) -> None:
        with self._count_lock:
            was_full = self._queued_bytes > self._limit_bytes
            # An empty queue is the moment to forget what finalizers and interrupted producers left miscounted.
            self._queued_bytes = max(0, self._queued_bytes - size_bytes) if self._frames else 0
        if was_full and not self.is_full and not self._is_closed:
            room, self._room = self._room, Latch()
            room.set()


class _Transfer:
    """Bytes of which ``sent`` says how many have left.

    Args:
        parts: The bytes.
        frame: The frame they are, if it is still the first in the queue.
    """

    __slots__ = ("frame", "parts", "sent")

    def __init__(self, parts: list[bytes], frame: bytes | None = None) -> None:
        self.parts = parts
        self.frame = frame
        self.sent: list[int] = []

    def rest(self) -> bytes | memoryview | None:
        """What is left of the first part that has not left completely."""
        if not self.sent:
            return self.parts[0]
        skipped = sum(self.sent)
        for part in self.parts:
            if skipped < len(part):
                return memoryview(part)[skipped:]
            skipped -= len(part)
        return None
