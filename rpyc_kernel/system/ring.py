"""The ring: what a worker produces, in memory that outlives it, for one hub to read.

One file, mapped by both sides. The first page is a table of 8-byte words, the rest holds frames:

    header page │ frame │ frame │ … │ pad │          position = bytes ever written; offset = position mod capacity
    frame = kind, length and check (8) │ execution (8) │ data │ filling up to a multiple of 16

The producer writes a frame, then publishes it by moving `HEAD` to where it begins. This newest frame grows while what
comes belongs to the same stream and execution: more data is written behind it, then its first word by one store. So at
no moment does the death of the producer take away what was published. The consumer takes what is new in a frame. Once
that is safe elsewhere, it says so in `SAFE`, and gives room back by `TAIL`: up to where the frame begins, as its first
words are needed to read on in it. A consumer that dies left its position where it stored the data.

Why there is a check in each frame: CPython gives no memory barriers. Where the hardware lets the new `HEAD` or length
be seen before the data (ARM does), the check fails and the consumer looks again. It also finds user code that scribbled
over the map.

Who wakes whom: the consumer says in `READER` whether it is awake, lingers (wants to hear of urgent frames only) or
sleeps; the producer calls `bell` if needed. Both sides pass through a lock between their store and their load, which
is the barrier that keeps each from missing the other.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import adler32

from rpyc_kernel.system.originals import threading, time

HEADER_BYTES = 4096
_WORD_BYTES = 8
_ALIGN = 2 * _WORD_BYTES
_KIND_BITS = 4
_KIND_MASK = (1 << _KIND_BITS) - 1
_CHECK_BITS = 32
_LENGTH_MASK = (1 << _CHECK_BITS) - 1
"""Of a first word: the length with the two words in front, and the kind below it."""

MAGIC = 0x52504B52494E4732
WORD_MAGIC, WORD_CAPACITY, WORD_HEAD, WORD_TAIL, WORD_SAFE, WORD_READER, WORD_INTERRUPT = range(7)
# Beside the ring, what hub and worker tell each other without waiting: whether an interrupt passes over handlers of
# user code; what runs; how many children of the worker were there before, and their process numbers behind it. The last
# words: the highest numbers of an event and of an execution that the hub has given out and cannot write down, for the
# next one; how many side lanes run.
WORDS = HEADER_BYTES // 8
WORD_FORCE, WORD_RUNNING, WORD_SPARED = range(7, 10)
WORD_EVENT, WORD_EXECUTION, WORD_SIDES = range(WORDS - 3, WORDS)
MAX_SPARED = WORD_EVENT - WORD_SPARED - 1

AWAKE, LINGERING, ASLEEP = range(3)
PAD, STDOUT, STDERR, RECORD, SPILLED = range(5)
_LOOK_AGAIN_S = 0.2
_SALT = 0x52504B31
"""Keeps the check of nothing but zeros from fitting: memory that was cleared is damaged, and no empty frame.

Of what a check begins with, its lowest 32 bits count.
"""
MAX_GROWN_BYTES = 128 * 1024
"""The most data of a frame that grows."""


class RingDamaged(Exception):
    """A frame's check does not fit: something wrote over the ring. `position` is where reading can go on."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the output ring is damaged before byte {position}")
        self.position = position


