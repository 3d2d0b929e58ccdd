"""Descriptors: how many a process may have, how they pass from one to another, and how much waits in a pipe."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import resource
import sys
import termios
from collections.abc import Iterable

from rpyc_kernel.system.originals import socket
from rpyc_kernel.system.sending import QUIETLY

_MANY = 1_000_000
_SHORTAGES = (errno.EMFILE, errno.ENFILE)
_FIRST_DESCRIPTOR = 3  # behind those of the standard streams
_DESCRIPTOR_BYTES = array.array("i").itemsize
_CLOSE_IN_CHILDREN = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


def max_descriptors() -> int:
    """The limit of this process, a million where there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if soft == resource.RLIM_INFINITY else min(soft, _MANY)


def is_shortage(error: BaseException) -> bool:
    """Whether this says that there is no descriptor left, for this process or for the whole machine."""
    return any(number == getattr(error, "errno", None) or os.strerror(number) in str(error) for number in _SHORTAGES)


def pending_bytes(descriptor: int) -> int:
    """How many bytes wait to be read; 0 also where that cannot be said."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def take_away(descriptor: int) -> int:
    """Return another number for what a descriptor is, where from now on nothing is found."""
    taken = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    return taken


def send_with_descriptors(sock: socket.socket, data: bytes, descriptors: Iterable[int]) -> int:
    """Send descriptors with the first of some bytes; returns how many bytes were sent.

    `socket.send_fds` passes no flags on.
    """
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    return sock.sendmsg([data], [rights], QUIETLY)


def receive_with_descriptors(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int], bool]:
    """Return bytes that came, the descriptors that came with them, and whether some of those found no room here.

    No child process inherits them; `socket.recv_fds` passes no flag on that would see to that.
    """
    data, ancillary, flags, _ = sock.recvmsg(size, socket.CMSG_LEN(most * _DESCRIPTOR_BYTES), _CLOSE_IN_CHILDREN)
    if not ancillary:
        return data, [], bool(flags & socket.MSG_CTRUNC)
    received = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            received.frombytes(content[: len(content) - len(content) % received.itemsize])
    for descriptor in received:
        os.set_inheritable(descriptor, False)
    return data, list(received), bool(flags & socket.MSG_CTRUNC)
