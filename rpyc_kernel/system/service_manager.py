"""Telling systemd, or whoever does as it does, how far this process is: the protocol of ``sd_notify``."""

from __future__ import annotations

import contextlib
import os

from rpyc_kernel.system.originals import socket


class ServiceManager:
    """Whoever waits at the socket that ``NOTIFY_SOCKET`` names; without it, nobody.

    Source:
        sd_notify(3): https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def from_environment(cls) -> ServiceManager:
        """The one of this process, which is told so by nobody whom it starts."""
        return cls(os.environ.pop("NOTIFY_SOCKET", ""))

    def tell(self, state: str) -> None:
        """Say how it is, as ``READY=1``; that nobody hears it is no trouble of ours."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), self._address)
