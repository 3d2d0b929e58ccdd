"""RPyC's registry: a place in the network that tells where services are. Nothing in it is proven.

Whoever can send to it can tell it anything, and ask it for everything. So it gets a kernel's name, host and port and
nothing else, and who finds a kernel by it still has to see whether it is the one.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.addresses import is_loopback
from rpyc_kernel.system.originals import logging

SERVICE: Final = "KERNEL"
"""What every kernel is announced as, beside its own name."""
BROADCAST: Final = "broadcast"
_EVERYBODY: Final = "255.255.255.255"
_PORT: Final = 18811
_TIMEOUT_S: Final = 2
_unheard = logging.Logger(__name__)
"""Takes what RPyC logs of each time, once a minute for as long as a kernel runs; what changes, others log.

It is apart from all others, which a configuration of logging may switch on.
"""
_unheard.disabled = True


class Registry(Frozen):
    """One registry, or all that hear a broadcast.

    Attributes:
        host: where it is.
        port: its port.
        by_tcp: whether it is spoken to by TCP, else by UDP.
    """

    host: str = _EVERYBODY
    port: int = _PORT
    by_tcp: bool = False

    @classmethod
    def parse(cls, text: str) -> Registry:
        """Read ``broadcast``, ``HOST[:PORT]`` or ``tcp://HOST[:PORT]``; raises `RequestError` for anything else."""
        if text == BROADCAST:
            return cls()
        try:
            parts = urlsplit(text if "://" in text else f"udp://{text}")
            host, port = parts.hostname, parts.port or _PORT
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("tcp", "udp") or parts.path or parts.query:
            raise RequestError(f"{text!r} is no registry; use 'broadcast', 'HOST[:PORT]' or 'tcp://HOST[:PORT]'")
        if parts.scheme == "tcp" and ":" in host:
            raise RequestError(f"{text!r}: RPyC speaks TCP with registries by IPv4 alone; leave out tcp://, for UDP")
        return cls(host, port, parts.scheme == "tcp")

    def register(self, name: str, port: int) -> bool:
        """Announce the kernel of this name at a port of this machine; whether a registry has taken note."""
        return bool(self._client.register((SERVICE, name.upper()), port))

    def unregister(self, port: int) -> None:
        """Take it back; nobody says whether that has been heard."""
        self._client.unregister(port)

    @property
    def _client(self) -> Any:
        from rpyc.utils.registry import TCPRegistryClient, UDPRegistryClient  # few kernels are announced

        if self.by_tcp:
            return TCPRegistryClient(self.host, self.port, timeout=_TIMEOUT_S, logger=_unheard)
        return UDPRegistryClient(self.host, self.port, timeout=_TIMEOUT_S, logger=_unheard, ipv6=":" in self.host)

    def check_against(self, listening: str) -> None:
        """Refuse to announce what nobody who hears of it could reach.

        Args:
            listening: the address that the kernel listens on, "" for none.

        Raises:
            RequestError: the kernel has no port, or one that only this machine can reach.
        """
        if not listening:
            raise RequestError("a kernel without a port cannot be announced; let it listen on one (--listen HOST)")
        if is_loopback(listening) and not is_loopback(self.host):
            raise RequestError(
                f"the kernel listens on {listening}, which only this machine can reach; listen where others can "
                "(--listen HOST), or announce it to a registry on this machine"
            )
