"""Reading and writing what a program was started with, pipes, sockets, terminals or files, without waiting for it.

What this process was given may be open elsewhere, too, so nothing here changes how it behaves for others.
"""

from __future__ import annotations

import os
import stat

from rpyc_kernel.system.originals import select, socket

_CHUNK_BYTES = 65_536


def can_be_waited_for(descriptor: int) -> bool:
    """Whether a loop can wait for it; what cannot, a file, never has to be waited for."""
    mode = os.fstat(descriptor).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def read_some(descriptor: int) -> bytes:
    """Read what is there, b"" at its end; a loop has said that there is something."""
    return os.read(descriptor, _CHUNK_BYTES)


class PatientWriter:
    """Writes as much as is taken at once.

    Args:
        descriptor: where to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        mode = os.fstat(descriptor).st_mode
        self._socket = socket.socket(fileno=os.dup(descriptor)) if stat.S_ISSOCK(mode) else None
        self._chunk_bytes = _CHUNK_BYTES if stat.S_ISREG(mode) else select.PIPE_BUF
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write_some(self, data: memoryview) -> int:
        """Write what can be written without waiting; returns how many bytes.

        Raises:
            OSError: nobody reads any more, or the disk is full.
        """
        written = 0
        try:
            while written < len(data):
                if self._socket is not None:
                    written += self._socket.send(data[written:], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                elif self._poll.poll(0):  # then so much is taken without waiting
                    written += os.write(self._descriptor, data[written : written + self._chunk_bytes])
                else:
                    break
        except BlockingIOError:
            pass
        return written

    def close(self) -> None:
        """Let go of what it holds; the descriptor stays open."""
        if self._socket is not None:
            self._socket.close()
