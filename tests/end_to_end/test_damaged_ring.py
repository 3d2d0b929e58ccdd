"""User code that scribbles over the ring loses output, and is told so; the kernel goes on."""

import contextlib
import mmap
import os
import random
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpyc_kernel import Execution, KernelClient, KernelDied
from rpyc_kernel.core.contract import Kind, Lane, Outcome
from rpyc_kernel.system import ring
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture
from tests.support.folders import Folders
from tests.support.processes import suspend
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("goes_on")

PREPARE = """
import pathlib, threading
folder = pathlib.Path({folder!r})

def wait_for(name):
    pause = threading.Event()
    while not (folder / name).exists():
        pause.wait(0.005)

def print_much():
    print("before")
    wait_for("print")
    for number in range(200):
        print("in danger", number)
"""
GO_ON = "print_much(); wait_for('go on'); print('after')"
END = "print_much()"

NOISE = random.Random(0).randbytes(1 << 16)
SCRIBBLES = {
    "zeros": bytes(1 << 16),
    "ones": b"\xff" * (1 << 16),
    "noise": NOISE,
    "the length of a frame": struct.pack("=QQ", 0xFFFFFFF1, 1) * (1 << 12),
    "empty pads": struct.pack("=QQ", 0, 0) * (1 << 12),
    "pads beyond the end": struct.pack("=QQ", 0xFFFFFFF0, 0) * (1 << 12),
}


class Scribbler:
    """Writes over the ring of the first worker, as a wild pointer would.

    The hub is stopped meanwhile, so that what is written over was not read yet.
    """

    def __init__(self, kernel: KernelClient, runtime: Path, folder: Path) -> None:
        kernel.execute(PREPARE.format(folder=str(folder)), timeout=DEADLINE_S)
        self._kernel = kernel
        self._ring = runtime / "demo" / "ring-1"
        self._folder = folder
        self._hub = kernel.status()["hub_pid"]

    def scribble_on(self, code: str, scribble: bytes, *, lane: str = Lane.MAIN, header: bool = False) -> Execution:
        """Submit code, and write over what it prints; over its end too, if it does not wait."""
        execution = self._kernel.submit(code, lane=lane)
        wait_until(lambda: execution.stdout == "before\n", DEADLINE_S)
        last = b'["finished",' if code == END else b"in danger 199"
        suspend(self._hub)
        try:
            (self._folder / "print").touch()
            with self._ring.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
                wait_until(lambda: last in memory[find_unread(self._ring)], DEADLINE_S, "the worker to write")
                unread = find_unread(self._ring)
                memory[unread] = scribble[unread.start % 16 :][: unread.stop - unread.start]
                if header:
                    memory[: ring.HEADER_BYTES] = scribble[: ring.HEADER_BYTES]
        finally:
            os.kill(self._hub, signal.SIGCONT)
        return execution

    def go_on(self) -> None:
        (self._folder / "go on").touch()


def find_unread(path: Path) -> slice:
    """What the worker has written and the hub has not read; the ring is too large to wrap in these tests."""
    with contextlib.closing(ring.RingReader(path)) as reader:
        start = ring.HEADER_BYTES + reader.position
        return slice(start, start + reader.backlog_bytes)


@pytest.fixture
def scribbler(kernel: KernelClient, folders: Folders, tmp_path: Path) -> Iterator[Scribbler]:
    return Scribbler(kernel, folders.runtime, tmp_path)


def wait_for_damage(kernel: KernelClient, times: int = 1) -> str:
    def told() -> list[str]:
        events = kernel.events(since=0, follow=False)
        return [event.text for event in events if event.kind == Kind.STREAM and "damaged" in event.text]

    wait_until(lambda: len(told()) >= times, DEADLINE_S, "the damage to be told")
    return told()[0]


@pytest.mark.parametrize("scribble", SCRIBBLES.values(), ids=SCRIBBLES)
def test_output_that_was_written_over_is_missed_and_what_follows_is_not(kernel, scribbler, scribble):
    execution = scribbler.scribble_on(GO_ON, scribble)
    assert "the output ring is damaged" in wait_for_damage(kernel)
    scribbler.go_on()
    execution.result(DEADLINE_S)
    assert execution.status == Outcome.OK
    assert execution.stdout == "before\nafter\n"


@pytest.mark.parametrize("scribble", SCRIBBLES.values(), ids=SCRIBBLES)
def test_damage_to_the_header_too_harms_nothing_that_follows(kernel, scribbler, scribble):
    execution = scribbler.scribble_on(GO_ON, scribble, header=True)
    wait_for_damage(kernel, times=2)  # of the header first, of the frames when that is mended
    scribbler.go_on()
    execution.result(DEADLINE_S)
    assert execution.status == Outcome.OK
    assert execution.stdout.endswith("after\n")


@pytest.mark.parametrize("header", [False, True], ids=["frames", "frames and header"])
@pytest.mark.parametrize("lane", [Lane.MAIN, Lane.SIDE])
def test_an_end_that_was_written_over_does_not_hold_up_what_waits(kernel, scribbler, lane, header):
    execution = scribbler.scribble_on(END, NOISE, lane=lane, header=header)
    wait_for_damage(kernel, times=1 + header)
    assert kernel.submit("'it was its turn'").result(DEADLINE_S) == "it was its turn"
    with pytest.raises(KernelDied, match="the record of its end was lost"):
        execution.result(DEADLINE_S)
    assert execution.status == Outcome.LOST
    assert kernel.status()["generation"] == 1


def test_what_goes_on_is_not_taken_for_lost(kernel, scribbler):
    beside = kernel.submit("wait_for('go on'); print('beside')", lane=Lane.SIDE)
    execution = scribbler.scribble_on(GO_ON, NOISE)
    wait_for_damage(kernel)
    behind = kernel.submit("'behind'")
    scribbler.go_on()
    for each in (beside, execution, behind):
        each.result(DEADLINE_S)
        assert each.status == Outcome.OK
