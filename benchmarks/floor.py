"""What no kernel can be faster than here: an echo, and a chain of processes that does what an execution must.

    client ──► hub ──► worker ──► hub ──► client

Each process has one thread and blocks on its sockets. The bare chain passes a message on; the working one also does
what an execution cannot be without: the hub writes three events into a SQLite database in two commits, code crosses as
JSON and is compiled and run, the client's message is packed and unpacked.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import socket
import sqlite3
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from rpyc.core import brine

_MESSAGE = b"x" * 96
_CODE = "pass"
_LENGTH = struct.Struct("!I")
_ECHOES = 2000
_JOIN_S = 10.0


def measure_echo_s() -> float:
    """Seconds that a message of 96 bytes takes to another process and back, over TCP: the median of some thousand."""
    with open_echo() as ask:
        return statistics.median(_timed(ask) for _ in range(_ECHOES))


def open_echo() -> AbstractContextManager[Callable[[], None]]:
    """A process that sends back what it gets; yields what asks it once."""
    return _open_mirror(_serve_echo)


def open_bare_chain() -> AbstractContextManager[Callable[[], None]]:
    """Three processes that pass a message on; yields what asks them once."""
    return _open_mirror(_serve_bare_hub)


@contextlib.contextmanager
def _open_mirror(serve: Callable[[socket.socket], None]) -> Iterator[Callable[[], None]]:
    with _running(serve) as sock:

        def ask() -> None:
            sock.sendall(_MESSAGE)
            if _receive(sock, len(_MESSAGE)) != _MESSAGE:
                raise AssertionError("something else came back")

        yield ask


@contextlib.contextmanager
def open_working_chain() -> Iterator[Callable[[], None]]:
    """Three processes that run a line of code with all that cannot be left out; yields what asks them once."""
    with _running(_serve_working_hub) as sock:
        numbers = itertools.count(1)

        def ask() -> None:
            number = next(numbers)
            _send(sock, brine.dump((1, number, ("run", _CODE))))
            kind, answered, (events,) = brine.load(_read(sock))
            if (kind, answered, json.loads(events)[-1][5]["outcome"]) != (2, number, "ok"):
                raise AssertionError("the chain answered something else")

        yield ask


def _timed(ask: Callable[[], None]) -> float:
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


# ------------------------------------------------------------------ the processes


@contextlib.contextmanager
def _running(serve: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("spawn").Process(target=_connect, args=(serve, listener.getsockname()))
        process.start()
        try:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock:
                yield sock
        finally:
            process.join(_JOIN_S)
            if process.is_alive():
                process.kill()
                process.join()


def _connect(serve: Callable[[socket.socket], None], address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(EOFError, ConnectionError):
            serve(sock)


def _serve_echo(sock: socket.socket) -> None:
    while True:
        sock.sendall(_receive(sock, len(_MESSAGE)))


def _serve_bare_hub(sock: socket.socket) -> None:
    with _forked(_serve_echo) as worker:
        while True:
            worker.sendall(_receive(sock, len(_MESSAGE)))
            sock.sendall(_receive(worker, len(_MESSAGE)))


def _serve_working_hub(sock: socket.socket) -> None:
    with tempfile.TemporaryDirectory() as folder, _forked(_serve_worker) as worker:
        database = sqlite3.connect(Path(folder) / "journal.sqlite3", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, time, kind, execution, session, payload)")
        seq = 0

        def record(*events: tuple[str, dict[str, object]]) -> list[list[object]]:
            nonlocal seq
            rows: list[list[object]] = []
            for kind, payload in events:
                seq += 1
                rows.append([seq, time.time(), kind, number, "session", payload])
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", [(*row[:5], json.dumps(row[5])) for row in rows]
            )
            database.execute("COMMIT")
            return rows

        while True:
            kind, number, (_, code) = brine.load(_read(sock))
            rows = record(("queued", {"code": code, "name": "somebody"}), ("started", {"count": number}))
            _send(worker, json.dumps({"execution": number, "code": code}).encode())
            told = json.loads(_read(worker))
            rows += record(("finished", told))
            _send(sock, brine.dump((kind + 1, number, (json.dumps(rows),))))


def _serve_worker(sock: socket.socket) -> None:
    namespace: dict[str, object] = {}
    while True:
        told = json.loads(_read(sock))
        begin = time.perf_counter()
        exec(compile(told["code"], f"<{told['execution']}>", "exec"), namespace)
        _send(sock, json.dumps({"outcome": "ok", "duration_s": time.perf_counter() - begin}).encode())


@contextlib.contextmanager
def _forked(serve: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        ours.close()
        with contextlib.suppress(EOFError, ConnectionError):
            serve(theirs)
        os._exit(0)
    theirs.close()
    try:
        with ours:
            yield ours
    finally:
        os.waitpid(pid, 0)


# ------------------------------------------------------------------ bytes


def _send(sock: socket.socket, body: bytes) -> None:
    sock.sendall(_LENGTH.pack(len(body)) + body)


def _read(sock: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_receive(sock, _LENGTH.size))
    return _receive(sock, length)


def _receive(sock: socket.socket, count: int) -> bytes:
    body = sock.recv(count)
    while len(body) < count:
        more = sock.recv(count - len(body))
        if not more:
            raise EOFError
        body += more
    return body
