"""The ring: what a worker produces, in memory that outlives it, for one hub to read.

One file, mapped by both sides. The first page is a table of 8-byte words, the rest holds frames:

    header page │ frame │ frame │ … │ pad │          position = bytes ever written; offset = position mod capacity
    frame = check (4) │ kind and length (4) │ execution (8) │ data │ filling up to a multiple of 16

The producer writes a frame, then publishes it by moving `HEAD`; the consumer moves `TAIL` once what it read is safe
elsewhere. A producer that dies leaves everything before `HEAD`. A consumer that dies left its position where it
stored the data.

Why there is a check in each frame: CPython gives no memory barriers. Where the hardware lets the new `HEAD` be seen
before the data (ARM does), the check fails and the consumer looks again. It also finds user code that scribbled over
the map.

Who wakes whom: the consumer says in `READER` whether it is awake, lingers (wants to hear of urgent frames only) or
sleeps; the producer calls `bell` if needed. Both sides pass through a lock between their store and their load, which
is the barrier that keeps each from missing the other.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import adler32

from rpyc_kernel.system.originals import threading, time

HEADER_BYTES = 4096
FRAME_HEADER = Struct("=IIQ")
_ALIGN = FRAME_HEADER.size
_ROUND_UP = 2 * _ALIGN - 1
_pack_into = FRAME_HEADER.pack_into
_KIND_BITS = 4
_KIND_MASK = (1 << _KIND_BITS) - 1

MAGIC = 0x52504B52494E4731
WORD_MAGIC, WORD_CAPACITY, WORD_HEAD, WORD_TAIL, WORD_READER, WORD_INTERRUPT = range(6)
# Beside the ring, what hub and worker tell each other without waiting: whether an interrupt passes over handlers of
# user code; what runs; how many children of the worker were there before, and their process numbers behind it. The last
# words: the highest numbers of an event and of an execution that the hub has given out and cannot write down, for the
# next one; how many side lanes run.
WORDS = HEADER_BYTES // 8
WORD_FORCE, WORD_RUNNING, WORD_SPARED = range(6, 9)
WORD_EVENT, WORD_EXECUTION, WORD_SIDES = range(WORDS - 3, WORDS)
MAX_SPARED = WORD_EVENT - WORD_SPARED - 1

AWAKE, LINGERING, ASLEEP = range(3)
PAD, STDOUT, STDERR, RECORD, SPILLED = range(5)
_LOOK_AGAIN_S = 0.2
_SALT = 0x52504B31
"""Keeps the check of nothing but zeros from fitting: memory that was cleared is damaged, and no empty frame.

Of what a check begins with, its lowest 32 bits count.
"""
MAX_JOINED_BYTES = 128 * 1024


class RingDamaged(Exception):
    """A frame's check does not fit: something wrote over the ring. `position` is where reading can go on."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the output ring is damaged before byte {position}")
        self.position = position


class Frame(NamedTuple):
    """One frame as the consumer gets it; execution 0 means none."""

    kind: int
    execution: int
    data: bytes


def create(path: Path, capacity: int) -> None:
    """Make an empty ring file of ``capacity`` bytes (a multiple of the page size), with its room reserved.

    Raises:
        OSError: there is no room for it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _reserve(fd, HEADER_BYTES + capacity)
        with mmap.mmap(fd, HEADER_BYTES) as page:
            words = memoryview(page).cast("Q")
            words[WORD_CAPACITY] = capacity
            words[WORD_MAGIC] = MAGIC
            words.release()
    finally:
        os.close(fd)


def look(path: Path) -> list[int]:
    """The words of a ring that nobody reads any more.

    Raises:
        OSError: it is not there.
        ValueError: it is no ring.
    """
    mapping = _Mapping(path)
    try:
        return mapping.words.tolist()
    finally:
        mapping.close()


def _reserve(fd: int, size: int) -> None:
    """Allocate the blocks now: a write to a mapped hole on a full disk would kill the worker with SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:  # macOS
        for offset in range(0, size, 1 << 20):
            os.pwrite(fd, bytes(min(1 << 20, size - offset)), offset)


