"""What a worker answers its hub and its clients, put together: the same for a process of its own and a program's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from faulthandler import dump_traceback  # not what user code may put in its place
from functools import partial
from os import environ, getpid  # as above
from typing import Any

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.system.originals import socket, threading
from rpyc_kernel.system.ranks import find_rank
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.worker import imports
from rpyc_kernel.worker.control import Control, Method
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.introspection.answer_pool import AnswerPool
from rpyc_kernel.worker.main_loop import MainLoop
from rpyc_kernel.worker.prompts import Prompts
from rpyc_kernel.worker.staged_calls import StagedCalls


def make_control(
    listener: socket.socket,
    folder: RuntimeFolder,
    generation: int,
    *,
    descriptors: tuple[int, ...],
    loop: MainLoop,
    engine: PlainEngine,
    prompts: Prompts,
    staged: StagedCalls,
    debugger: DebugServer,
    first_names: frozenset[str],
    methods: dict[str, Method] | None = None,
    deserted: Callable[[], None] = lambda: None,
) -> Control:
    """Make what answers; it is yet to be started.

    Args:
        listener: where a hub connects.
        folder: the kernel's runtime folder.
        generation: which worker of its kernel this is.
        descriptors: what a hub gets with the greeting; the file for stacks comes last.
        loop: runs what is submitted.
        engine: has the namespace and the values.
        prompts: ask the clients.
        staged: calls that clients have prepared.
        debugger: serves debuggers' clients.
        first_names: names that were there before anybody defined one.
        methods: what the hub may call beside the usual, or in its place.
        deserted: called when a hub is gone.
    """
    rank = find_rank(environ)  # before code of the user's can change it
    return Control(
        listener,
        folder,
        greeting=lambda: _greet(generation, loop, engine.name, debugger.sources, rank),
        descriptors=descriptors,
        methods={
            "answer": prompts.answer,
            "run_side": loop.sides.start,
            "interrupt_side": loop.sides.interrupt,
            "drop_call": staged.drop,
            "tell_unfinished": lambda: prompts.tell(loop.tell_unfinished),
            "leave": loop.leave,
            "dump_stacks": partial(dump_traceback, descriptors[-1]),
            **(methods or {}),
        },
        answer_pool=_prepare_answer_pool(engine, first_names),
        take_run=loop.take_hub,
        take_clients={
            "objects": _prepare_objects(engine, staged).connect,
            "bulk": _prepare_bulk(engine, staged).connect,
            "stock": _prepare_stock(engine, staged).connect,
            "debugger": debugger.connect,
        },
        deserted=deserted,
    )


def _greet(generation: int, loop: MainLoop, engine: str, debugger: str, rank: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "version": WORKER_VERSION,
        "release": RELEASE,
        "generation": generation,
        "pid": getpid(),
        "python": sys.version.split()[0],
        "engine": engine,
        "received": loop.received,
        "last_execution": loop.last_execution,
        "last_count": loop.last_count,
        "debugger": debugger,
        "rank": rank,
    }


def _prepare_answer_pool(engine: PlainEngine, first_names: frozenset[str]) -> AnswerPool:
    """Threads for questions about the namespace, which load what answers them when the first one comes."""

    @imports.for_kernel()
    def build() -> dict[str, Callable[..., str]]:
        from rpyc_kernel.worker.introspection.answers import build_answers

        return build_answers(engine, first_names)

    return AnswerPool(build, slow=("evaluate",))  # by its name, as the table of commands takes long to load


class _Channel:
    """Serves a channel by what is made when the first client asks for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._connections: Any = None

    def connect(self, *sockets: socket.socket) -> None:
        """Serve a client whose socket the hub handed over, with what else belongs to it."""
        with self._lock, imports.for_kernel():
            if self._connections is None:
                self._connections = self._make()
        self._connections.add(*sockets)


def _prepare_objects(engine: PlainEngine, staged: StagedCalls) -> _Channel:
    def make() -> Any:
        from rpyc_kernel.worker.objects import ObjectConnections

        return ObjectConnections(engine.namespace, engine.values, staged)

    return _Channel(make)


def _prepare_stock(engine: PlainEngine, staged: StagedCalls) -> _Channel:
    def make() -> Any:
        from rpyc_kernel.worker.stock import StockConnections

        return StockConnections(engine.namespace, engine.values, staged)

    return _Channel(make)


def _prepare_bulk(engine: PlainEngine, staged: StagedCalls) -> _Channel:
    def make() -> Any:
        from rpyc_kernel.worker.bulk import BulkConnections

        return BulkConnections(engine.namespace, engine.values, staged)

    return _Channel(make)
