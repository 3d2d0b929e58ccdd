"""Memory that passes between processes as a descriptor: no name, so nothing is left behind whoever dies.

The sender writes once and seals; the receiver maps it copy-on-write, so that what it got is its own. A memory that is
not sealed is refused: whoever could still shorten it could kill its reader by a bus error.

Linux only (``memfd_create``); elsewhere `IS_AVAILABLE` is False, and buffers go through the socket.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from collections.abc import Iterable
from struct import Struct
from typing import Any

from rpyc_kernel.system.originals import socket

IS_AVAILABLE = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
_SEALS = (fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL) if IS_AVAILABLE else 0
_CREDENTIALS = Struct("3i")
_MAX_WRITE_BYTES = 64 * 1024 * 1024


def peer_pid(sock: socket.socket) -> int | None:
    """The process at the other end of a unix socket, whoever passes bytes on in between; None for other sockets.

    Also for one of a pair, which has no address: its peer counts as the process that made both ends, and what that
    passes on may come from another machine, as it does where it speaks TLS.
    """
    if not IS_AVAILABLE or sock.family != socket.AF_UNIX or not _has_address(sock):
        return None
    return int(_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0])


def _has_address(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockname() or sock.getpeername())
    except OSError:  # it is connected to nobody any more
        return False


def create(chunks: Iterable[memoryview]) -> int:
    """Return the descriptor of a new, sealed memory that holds these bytes; raises `OSError` where there is no room."""
    descriptor = os.memfd_create("rpyc_kernel", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for chunk in chunks:
            done = 0
            while done < len(chunk):
                done += os.write(descriptor, chunk[done : done + _MAX_WRITE_BYTES])
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check(descriptor: int, length: int) -> None:
    """Make sure that a received memory has this length, and cannot change any more; ValueError where it is not so."""
    try:
        seals, size = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS), os.fstat(descriptor).st_size
    except OSError as error:
        raise ValueError(f"what came is no shared memory: {error}") from None
    if seals & _SEALS != _SEALS or size != length:
        raise ValueError(f"the shared memory has {size} bytes instead of {length}, or is not sealed")


def map_privately(descriptor: int, length: int) -> mmap.mmap:
    """Map it; what is written to the mapping stays in this process.

    Until Python 3.13, the mapping holds a descriptor of its own.
    """
    options: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    return mmap.mmap(descriptor, length, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE, **options)


def allocate(length: int) -> mmap.mmap:
    """Return zeroed memory of this process alone, which the system provides as it is touched."""
    return mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def read(descriptor: int, length: int) -> bytes:
    """Copy it out."""
    with map_privately(descriptor, length) as mapping:
        return mapping[:]
