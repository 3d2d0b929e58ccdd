"""What can be told of a machine by its address alone, and how that is written where a port follows."""

from __future__ import annotations

import contextlib
from typing import Final

from rpyc_kernel.system.originals import socket

_LOOPBACK_NET: Final = 127
_LOOPBACK_6: Final = bytes(15) + b"\1"


def bracket(host: str) -> str:
    """A name or an address as it stands in front of a port: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach what listens there."""
    if host == "localhost":
        return True
    with contextlib.suppress(OSError, ValueError):
        return bool(socket.inet_pton(socket.AF_INET, host)[0] == _LOOPBACK_NET)
    with contextlib.suppress(OSError, ValueError):
        return bool(socket.inet_pton(socket.AF_INET6, host) == _LOOPBACK_6)
    return False