class _Mapping:
    """The file, mapped."""

    def __init__(self, file: Path | int) -> None:
        fd = os.dup(file) if isinstance(file, int) else os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.memory = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        words = memoryview(self.memory)[:HEADER_BYTES]
        if len(words) == HEADER_BYTES:
            self.words = words.cast("Q")
            self.capacity = self.words[WORD_CAPACITY]
            if self.words[WORD_MAGIC] == MAGIC and len(self.memory) == HEADER_BYTES + self.capacity:
                return
        raise ValueError("it is not an output ring, or is cut short")

    def close(self) -> None:
        self.words.release()
        self.memory.close()


class RingWriter:
    """The worker's end. Any thread may `put`; a full ring makes it wait, which is the back-pressure on user code.

    Args:
        path: the ring file.
        bell: wakes the consumer; must not block or raise.
        check_interrupt: called while waiting for room; may raise to give up the frame.
    """

    def __init__(self, path: Path, bell: Callable[[], None], check_interrupt: Callable[[], None]) -> None:
        self._mapping = _Mapping(path)
        self.words = self._mapping.words
        self._memory = self._mapping.memory
        self._capacity = self._mapping.capacity
        self.max_data_bytes = self._capacity // 8
        self._head: int = self.words[WORD_HEAD]
        self._free_until = self.words[WORD_TAIL] + self._capacity
        # Re-entrant, because a finalizer or a signal handler that prints can run in the middle of `put`;
        # such a frame is put aside and follows the one that is being written.
        self._lock = threading.RLock()
        self._is_writing = False
        self._deferred: list[tuple[int, int, bytes]] = []
        self._bell = bell
        self._check_interrupt = check_interrupt

    def put(self, kind: int, execution: int, data: bytes, may_interrupt: bool = True) -> None:
        """Append one frame of at most `max_data_bytes`, and wake the consumer if it sleeps."""
        # `with`, though `acquire` and `release` would cost half: between `acquire` and a `try` an exception that was
        # raised from another thread, as it is to interrupt a side lane, would leave the ring locked for ever.
        with self._lock:
            if self._is_writing:
                self._deferred.append((kind, execution, data))
                return
            try:
                self._is_writing = True
                length = len(data)
                size = (length + _ROUND_UP) & -_ALIGN
                head = self._head
                if head + size > self._free_until or head % self._capacity + size > self._capacity:
                    head = self._make_room(size, may_interrupt)
                word = length << _KIND_BITS | kind
                start = HEADER_BYTES + head % self._capacity
                _pack_into(self._memory, start, adler32(data, word + execution + _SALT), word, execution)
                start += _ALIGN
                self._memory[start : start + length] = data
                self._head = self.words[WORD_HEAD] = head + size
            finally:
                self._is_writing = False
        reader = self.words[WORD_READER]
        if reader and (reader == ASLEEP or kind >= RECORD):
            self._bell()
        if self._deferred:
            self._put_deferred()

    def _put_deferred(self) -> None:
        with self._lock:
            waiting, self._deferred = self._deferred, []
        for kind, execution, data in waiting:
            # An interrupt here would take the rest of them along.
            self.put(kind, execution, data, may_interrupt=False)

    def _make_room(self, size: int, may_interrupt: bool) -> int:
        """Wait until ``size`` bytes fit without wrapping, and return the position to write at."""
        head = self._head
        rest = self._capacity - head % self._capacity
        pad = rest if rest < size else 0
        pause_s = 0.0001
        while head + pad + size > self.words[WORD_TAIL] + self._capacity:
            if self.words[WORD_READER]:
                self._bell()
            if may_interrupt:
                self._check_interrupt()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.005)
        self._free_until = self.words[WORD_TAIL] + self._capacity
        if pad:
            word = (pad - _ALIGN) << _KIND_BITS | PAD
            start = HEADER_BYTES + head % self._capacity
            check = adler32(self._memory[start + _ALIGN : start + pad], word + _SALT)
            FRAME_HEADER.pack_into(self._memory, start, check, word, 0)
            head += pad
        return head

    def close(self) -> None:
        """Unmap the file."""
        self._mapping.close()


