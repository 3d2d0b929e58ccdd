"""What a value is taken apart into, and what the codecs of its kinds have in common."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen, changed
from rpyc_kernel.system import shared_memory
from rpyc_kernel.system.originals import threading

Tree = Any


class SharedOnce:
    """A memory that is made when it is first opened; ``make`` gives its descriptor."""

    def __init__(self, make: Callable[[], int]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_closed = False

    def open(self) -> int:
        """A further descriptor of it; when it was closed, as by an interrupt, one that nobody else has."""
        with self._lock:
            if self._is_closed:
                return self._make()
            if self._descriptor is None:
                self._descriptor = self._make()
            return os.dup(self._descriptor)

    def close(self) -> None:
        """It is needed no longer, by those who have not opened it."""
        with self._lock:
            self._is_closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


class Buffer(Frozen):
    """Bytes to send, so many; ``chunks`` gives them in order, and may be asked again. ``memory`` has them for many."""

    length: int
    chunks: Callable[[], Iterable[memoryview]]
    memory: SharedOnce | None = None

    def share(self) -> int:
        """The descriptor of a memory that holds them, for whoever asks to close; OSError where there is no room."""
        return shared_memory.create(self.chunks()) if self.memory is None else self.memory.open()


class Parcel(Frozen):
    """A packed value."""

    tree: Tree
    buffers: list[Buffer]


@contextlib.contextmanager
def shared_among_many(parcel: Parcel) -> Iterator[Parcel]:
    """The same value for many: what goes as shared memory is there once, until all have it."""
    memories = [SharedOnce(buffer.share) for buffer in parcel.buffers]
    try:
        pairs = zip(parcel.buffers, memories, strict=True)
        yield Parcel(parcel.tree, [changed(buffer, memory=memory) for buffer, memory in pairs])
    finally:
        for memory in memories:
            memory.close()


class NeedsPickle(Exception):
    """This value can only be pickled."""


class LibraryMissing(RequestError):
    """What something needs is not installed on this side."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(f"{what} needs {package} on this side; install it with 'pip install {package}'")
        self._what, self._package = what, package

    def seen_from_client(self, python: str) -> RequestError:
        """The same where this side is the kernel's, which has this interpreter."""
        return RequestError(
            f"{self._what} needs {self._package} in the kernel's environment; install it there: "
            f"{python} -m pip install {self._package}"
        )


class Packing(Protocol):
    """A value that is being taken apart."""

    def pack(self, value: Any, depth: int) -> Tree:
        """Take a part of it apart that lies so deep."""

    def add(self, buffer: Buffer) -> int:
        """Send bytes beside the tree; returns the number by which the tree has them."""


class Unpacking(Protocol):
    """A value that is being put together."""

    def unpack(self, tree: Tree) -> Any:
        """Put a part of it together."""

    def take(self, number: int) -> Any:
        """The bytes of a number, once."""


def buffer_of(view: memoryview) -> Buffer:
    """Bytes that lie in memory."""
    flat = view.cast("B")
    return Buffer(flat.nbytes, lambda: (flat,))


def find_library(name: str) -> Any:
    """A library, None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def load_library(name: str, what: str) -> Any:
    """A library that something needs; raises `LibraryMissing` where it is not installed."""
    library = find_library(name)
    if library is None:
        raise LibraryMissing(what, name.partition(".")[0])
    return library