class Frame(NamedTuple):
    """A frame, or what is new in it, as the consumer gets it; execution 0 means none."""

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
        return mapping.words[:WORDS].tolist()
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
        if len(self.memory) >= HEADER_BYTES:
            self.words = memoryview(self.memory)[: len(self.memory) // _WORD_BYTES * _WORD_BYTES].cast("Q")
            self.capacity = self.words[WORD_CAPACITY]
            if self.words[WORD_MAGIC] == MAGIC and len(self.memory) == HEADER_BYTES + self.capacity:
                return
        raise ValueError("it is not an output ring, or is cut short")

    def close(self) -> None:
        self.words.release()
        self.memory.close()


class RingWriter:
    """The worker's one end. Any thread may `put`; a full ring makes it wait, which is the back-pressure on user code.

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
        self._max_grown = _ALIGN + min(MAX_GROWN_BYTES, self.max_data_bytes)  # no room is given back before its end
        # The newest frame: its kind, execution and position, the number of its first word, where in the map it has to
        # end (0 if it must not grow) and where its data ends, and its check. In one piece, so that an exception raised
        # from another thread, as it is to interrupt a side lane, never leaves it changed by half.
        self._newest = (PAD, 0, 0, 0, 0, 0, 0)
        # Re-entrant, because a finalizer or a signal handler that prints can run in the middle of `put`;
        # such a frame is put aside and follows the one that is being written.
        self._lock = threading.RLock()
        self._is_writing = False
        self._deferred: list[tuple[int, int, bytes]] = []
        self._bell = bell
        self._check_interrupt = check_interrupt

    def put(self, kind: int, execution: int, data: bytes, may_interrupt: bool = True) -> None:
        """Append at most `max_data_bytes`, and wake the consumer if it sleeps."""
        # `with`, though `acquire` and `release` would cost half: between `acquire` and a `try` such an exception would
        # leave the ring locked for ever.
        with self._lock:
            if self._is_writing:
                self._deferred.append((kind, execution, data))
                return
            try:
                self._is_writing = True
                newest, of, position, first, limit, end, check = self._newest
                stop = end + len(data)
                if stop <= limit and kind == newest and execution == of:
                    self._memory[end:stop] = data
                    check = adler32(data, check)
                    self._newest = kind, execution, position, first, limit, stop, check
                    self.words[first] = check << _CHECK_BITS | stop - first * _WORD_BYTES << _KIND_BITS | kind
                else:
                    self._begin(kind, execution, data, may_interrupt)
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

    def _begin(self, kind: int, execution: int, data: bytes, may_interrupt: bool) -> None:
        """Begin a frame behind the newest."""
        newest, _, position, first, _, end, check = self._newest
        if first:  # written again, should it have been written over: by its length what follows is found
            length = end - first * _WORD_BYTES
            self.words[first] = check << _CHECK_BITS | length << _KIND_BITS | newest
            position = _round_up(position + length)
        length = _ALIGN + len(data)
        position, room = self._make_room(position, length, may_interrupt)
        offset = HEADER_BYTES + position % self._capacity
        self._memory[offset + _ALIGN : offset + length] = data
        check = adler32(data, _seed(kind, execution, position))
        first = self._write_words(position, kind, length, check, execution)
        self._newest = kind, execution, position, first, 0, offset + length, check
        self.words[WORD_HEAD] = position
        if kind < RECORD:
            limit = offset + min(room, self._max_grown)
            self._newest = kind, execution, position, first, limit, offset + length, check

    def _write_words(self, position: int, kind: int, length: int, check: int, execution: int) -> int:
        first = (HEADER_BYTES + position % self._capacity) // _WORD_BYTES
        self.words[first + 1] = execution
        self.words[first] = check << _CHECK_BITS | length << _KIND_BITS | kind
        return first

    def _make_room(self, position: int, length: int, may_interrupt: bool) -> tuple[int, int]:
        """Wait until so many bytes fit without wrapping; returns the position to write at, and how many fit there."""
        rest = self._capacity - position % self._capacity
        pad = rest if rest < length else 0
        pause_s = 0.0001
        while position + pad + length > (free_until := self.words[WORD_TAIL] + self._capacity):
            if self.words[WORD_READER]:
                self._bell()
            if may_interrupt:
                self._check_interrupt()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.005)
        if pad:
            offset = HEADER_BYTES + position % self._capacity
            check = adler32(self._memory[offset + _ALIGN : offset + pad], _seed(PAD, 0, position))
            self._write_words(position, PAD, pad, check, 0)
            position, rest = position + pad, self._capacity
        return position, min(rest, free_until - position)

    def close(self) -> None:
        """Unmap the file."""
        self._mapping.close()


class RingReader:
    """The hub's end: read from a position, then say up to where everything is safe.

    Args:
        file: the ring file, or a descriptor of it that the caller closes: the folder may have lost the file.
        position: where to read on.

    Attributes:
        position: up to where everything was read.
        released: up to where everything is safe.
    """

    def __init__(self, file: Path | int, position: int | None = None) -> None:
        self._mapping = _Mapping(file)
        self.words = self._mapping.words
        self._lock = threading.Lock()
        # What is before the tail was given back to the producer, who may have written over it.
        self._start = self._tail = int(self.words[WORD_TAIL])  # where the frame begins that was read last
        self.position: int = max(position or 0, self._start, self.words[WORD_SAFE])
        self.released = self.position
        self._check = 0  # over what was read of this frame
        self._is_lost = False  # what is in this frame, and what it grows by
        self._tried = self._start  # the frame that was looked at last
        self._reads: deque[tuple[int, int]] = deque()  # positions that were read up to, and where their frames begin
        self._is_head_sound = True
        self._find_frame()

    def _find_frame(self) -> None:
        """Find the frame that the position is in: more may be safe than was given back."""
        while self._start < self.words[WORD_HEAD]:
            following = _round_up(self._start + self._length(self._start))
            if not self._start < following <= self.position:
                break
            self._start = following
        if self.position > self._start:
            offset = HEADER_BYTES + self._start % self._mapping.capacity
            kind, execution = self.words[offset // _WORD_BYTES] & _KIND_MASK, self.words[offset // _WORD_BYTES + 1]
            data = self._mapping.memory[offset + _ALIGN : offset + self.position - self._start]
            self._check = adler32(data, _seed(kind, execution, self._start))

    def _length(self, start: int) -> int:
        word = self.words[(HEADER_BYTES + start % self._mapping.capacity) // _WORD_BYTES]
        return int((word & _LENGTH_MASK) >> _KIND_BITS)

    @property
    def has_frames(self) -> bool:
        """Whether there is something to read."""
        head = self.words[WORD_HEAD]
        if head == self._start:
            return not self._is_lost and head + self._length(head) != self.position
        return self._start < head <= self._start + self._mapping.capacity

    @property
    def backlog_bytes(self) -> int:
        """How much is there to read."""
        head = self.words[WORD_HEAD]
        return int(head + self._length(head) - self.position)

    def read(self, max_bytes: int) -> list[Frame]:
        """Take about ``max_bytes`` and move `position` behind them; [] when there is nothing.

        Raises:
            RingDamaged: a frame does not fit its check, even on a second look.
        """
        if not 0 <= self.words[WORD_HEAD] - self._start <= self._mapping.capacity:
            return self._wait_for_head()
        self._is_head_sound = True
        frames: list[Frame] = []
        end = self.position + max_bytes
        while self.position < end and self.has_frames:
            frame = self._take()
            if frame is None:
                if frames:
                    break  # what came before it is delivered first
                frame = self._look_again()
            if frame.kind != PAD:
                frames.append(frame)
        if frames:
            self._reads.append((self.position, self._start))
        return frames

    def _take(self) -> Frame | None:
        """Take what is new in this frame, or the next one; None where that does not fit its check."""
        memory, words, capacity = self._mapping.memory, self.words, self._mapping.capacity
        start, position, check = self._start, self.position, self._check
        is_last = words[WORD_HEAD] == start
        offset = HEADER_BYTES + start % capacity
        word = words[offset // _WORD_BYTES]
        end = start + ((word & _LENGTH_MASK) >> _KIND_BITS)
        if not is_last and (position == end or self._is_lost):
            start = position = _round_up(end)
            offset = HEADER_BYTES + start % capacity
            word = words[offset // _WORD_BYTES]
            end = start + ((word & _LENGTH_MASK) >> _KIND_BITS)
        kind, execution = word & _KIND_MASK, words[offset // _WORD_BYTES + 1]
        self._tried = start
        if position == start:
            position += _ALIGN
            check = _seed(kind, execution, start)
        data = memory[offset + position - start : offset + end - start]
        if adler32(data, check) != word >> _CHECK_BITS:
            return None
        self._start, self.position, self._check, self._is_lost = start, end, word >> _CHECK_BITS, False
        return Frame(kind, execution, data)

    def _wait_for_head(self) -> list[Frame]:
        """Say once that the header was written over. The producer's next frame mends it, and nothing is lost."""
        if self._is_head_sound:
            self._is_head_sound = False
            raise RingDamaged(self.position)
        return []

    def _look_again(self) -> Frame:
        """Take it when it fits its check. Where it never does, go on with the newest frame, or behind that."""
        deadline = time.monotonic() + _LOOK_AGAIN_S
        while time.monotonic() < deadline:
            with self._lock:  # a barrier
                frame = self._take()
            if frame is not None:
                return frame
        tried, position, head = self._tried, self.position, int(self.words[WORD_HEAD])
        self._start = self.position = head
        self._is_lost = head == tried or self._take() is None
        self._start, self.position = head, max(position, head)  # where it fits, it is read again
        raise RingDamaged(self.position)

    def release(self, position: int) -> None:
        """Give everything before ``position`` back to the producer; after `close` there is none that waits for it."""
        self.released = position
        while self._reads and self._reads[0][0] <= position:
            self._tail = self._reads.popleft()[1]
        try:
            self._mark()
        except ValueError:  # it is unmapped
            return

    def _mark(self) -> None:
        self.words[WORD_SAFE], self.words[WORD_TAIL] = self.released, self._tail

    def announce(self, state: int) -> bool:
        """Say how awake the consumer is; False when there is something for which it must not sleep, or not linger."""
        self.words[WORD_READER] = state
        self._mark()  # should it have been written over, the producer might wait for ever
        with self._lock:  # the barrier between telling and looking
            pass
        if state == LINGERING:  # what the frame has grown by can wait, also if it came before this was said
            return self._is_lost or self.words[WORD_HEAD] == self._start
        return state == AWAKE or not self.has_frames

    def close(self) -> None:
        """Unmap the file."""
        self._mapping.close()


def _seed(kind: int, execution: int, position: int) -> int:
    """What the check of a frame begins with, so that it holds for this place only: its lowest 32 bits count.

    Never that of memory which was cleared.
    """
    return kind + execution + position + _SALT


def _round_up(position: int) -> int:
    return (position + _ALIGN - 1) & -_ALIGN
