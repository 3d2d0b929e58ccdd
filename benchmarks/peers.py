"""Peers of live objects, each with its server in a process of its own: started by name, asked for the same work.

Run as a program with a peer's name, this module is that server.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import execnet
import Pyro5.api
import rpyc
from rpyc.core.service import MasterService, SlaveService
from rpyc.core.stream import SocketStream

import rpyc_kernel
from benchmarks.spinning import Spin
from rpyc_kernel.system.home import Home

_KEY = b"benchmark"

DEFINITIONS = """
class Thing:
    def __init__(self): self.x = 1
    def add(self, n): return self.x + n
    def make(self): return Thing()
    def apply(self, function): return function(1)
thing = Thing()
class Table:
    def __init__(self): self.rows = [Thing()]
    def group(self, key): return Table()
table = Table()
"""


@dataclass(frozen=True)
class Works:
    """What one peer can do; what it cannot is None.

    Attributes:
        pid: the other process.
        getattr: reads an attribute.
        method: calls a method with an argument.
        make: gets a proxy of an object that is new.
        callback: has a function of this side called.
        chain: does five steps one after the other, of which each is a round trip.
        lazy: does the same steps as fast as it can.
        pipeline: makes so many calls before the first answer is waited for.
        spin: has the other process burn its interpreter, from now on, with this counter.
    """

    pid: int
    getattr: Callable[[], Any] | None = None
    method: Callable[[], Any] | None = None
    make: Callable[[], Any] | None = None
    callback: Callable[[], Any] | None = None
    chain: Callable[[], Any] | None = None
    lazy: Callable[[], Any] | None = None
    pipeline: Callable[[int], Any] | None = None
    spin: Callable[[Spin], Any] | None = None


@contextlib.contextmanager
def ours() -> Iterator[Works]:
    """A kernel of this project."""
    with rpyc_kernel.start("bench-objects", engine="plain") as kernel:
        try:
            kernel.execute(DEFINITIONS)
            thing, table = kernel.namespace.thing, kernel.namespace.table
            yield Works(
                int(kernel.status()["worker_pid"]),
                *_netref_works(thing),
                chain=lambda: _do_steps(table),
                lazy=lambda: _do_steps(kernel.lazy.table).get(),
                pipeline=_pipeline(thing),
                spin=lambda spin: kernel.submit(spin.code),
            )
        finally:
            kernel.shutdown()


@contextlib.contextmanager
def stock_rpyc() -> Iterator[Works]:
    """Stock RPyC in classic mode, with TCP_NODELAY on both ends."""
    with server("stock_rpyc") as (port, pid):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = rpyc.utils.factory.connect_stream(SocketStream(sock), MasterService)
        connection.execute(DEFINITIONS)
        thing, table = connection.namespace["thing"], connection.namespace["table"]
        yield Works(
            pid,
            *_netref_works(thing),
            chain=lambda: _do_steps(table),
            lazy=lambda: _do_steps(table),
            pipeline=_pipeline(thing),
            spin=lambda spin: connection.execute(spin.code_beside),
        )
        connection.close()


@contextlib.contextmanager
def with_execnet() -> Iterator[Works]:
    """execnet: plain values through channels; a call is a message there and one back."""
    group = execnet.Group()
    try:
        channel = group.makegateway().remote_exec(
            "import os\nx = 1\nchannel.send(os.getpid())\nfor n in channel:\n"
            "    if isinstance(n, str): exec(n, {})\n    channel.send(n if isinstance(n, str) else x + n)\n"
        )
        pid = int(channel.receive(60))

        def call(message: int | str = 1) -> Any:
            channel.send(message)
            return channel.receive(60)

        def pipeline(count: int) -> None:
            for number in range(count):
                channel.send(number)
            for _ in range(count):
                channel.receive(60)

        yield Works(pid, method=call, pipeline=pipeline, spin=lambda spin: call(spin.code_beside))
    finally:
        group.terminate(timeout=5)


@contextlib.contextmanager
def with_pyro() -> Iterator[Works]:
    """Pyro5: proxies of exposed objects."""
    with server("pyro") as (port, pid), Pyro5.api.Proxy(f"PYRO:thing@127.0.0.1:{port}") as thing:
        batch_of = Pyro5.api.BatchProxy

        def pipeline(count: int) -> None:
            batch = batch_of(thing)
            for number in range(count):
                batch.add(number)
            list(batch())

        yield Works(
            pid,
            getattr=lambda: thing.x,
            method=lambda: thing.add(1),
            make=lambda: thing.make(),
            pipeline=pipeline,
            spin=lambda spin: thing.spin(spin.code_beside),
        )


class _Manager(BaseManager):
    pass


@contextlib.contextmanager
def with_managers() -> Iterator[Works]:
    """multiprocessing.managers: proxies of registered classes, methods only."""
    with server("managers") as (port, pid):
        _Manager.register("thing")
        manager = _Manager(("127.0.0.1", port), _KEY)
        manager.connect()
        thing: Any = manager.thing()  # type: ignore[attr-defined]
        yield Works(
            pid,
            method=lambda: thing.add(1),
            make=lambda: manager.thing(),  # type: ignore[attr-defined]
            spin=lambda spin: thing.spin(spin.code_beside),
        )


ALL: dict[str, Callable[[], contextlib.AbstractContextManager[Works]]] = {
    "ours": ours,
    "stock rpyc": stock_rpyc,
    "execnet": with_execnet,
    "Pyro5": with_pyro,
    "managers": with_managers,
}


def _netref_works(thing: Any) -> tuple[Callable[[], Any], ...]:
    function = int
    return lambda: thing.x, lambda: thing.add(1), lambda: thing.make(), lambda: thing.apply(lambda n: function(n))


def _do_steps(table: Any) -> Any:
    return table.group("x").rows[0].make().add(1)


def _pipeline(thing: Any) -> Callable[[int], Any]:
    add = rpyc.async_(thing.add)
    return lambda count: [result.value for result in [add(number) for number in range(count)]]


@contextlib.contextmanager
def server(name: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """A server of this module in a process of its own: its port and its pid."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers", name, *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.communicate()


