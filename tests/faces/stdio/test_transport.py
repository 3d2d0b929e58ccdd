"""What a client does not read is held up to a limit, and then waited for, in the order in which it was written."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from rpyc_kernel.faces.stdio.transport import MAX_HELD_BYTES, Transport

PATIENCE_S = 30.0


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Where to write, and where that can be read."""
    if request.param == "pipe":
        reading, writing = os.pipe()
        yield writing, reading
        os.close(reading)
        os.close(writing)
    else:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours.fileno(), theirs.fileno()


@pytest.fixture
def nothing_to_read() -> Iterator[int]:
    """A descriptor at which nothing comes, and no end."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


def test_whoever_writes_waits_for_who_does_not_read_and_nothing_is_lost(
    ends: tuple[int, int], nothing_to_read: int
) -> None:
    writing, reading = ends
    piece = bytes(range(256)) * 4096  # 1 MiB

    async def write() -> None:
        transport = Transport(nothing_to_read, writing, lambda data: None, lambda: None)
        written = 0
        waiting = asyncio.ensure_future(asyncio.sleep(0))
        await waiting
        while waiting.done():
            transport.write(piece)
            written += 1
            waiting = asyncio.ensure_future(transport.wait_for_room())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert MAX_HELD_BYTES < written * len(piece) < MAX_HELD_BYTES + 4 * len(piece)
        received = bytearray()
        while len(received) < written * len(piece):
            received += await asyncio.to_thread(os.read, reading, 1 << 20)
        await asyncio.wait_for(waiting, PATIENCE_S)
        assert received == piece * written
        await transport.close(PATIENCE_S)

    asyncio.run(write())


def test_who_is_gone_ends_the_reading_too(ends: tuple[int, int], nothing_to_read: int) -> None:
    writing, reading = ends
    heard: list[bytes] = []

    async def write() -> None:
        ended = asyncio.Event()
        transport = Transport(nothing_to_read, writing, heard.append, ended.set)
        theirs, silent = os.pipe()
        os.dup2(theirs, reading)  # closes the end that was read
        os.close(theirs)
        transport.write(b"to nobody")
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        await transport.close(PATIENCE_S)
        os.close(silent)

    asyncio.run(write())
    assert heard == [b""]
