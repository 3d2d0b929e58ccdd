"""What every connection's socket is set to; apart from the channel, so that not all who need it load RPyC."""

from __future__ import annotations

from typing import Final

from rpyc_kernel.system.originals import socket

_KEEPALIVE_OPTIONS: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def prepare_socket(sock: socket.socket) -> None:
    """Make a connected socket fit for request and reply: no time-out, no batching delay, dead peers noticed."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in _KEEPALIVE_OPTIONS:
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
