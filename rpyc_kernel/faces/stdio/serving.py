"""The server's process: one client on standard input and output, or any number on a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.faces.stdio.server import Server

_SIGNALLED: Final = 128


async def serve_stdio(address: str, defaults: dict[str, Any]) -> int:
    """Serve one client until it leaves; returns the exit status.

    What anything else in this process prints goes to standard error: it would be no message.
    """
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    server = Server(reading, writing, address, defaults=defaults)
    return await _run_until_signalled(server.run())


async def serve_tcp(
    address: str, defaults: dict[str, Any], host: str, port: int, tell: Callable[[dict[str, Any]], None]
) -> int:
    """Serve whoever has the key until a signal comes; returns the exit status.

    Args:
        address: the kernel that each client has from the beginning, "" for none.
        defaults: as of `Server`.
        host: an address of this machine.
        port: 0 for a free one.
        tell: called with where it listens, and with the key.
    """
    key = secrets.token_hex(16)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        listener.setblocking(False)
        tell({"host": host, "port": listener.getsockname()[1], "key": key})
        return await _run_until_signalled(_accept(listener, address, defaults, key))


async def _accept(listener: socket.socket, address: str, defaults: dict[str, Any], key: str) -> None:
    loop = asyncio.get_running_loop()
    clients: set[asyncio.Task[None]] = set()
    try:
        while True:
            sock, _ = await loop.sock_accept(listener)
            task = asyncio.ensure_future(_serve_socket(sock, address, defaults, key))
            clients.add(task)
            task.add_done_callback(clients.discard)
    finally:
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _serve_socket(sock: socket.socket, address: str, defaults: dict[str, Any], key: str) -> None:
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await Server(sock.fileno(), sock.fileno(), address, defaults=defaults, key=key).run()


async def _run_until_signalled(serving: Any) -> int:
    """Run until it ends, or SIGTERM or SIGHUP comes; Ctrl-C in a terminal means whoever has started this."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(serving)
    status = 0

    def end(number: int) -> None:
        nonlocal status
        status = _SIGNALLED + number
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return status
