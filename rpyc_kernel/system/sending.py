"""Sending to who may be gone: an error, never SIGPIPE.

Python ignores that signal, but programs for pipes put the system's default back (`signal.signal(SIGPIPE, SIG_DFL)`),
and then it would end the worker whenever a client leaves in the middle of an answer.
"""

from __future__ import annotations

import signal
import sys
from typing import Final

from rpyc_kernel.system.originals import socket

QUIETLY: Final[int] = getattr(socket, "MSG_NOSIGNAL", 0)
"""To be passed with whatever is sent."""
_SO_NOSIGPIPE: Final = 0x1022  # of macOS, which has no such flag; `socket` does not name it


def silence_thread() -> None:
    """Have nothing that this thread sends, nor what the threads that it starts send from now on, end the process.

    For libraries' sockets; an error comes in place of the signal, as ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})


def silence(sock: socket.socket) -> None:
    """Have a socket send no signal, where that is a matter of the socket."""
    if sys.platform == "darwin":
        sock.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)
