"""The bytes of one client in an asyncio loop: read as they come, and written as they are taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from rpyc_kernel.system.byte_pipes import PatientWriter, can_be_waited_for, read_some

MAX_HELD_BYTES: Final = 16 * 1024 * 1024
"""Of what the client does not read so much is held; until it has, nothing more is read from it, nor asked for it."""


class Transport:
    """What comes from a client and goes to it; to be made in the loop.

    Args:
        reading: the descriptor to read from.
        writing: the descriptor to write to; may be the same.
        take: called with what has come; b"" is the end, and the last.
        leave: called when nobody reads any more what is written.
    """

    def __init__(self, reading: int, writing: int, take: Callable[[bytes], None], leave: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading = reading
        self._writing = writing
        self._take = take
        self._leave = leave
        self._writer = PatientWriter(writing)
        self._held: deque[memoryview] = deque()
        self._held_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._has_ended = False
        self._is_broken = False
        self._is_file = not can_be_waited_for(reading)
        self._read_on()

    # ------------------------------------------------------------------ from the client

    def _read_on(self) -> None:
        if not self._is_file:
            try:
                self._loop.add_reader(self._reading, self._read)
            except PermissionError:  # as epoll says of devices that nobody has to wait for
                self._is_file = True
        if self._is_file:
            self._loop.call_soon(self._read)

    def _read_no_more(self) -> None:
        if not self._is_file:
            self._loop.remove_reader(self._reading)

    def _read(self) -> None:
        if self._has_ended:
            return
        try:
            data = read_some(self._reading)
        except BlockingIOError:  # somebody has made it so that it does not wait
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._take(data)
        if self._is_file and self._has_room.is_set():
            self._read_on()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._read_no_more()
            self._take(b"")

    def _break(self) -> None:
        self._end()
        self._leave()

    def watch_reader(self) -> None:
        """Tell also while nothing is written that nobody reads any more, as soon as that can be known."""
        if self._reading == self._writing:  # its end was that of both
            self._leave()
            return
        with contextlib.suppress(PermissionError):  # a file takes all
            self._loop.add_reader(self._writing, self._break)

    # ------------------------------------------------------------------ to the client

    def write(self, data: bytes) -> None:
        """Write, as soon as it is taken; what is written to nobody is dropped."""
        if self._is_broken:
            return
        left = memoryview(data)
        if not self._held:  # as nearly always, and most often all is taken
            left = left[self._write_some(left) :]
            if not left:
                return
            self._is_empty.clear()
            self._loop.add_writer(self._writing, self._write_on)
        self._held.append(left)
        self._held_bytes += len(left)
        if self._held_bytes > MAX_HELD_BYTES and self._has_room.is_set():
            self._has_room.clear()
            self._read_no_more()

    def _write_some(self, data: memoryview) -> int:
        """Write what is taken at once, and return how much that is; where nobody reads any more it is all."""
        try:
            return self._writer.write_some(data)
        except OSError:
            self._is_broken = True
            self._loop.call_soon(self._break)
            return len(data)

    def _write_on(self) -> None:
        while self._held:
            data = self._held[0]
            written = self._write_some(data)
            self._held_bytes -= written
            if written < len(data):
                self._held[0] = data[written:]
                break
            self._held.popleft()
        else:
            self._loop.remove_writer(self._writing)
            self._is_empty.set()
        if self._held_bytes <= MAX_HELD_BYTES // 2 and not self._has_room.is_set():
            self._has_room.set()
            if not self._has_ended:
                self._read_on()

    @property
    def has_room(self) -> bool:
        """Whether the client has read enough of what was written for it."""
        return self._has_room.is_set()

    async def wait_for_room(self) -> None:
        """Wait until the client has read enough of what was written for it."""
        await self._has_room.wait()

    async def close(self, timeout_s: float) -> None:
        """Wait until what was written is taken, but not for longer, and let go of the descriptors."""
        self._end()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._is_empty.wait(), timeout_s)
        self._loop.remove_reader(self._writing)
        if self._held:
            self._loop.remove_writer(self._writing)
        self._writer.close()
