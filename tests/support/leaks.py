"""The fixture that fails a test which leaves a thread, a child process, a socket or an open file behind."""

import gc
import os
import stat
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import list_children, read_command
from tests.support.waiting import wait_until

_FOR_GOOD = ("Dask-Offload", "Dask-Callback-Thread")
"""Threads of pools that a library has once in a process, and keeps until that ends."""
GRACE_S = 30.0
"""How long things may take to end by themselves, seconds."""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the test if this process holds more after it than before. Automatic, so set up first and torn down last."""
    with leaving_nothing():
        yield


@contextmanager
def leaving_nothing(spared: str = "") -> Iterator[None]:
    """Fail if this process holds more after the block than before.

    Args:
        spared: what may stay, by what its description ends with; "" for nothing.
    """
    before = find_belongings()
    yield

    def look() -> list[str]:
        return [thing for thing in find_new(before) if not spared or not thing.endswith(spared)]

    def is_nothing_left() -> bool:
        if look():
            # What only a reference cycle holds would go at a moment that depends on the other tests. Again and again,
            # as a thread that ends meanwhile may have held what is in the cycle.
            gc.collect()
        return not look()

    if not is_nothing_left():
        try:
            wait_until(is_nothing_left, GRACE_S)
        except AssertionError:
            pytest.fail("left behind:\n" + "\n".join(f"  {thing}" for thing in look()), pytrace=False)


def find_new(before: dict[Hashable, str]) -> list[str]:
    """Descriptions of what this process holds now and did not hold then."""
    return [description for thing, description in find_belongings().items() if thing not in before]


def find_belongings() -> dict[Hashable, str]:
    """All threads, children and open descriptors of this process, each with a description for people."""
    return {**_find_threads(), **_find_children(), **_find_descriptors()}


def _find_threads() -> dict[Hashable, str]:
    return {
        thread: f"thread {thread.name!r}{' (daemon)' * thread.daemon}"
        for thread in threading.enumerate()
        if not thread.name.startswith(_FOR_GOOD)
    }


def _find_children() -> dict[Hashable, str]:
    return {
        ("process", child.pid): f"child process {child.pid}: "
        + ("ended, but nobody waited for it" if child.is_zombie else read_command(child.pid))
        for child in list_children()
    }


def _find_descriptors() -> dict[Hashable, str]:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    found: dict[Hashable, str] = {}
    for name in os.listdir(folder):
        try:
            status = os.fstat(int(name))
        except OSError:  # the descriptor by which the folder itself was read
            continue
        # The number alone would miss a descriptor that took the place of one closed by the test.
        identity = ("descriptor", int(name), status.st_dev, status.st_ino, stat.S_IFMT(status.st_mode))
        found[identity] = f"descriptor {name}: {_describe_descriptor(folder, name, status.st_mode)}"
    return found


def _describe_descriptor(folder: str, name: str, mode: int) -> str:
    try:
        return os.readlink(f"{folder}/{name}")
    except OSError:  # /dev/fd has no links to read
        kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "pipe", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
        return kinds.get(stat.S_IFMT(mode), "device or other")
