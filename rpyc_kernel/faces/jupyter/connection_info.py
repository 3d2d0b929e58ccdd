"""What Jupyter says about where a kernel is to listen: the connection file it hands over."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import RequestError

_MAX_PORT = 65535


@dataclass(frozen=True)
class ConnectionInfo:
    """A connection file.

    Attributes:
        transport: ``tcp`` or ``ipc``.
        ip: the address to listen on, or the beginning of the sockets' paths.
        shell_port: each port is a number from 1 to 65535 for ``tcp``, a suffix of the path for ``ipc``.
        key: the shared secret that signs messages; empty leaves them unsigned.
        signature_scheme: ``hmac-`` and the name of a hash.
        curve_publickey: the server's public key where the transport is encrypted, else "".
        curve_secretkey: the server's secret key, else "".
    """

    shell_port: int
    iopub_port: int
    stdin_port: int
    control_port: int
    hb_port: int
    transport: str = "tcp"
    ip: str = "127.0.0.1"
    key: str = ""
    signature_scheme: str = "hmac-sha256"
    curve_publickey: str = ""
    curve_secretkey: str = ""

    @classmethod
    def read(cls, path: Path) -> ConnectionInfo:
        """Read a connection file.

        Raises:
            RequestError: it is not there, or is no connection file.
        """
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RequestError(f"the connection file {path} cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise RequestError(f"{path} is no connection file: it holds no JSON object")
        try:
            info = cls(**{name: content[name] for name in cls.__dataclass_fields__ if content.get(name) is not None})
        except TypeError as error:
            raise RequestError(f"{path} is no connection file: {error}") from None
        info._check(path)
        return info

    def _check(self, path: Path) -> None:
        wrong = [name for name, value in asdict(self).items() if not isinstance(value, self._kind_of(name))]
        wrong += [
            name for name, value in self.ports.items() if name not in wrong and not 0 < int(str(value)) <= _MAX_PORT
        ]
        if self.transport not in ("tcp", "ipc"):
            wrong.append("transport")
        if bool(self.curve_publickey) != bool(self.curve_secretkey):
            wrong.append("curve_secretkey" if self.curve_publickey else "curve_publickey")
        if wrong:
            raise RequestError(f"{path} is no connection file that can be used: wrong {', '.join(wrong)}")

    @staticmethod
    def _kind_of(name: str) -> type:
        return int if name.endswith("_port") else str

    @property
    def ports(self) -> dict[str, Any]:
        """The ports by the names they have in the file."""
        return {name: value for name, value in asdict(self).items() if name.endswith("_port")}

    def url(self, channel: str) -> str:
        """The address of a channel for ZeroMQ."""
        separator = "-" if self.transport == "ipc" else ":"
        return f"{self.transport}://{self.ip}{separator}{self.ports[f'{channel}_port']}"