# ------------------------------------------------------------------ the servers


class _Thing:
    def __init__(self) -> None:
        self._x = 1

    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    @property
    def x(self) -> int:
        return self._x

    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    def add(self, n: int) -> int:
        return self._x + n

    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    def make(self) -> _Thing:
        made = _Thing()
        daemon = getattr(self, "_pyroDaemon", None)
        if daemon is not None:
            daemon.register(made)
        return made

    @Pyro5.api.expose  # type: ignore[untyped-decorator]
    def spin(self, code: str) -> None:
        exec(code, {})


def _serve_stock_rpyc() -> None:
    _serve_one(lambda sock: sock)


def _serve_stock_rpyc_tls() -> None:
    """With the certificate in a kernel's home."""
    home = Home(Path(sys.argv[2]))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(home.certificate, home.private_key)
    _serve_one(lambda sock: context.wrap_socket(sock, server_side=True))


def _serve_one(begin: Callable[[socket.socket], socket.socket]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rpyc.utils.factory.connect_stream(SocketStream(begin(sock)), SlaveService).serve_all()


def _serve_pyro() -> None:
    daemon = Pyro5.api.Daemon("127.0.0.1", 0)
    daemon.register(_Thing(), "thing")
    print(daemon.locationStr.rpartition(":")[2], flush=True)
    daemon.requestLoop()


def _serve_managers() -> None:
    _Manager.register("thing", _Thing)
    server = _Manager(("127.0.0.1", 0), _KEY).get_server()
    assert isinstance(server.address, tuple)
    print(server.address[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), sys.exit()), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    {
        "stock_rpyc": _serve_stock_rpyc,
        "stock_rpyc_tls": _serve_stock_rpyc_tls,
        "pyro": _serve_pyro,
        "managers": _serve_managers,
    }[sys.argv[1]]()
