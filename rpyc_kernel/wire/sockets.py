"""What every connection's socket is set to; apart from the channel, so that not all who need it load RPyC."""

from __future__ import annotations

from typing import Final

from rpyc_kernel.system.originals import socket

_KEEPALIVE_OPTIONS: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Who is gone without a word is noticed after a minute; the second is macOS's name for the first."""
_UNHEARD_MS: Final = 60_000


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


def give_up_unheard(sock: socket.socket) -> None:
    """Have a connection end, too, whose other end does not take what was sent to it for a minute, where TCP can say so.

    The system would try for a quarter of an hour, and looks for dead peers only where nothing is under way. For those
    who come back: a process that was stopped for longer is gone as well.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