class RingReader:
    """The hub's end: read from a position, then say up to where everything is safe.

    Args:
        file: the ring file, or a descriptor of it that the caller closes: the folder may have lost the file.
        position: where to read on.
    """

    def __init__(self, file: Path | int, position: int | None = None) -> None:
        self._mapping = _Mapping(file)
        self.words = self._mapping.words
        self._lock = threading.Lock()
        # What is before the tail was given back to the producer, who may have written over it.
        self.position: int = max(position or 0, self.words[WORD_TAIL])
        self.words[WORD_TAIL] = self._released = self.position
        self._is_head_sound = True

    @property
    def has_frames(self) -> bool:
        """Whether there is something to read."""
        return 0 < self.words[WORD_HEAD] - self.position <= self._mapping.capacity

    @property
    def backlog_bytes(self) -> int:
        """How much is there to read."""
        return int(self.words[WORD_HEAD] - self.position)

    def read(self, max_bytes: int) -> list[Frame]:
        """Take about ``max_bytes`` and move `position` behind them; [] when there is nothing.

        Neighbouring frames of one stream and one execution come joined, up to `MAX_JOINED_BYTES`.

        Raises:
            RingDamaged: a frame does not fit its check, even on a second look.
        """
        memory, capacity, unpack = self._mapping.memory, self._mapping.capacity, FRAME_HEADER.unpack_from
        position = self.position
        head = self.words[WORD_HEAD]
        if not position <= head <= position + capacity:
            return self._wait_for_head()
        self._is_head_sound = True
        end = min(head, position + max_bytes)
        frames: list[Frame] = []
        pieces: list[bytes] = []
        joined = 0
        last_kind, last_execution = PAD, -1
        lap_end = -1
        while position < end:
            if position >= lap_end:  # no frame is in two laps
                first = HEADER_BYTES - (position - position % capacity)
                lap_end = position - position % capacity + capacity
            start = first + position
            check, word, execution = unpack(memory, start)
            start += _ALIGN
            data = memory[start : start + (word >> _KIND_BITS)]
            if adler32(data, word + execution + _SALT) != check:
                again = self._look_again(start - _ALIGN) if not frames and not pieces else None
                if again is None:
                    break  # what came before it is delivered first
                word, execution, data = again
            position += (len(data) + _ROUND_UP) & -_ALIGN
            kind = word & _KIND_MASK
            if kind != last_kind or execution != last_execution or joined > MAX_JOINED_BYTES or kind >= RECORD:
                if pieces:
                    frames.append(_join(last_kind, last_execution, pieces))
                    pieces, joined = [], 0
                last_kind, last_execution = kind, execution
                if kind == PAD:
                    continue
            pieces.append(data)
            joined += len(data)
        if pieces:
            frames.append(_join(last_kind, last_execution, pieces))
        self.position = position
        return frames

    def _wait_for_head(self) -> list[Frame]:
        """Say once that the header was written over. The producer's next frame mends it, and nothing is lost."""
        if self._is_head_sound:
            self._is_head_sound = False
            raise RingDamaged(self.position)
        return []

    def _look_again(self, start: int) -> tuple[int, int, bytes]:
        """Read a frame whose check failed until it fits; returns its word, execution and data."""
        memory = self._mapping.memory
        deadline = time.monotonic() + _LOOK_AGAIN_S
        while time.monotonic() < deadline:
            with self._lock:
                check, word, execution = FRAME_HEADER.unpack_from(memory, start)
            data = memory[start + _ALIGN : start + _ALIGN + (word >> _KIND_BITS)]
            if adler32(data, word + execution + _SALT) == check:
                return word, execution, data
        self.position = self.words[WORD_HEAD]
        raise RingDamaged(self.position)

    @property
    def released(self) -> int:
        """Before which position everything was given back."""
        return int(self.words[WORD_TAIL])

    def release(self, position: int) -> None:
        """Give everything before ``position`` back to the producer; after `close` there is none that waits for it."""
        with contextlib.suppress(ValueError):
            self.words[WORD_TAIL] = self._released = position

    def announce(self, state: int) -> bool:
        """Say how awake the consumer is; False when frames came meanwhile, so that it must not sleep."""
        self.words[WORD_READER] = state
        self.words[WORD_TAIL] = self._released  # should it have been written over, the producer might wait for ever
        with self._lock:  # the barrier between telling and looking
            pass
        return state == AWAKE or not self.has_frames

    def close(self) -> None:
        """Unmap the file."""
        self._mapping.close()


def _join(kind: int, execution: int, pieces: list[bytes]) -> Frame:
    return Frame(kind, execution, b"".join(pieces) if len(pieces) > 1 else pieces[0])
