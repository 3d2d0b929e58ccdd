"""What comes in place of the first frame where nobody can speak RPyC: why not.

Written without RPyC, as most often that cannot be imported; a frame never begins so, for it would be too large.
"""

from __future__ import annotations

import contextlib
from typing import Final

from rpyc_kernel.system.originals import socket

MARK: Final = b"RPYK\xff"
"""As long as the header of a frame."""
LENGTH_BYTES: Final = 2
_MAX_BYTES: Final = 4096


def refuse(descriptor: int, reason: str) -> None:
    """Tell the other side why it is not served, and end the connection."""
    told = reason.encode("utf-8", "replace")[:_MAX_BYTES]
    with socket.socket(fileno=descriptor) as sock, contextlib.suppress(OSError):
        sock.setblocking(False)  # nothing was sent before, so that it has room
        sock.sendall(MARK + len(told).to_bytes(LENGTH_BYTES, "big") + told)
        sock.shutdown(socket.SHUT_WR)
