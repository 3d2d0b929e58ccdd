"""What a value is taken apart into, and what the codecs of its kinds have in common."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen

Tree = Any


class Buffer(Frozen):
    """Bytes to send, so many; ``chunks`` gives them in order, and may be asked again."""

    length: int
    chunks: Callable[[], Iterable[memoryview]]


class Parcel(Frozen):
    """A packed value."""

    tree: Tree
    buffers: list[Buffer]


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
