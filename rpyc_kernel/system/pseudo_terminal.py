"""Commands on a terminal of their own: what they write, and the keys that are pressed there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence

from rpyc_kernel.system.originals import select

END_OF_FILE = b"\x04"
INTERRUPT = b"\x03"

_SIZE = struct.pack("HHHH", 24, 80, 0, 0)  # rows and columns; user code may put something in place of `pack`
_MAX_BYTES = 65536
# A session's leader gets the terminal that it opens first. It is opened by a shell, because in a process with threads
# nothing but a new program may run between fork and exec.
_OPEN = 'exec <"$0" >"$0" 2>&1 && exec "$@"'


class Terminal:
    """A command that runs on a terminal; ``output`` is polled for something to read, or for the end of all writers."""

    def __init__(self, words: Sequence[str]) -> None:
        self._master, slave = os.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, _SIZE)
            attributes = termios.tcgetattr(slave)
            attributes[1] &= ~termios.ONLCR  # lines end as in all other output
            termios.tcsetattr(slave, termios.TCSANOW, attributes)
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _OPEN, os.ttyname(slave), *words],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)
        self.output = select.poll()
        self.output.register(self._master, select.POLLIN)

    def read(self) -> bytes:
        """Return what was written; nothing when all who could write are gone."""
        try:
            return os.read(self._master, _MAX_BYTES)
        except OSError:  # Linux says so where others report the end
            return b""

    def press(self, keys: bytes) -> None:
        """Type something."""
        with contextlib.suppress(OSError):
            os.write(self._master, keys)

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended."""
        return self._process.poll() is not None

    def ends_within(self, timeout_s: float) -> bool:
        """Whether the command ends in that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.has_ended

    def wait(self) -> int:
        """Wait for the end; returns the status, of a signal as a negative number."""
        return self._process.wait()

    def close(self) -> None:
        """End what still runs on the terminal."""
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._master)
