"""How a client finds a kernel: a small private file with its addresses and its key."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from rpyc_kernel.core.contract import PROTOCOL_VERSION
from rpyc_kernel.errors import ConnectionFailed, NoSuchKernel
from rpyc_kernel.frozen import Frozen, fields_of
from rpyc_kernel.system.originals import json
from rpyc_kernel.system.private_files import write_private


class ConnectionFile(Frozen):
    """What `kernel.json` says.

    Attributes:
        name: the kernel's name.
        host: the address of its TCP port, "" where it has none.
        port: the TCP port, 0 where it has none.
        key: the shared secret, in hexadecimal digits.
        unix: the path of its unix socket.
        hub_pid: the hub's process.
        worker_pid: the worker's process, None while there is none.
        generation: the worker's generation.
        started: seconds since the epoch.
        protocol: the version of the protocol the hub speaks.
        home: the folder with the kernel's lock and journal, "" where it is the one that holds this file.
        idle_timeout_s: for how long nobody may be connected and nothing may run; 0 for as long as it is so.
        fingerprint: the SHA-256 of the certificate of that port in hexadecimal digits, "" where it does not speak TLS.
        listening: host, port and security (see `Security`) of this port and all others.
        certificate: the path of the certificate where it is not the one in the kernel's home, "" where it is.
        private_key: the path of its private key.
        client_ca: who has to have signed the certificates of clients, "" where they need none.
        worker_birth: tells the worker's process from a later one of the same number, "" where the system does not.
    """

    name: str
    host: str
    port: int
    key: str
    unix: str
    hub_pid: int
    worker_pid: int | None = None
    generation: int = 0
    started: float = 0.0
    protocol: int = PROTOCOL_VERSION
    worker_birth: str = ""
    home: str = ""
    idle_timeout_s: float = 0.0
    fingerprint: str = ""
    listening: list[list[Any]] | None = None
    certificate: str = ""
    private_key: str = ""
    client_ca: str = ""

    def write(self, path: Path) -> None:
        """Replace the file in one step; nobody ever reads half of it."""
        write_private(path, json.dumps(fields_of(self), indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> ConnectionFile:
        """Read a file; raises `NoSuchKernel` where it is not there, or is not a connection file.

        `ConnectionFailed` where this process has no descriptor left to find out.
        """
        try:
            # Whatever stands there: opening a pipe would wait for somebody to write into it.
            with open(path, encoding="utf-8", opener=_open_at_once) as opened:
                loaded = json.load(opened)
            # A later release may say more.
            file = cls(**{known: loaded[known] for known in cls.__match_args__ if known in loaded})
            bytes.fromhex(file.key), bytes.fromhex(file.fingerprint)
            return file
        except FileNotFoundError:
            raise NoSuchKernel(f"there is no connection file {path}") from None
        except (ValueError, TypeError, OSError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise ConnectionFailed(f"cannot read {path}: {error}") from None
            raise NoSuchKernel(f"{path} is not a kernel's connection file: {error}") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
