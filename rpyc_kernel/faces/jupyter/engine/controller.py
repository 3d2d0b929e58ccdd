"""Where a controller of ipyparallel listens for engines: the connection file that it writes for them."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import RequestError

_ANYWHERE = ("0.0.0.0", "*", "")
_PORTS = ("registration", "control", "mux", "task", "iopub", "hb_ping", "hb_pong")


@dataclass(frozen=True)
class Controller:
    """A connection file for engines.

    Attributes:
        path: the file.
        interface: the transport and the address to connect to.
        ports: each by its name in the file.
        broadcast: the ports of the broadcast scheduler, of which each engine takes one.
        key: the shared secret that messages are signed with.
        signature_scheme: how.
        server_key: the controller's public key where the transport is encrypted, else "".
    """

    path: Path
    interface: str
    ports: dict[str, int]
    broadcast: tuple[int, ...]
    key: str
    signature_scheme: str
    server_key: str

    @classmethod
    def read(cls, path: Path) -> Controller:
        """Read a file.

        Raises:
            RequestError: it is not there, is none of a controller's for engines, or asks for what is not done here.
        """
        try:
            told = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RequestError(
                f"{path} cannot be read: {error}; it is there while a controller runs: 'ipcontroller' or 'ipcluster' "
                "starts one, and --file names its file where it is another"
            ) from None
        try:
            _refuse_what_is_not_done(path, told)
            return cls(
                path,
                _find_interface(told["interface"], told.get("location") or ""),
                {name: int(told[name]) for name in _PORTS},
                tuple(int(port) for port in told["broadcast"]),
                str(told.get("key") or ""),
                str(told["signature_scheme"]),
                str(told.get("curve_serverkey") or ""),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(
                f"{path} is no file of a controller for engines ({error!r}); it is called ipcontroller-engine.json, "
                "or ipcontroller-ID-engine.json"
            ) from None

    def url(self, name: str) -> str:
        """The address of one of the ports."""
        return f"{self.interface}:{self.ports[name]}"

    def broadcast_url(self, engine_id: int) -> str:
        """The address of the part of the broadcast scheduler that an engine belongs to."""
        return f"{self.interface}:{self.broadcast[engine_id % len(self.broadcast)]}"


def find_file(profile: str, cluster: str) -> Path:
    """Where a controller writes its file for engines.

    Args:
        profile: IPython's profile.
        cluster: the id of the cluster, "" for that without one.
    """
    home = Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")
    name = f"ipcontroller-{cluster}-engine.json" if cluster else "ipcontroller-engine.json"
    return home / f"profile_{profile}" / "security" / name


def _refuse_what_is_not_done(path: Path, told: dict[str, Any]) -> None:
    if told["pack"] != "json" or told["unpack"] != "json":
        raise RequestError(
            f"the controller of {path} packs messages by {told['pack']!r}; start it with --Session.packer=json, "
            "which a kernel reads"
        )
    if told.get("ssh"):
        raise RequestError(
            f"the controller of {path} is reached by SSH through {told['ssh']!r}, which is not done here: forward its "
            'ports, and give a file without "ssh" by --file'
        )


def _find_interface(interface: str, location: str) -> str:
    """What can be connected to: a controller that listens everywhere says where it is."""
    transport, address = interface.split("://")
    if address in _ANYWHERE:
        address = "127.0.0.1" if not location or _is_here(location) else location
    return f"{transport}://{address}"


def _is_here(location: str) -> bool:
    """Whether an address, or a host's name, is of this machine: what can be bound is."""
    if location == socket.gethostname():
        return True
    try:
        found = socket.gethostbyname(location)
        family = socket.AF_INET6 if ipaddress.ip_address(found).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((found, 0))
    except OSError:
        return False
    return True
