"""Who tells of the ends of executions those who do not read: one thread, from the first that is to be told of.

Nothing in here keeps an execution alive that nobody holds: what it printed would be kept with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.client import answers
from rpyc_kernel.client.events import WAIT_S
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.client.returning import CLOSED
from rpyc_kernel.core import commands
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.originals import queue
from rpyc_kernel.system.threads import make_thread, start_threads

_JOIN_S = 2.0


class Notifier:
    """Completes the futures of executions of any session.

    Args:
        open_reader: opens an events connection, which is owned from then on.
    """

    def __init__(self, open_reader: Callable[[], HubConnection]) -> None:
        self._open_reader = open_reader
        self._opening = threading.Lock()
        self._reader: HubConnection | None = None
        self._thread: threading.Thread | None = None
        self._runner: dict[int, int] = {}  # at 0 the thread that came first, if an interrupt had a second one started
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False ends the thread
        self._followed: set[weakref.ref[Execution]] = set()
        self._is_closed = False

    def notify(self, execution: Execution) -> None:
        """Complete the future of an execution when it has ended."""
        try:
            self._ask(self._connect(), execution)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            execution._lose(error)

    def close(self, why: str = CLOSED) -> None:
        """Stop; whoever still waits gets `ConnectionLost` with why."""
        self._is_closed = True
        self._bell.put(False)
        with self._opening:
            if self._reader is not None:
                self._reader.close(why)
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)

    def _connect(self) -> HubConnection:
        with self._opening:
            if self._is_closed:
                raise ConnectionLost("this client is closed")
            if self._reader is None or self._reader.is_closed:
                self._reader = self._open_reader()
            if self._thread is None or self._thread.ident is None:  # as an interrupt may leave it
                self._thread = make_thread(self._run, "rpyc_kernel-notifier")
                start_threads(self._thread)
            return self._reader

    def _ask(self, reader: HubConnection, execution: Execution) -> None:
        held = weakref.ref(execution)
        try:
            self._followed.add(held)
            asked = reader.start(commands.FOLLOW, execution.id, execution._cursor, WAIT_S)
            asked.add_done_callback(lambda asked: self._hear(reader, held, asked))
        except BaseException:
            self._followed.discard(held)
            raise
        self._bell.put(True)

    def _run(self) -> None:
        if self._runner.setdefault(0, threading.get_ident()) != threading.get_ident():
            return
        while self._bell.get():
            if self._reader is not None:
                self._reader.read_until(lambda: not self._followed)

    def _hear(self, reader: HubConnection, held: weakref.ref[Execution], asked: Future[Any]) -> None:
        execution = held()
        if execution is None:
            self._followed.discard(held)
            return
        try:
            cursor, events = answers.read_events(asked.result())
            execution._take(events, cursor)
            if not execution._is_over:
                self._ask(reader, execution)
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            execution._lose(reader.as_ours(error))
        execution._complete()
        self._followed.discard(held)
