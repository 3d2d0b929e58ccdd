"""A plugin for pytest: where RPyC's own tests would start a classic server in a thread, they talk to another process.

It is a kernel, or with ``--elsewhere=rpyc`` a classic server of RPyC's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from types import MappingProxyType
from typing import Any

import rpyc
from rpyc.core.stream import SocketStream
from rpyc.utils import factory
from rpyc.utils.server import Server

import rpyc_kernel

_CLASSIC = (rpyc.SlaveService, rpyc.ClassicService)
_PATIENCE_S = 60.0
_LOOK_AGAIN_S = 0.02
_SERVER = """
import sys, rpyc
from rpyc.utils.server import ThreadedServer
ThreadedServer(rpyc.SlaveService, socket_path=sys.argv[1], auto_register=False).start()
"""
_open_unix, _open_tcp = SocketStream.unix_connect, SocketStream.connect
_connect_thread, _make_server = factory.connect_thread, Server.__init__
_served: dict[Any, Any] = {}
"""What the servers of the tests serve, by port and by the path of a unix socket."""
_opened = contextlib.ExitStack()
_socket = ""


def pytest_addoption(parser: Any) -> None:
    """Offer the choice."""
    parser.addoption("--elsewhere", choices=("kernel", "rpyc"), default="kernel")


def pytest_configure(config: Any) -> None:
    """Start the process, where the tests are, and put it in place of the servers."""
    global _socket
    folder = _opened.enter_context(tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp"))
    _socket = _start_kernel(folder) if config.getoption("elsewhere") == "kernel" else _start_rpyc(folder)
    SocketStream.unix_connect = _unix_connect
    SocketStream.connect = _tcp_connect
    factory.connect_thread = rpyc.connect_thread = _thread_connect
    Server.__init__ = _remember


def _start_kernel(folder: str) -> str:
    os.environ["RPYC_KERNEL_RUNTIME_DIR"] = os.path.join(folder, "r")
    os.environ["RPYC_KERNEL_STATE_DIR"] = os.path.join(folder, "s")
    _opened.callback(rpyc_kernel.start("tests", engine="plain", timeout=_PATIENCE_S).shutdown)
    return os.path.join(folder, "r", "tests", "objects.sock")


def _start_rpyc(folder: str) -> str:
    path = os.path.join(folder, "rpyc.sock")
    process = _opened.enter_context(subprocess.Popen([sys.executable, "-c", _SERVER, path]))
    _opened.callback(process.terminate)
    deadline = time.monotonic() + _PATIENCE_S
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    return path


def pytest_unconfigure() -> None:
    """Stop it."""
    _opened.close()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Load the tests there, as they are loaded where their servers would run, beside them.

    One module starts its server as a program; it gets a connection instead.
    """
    with rpyc.classic.unix_connect(_socket) as connection:
        for name in {item.module.__name__ for item in items}:
            connection.execute(f"import {name}")
    for kind in {item.cls for item in items if item.module.__name__.endswith("test_teleportation")}:
        kind.setUp = lambda test: setattr(test, "conn", rpyc.classic.unix_connect(_socket))
        kind.tearDown = lambda test: test.conn.close()


def _remember(server: Any, service: Any, *args: Any, **kwargs: Any) -> None:
    _make_server(server, service, *args, **kwargs)
    _served[server.listener.getsockname() if kwargs.get("socket_path") else server.port] = service


def _tcp_connect(host: str, port: int, **kwargs: Any) -> Any:
    return _open_unix(_socket) if _served.get(port) in _CLASSIC else _open_tcp(host, port, **kwargs)


def _unix_connect(path: str, **kwargs: Any) -> Any:
    return _open_unix(_socket if _served.get(path) in _CLASSIC else path, **kwargs)


def _thread_connect(
    service: Any = rpyc.VoidService,
    config: Any = MappingProxyType({}),
    remote_service: Any = rpyc.VoidService,
    remote_config: Any = MappingProxyType({}),
) -> Any:
    if remote_service in _CLASSIC:
        return factory.unix_connect(_socket, service, dict(config))
    return _connect_thread(service, dict(config), remote_service, dict(remote_config))
