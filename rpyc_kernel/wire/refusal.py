"""What comes in place of the first message where a client cannot be served: why not.

Written without RPyC, as most often that cannot be imported; no message of any channel begins so: it would be too large.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from rpyc_kernel.system.originals import socket
from rpyc_kernel.system.sending import QUIETLY

MARK: Final = b"RPYK\xff"
"""As long as the header of a frame."""
LENGTH_BYTES: Final = 2
_MAX_BYTES: Final = 4096


def read_reason(read: Callable[[int], bytes | bytearray]) -> str:
    """Read what follows the mark, by what reads so many bytes."""
    return read(int.from_bytes(read(LENGTH_BYTES), "big")).decode("utf-8", "replace")


def refuse(sock: socket.socket, reason: str) -> None:
    """Tell the other side why it is not served, and end the connection."""
    message = reason.encode("utf-8", "replace")[:_MAX_BYTES]
    with sock, contextlib.suppress(OSError):
        sock.setblocking(False)  # nothing was sent before, so that it has room
        sock.sendall(MARK + len(message).to_bytes(LENGTH_BYTES, "big") + message, QUIETLY)
        sock.shutdown(socket.SHUT_WR)
