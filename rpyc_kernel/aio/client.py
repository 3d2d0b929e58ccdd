"""A connected client of one kernel, for tasks of asyncio or trio: the object that programs hold."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio

from rpyc_kernel.aio.connection import LoopConnection
from rpyc_kernel.aio.derived import Kernel
from rpyc_kernel.aio.event_stream import EventStream
from rpyc_kernel.aio.events import Events
from rpyc_kernel.aio.loop import Loop
from rpyc_kernel.aio.threaded import ThreadedBulk, ThreadedObjects
from rpyc_kernel.client import kernel
from rpyc_kernel.client.namespace import Namespace
from rpyc_kernel.client.watching import Watching, refuse_malformed
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import ConnectionLost, KernelDied, WorkerBusy

if TYPE_CHECKING:  # each of these takes as long to load as all the rest, and is loaded when it is first used
    from rpyc_kernel.aio.lazy import LoopEvaluator
    from rpyc_kernel.client.debugger import Debugger
    from rpyc_kernel.client.lazy import LazyNames
    from rpyc_kernel.core.introspection import Watched
    from rpyc_kernel.wire.debug_adapter import DebugChannel
    from rpyc_kernel.wire.netrefs.classic import WorkerConnection


class KernelClient(Kernel):
    """A client of a kernel. Leaving it, by `close` or ``async with``, leaves the kernel running.

    It has the methods of `rpyc_kernel.KernelClient`, which are awaited here. Any number of tasks may call at once; all
    of them belong to the loop in which it was connected. Who is cancelled, or runs out of time, leaves the connection
    as it was, and what the kernel was asked to do it does: an execution that nobody awaits any more goes on. A
    connection that is lost is made again, as in a client of threads.

    Calls to the hub take no thread. Live objects, copies of large values and debuggers wait by themselves, and so are
    asked for on threads. What is asked of a live object itself waits, too: do that on a thread, or by `call`.

    Attributes:
        name: the kernel's name.
        last_seen: the number of the last event that an earlier client of this session acknowledged, None without one.
        came_first: whether no other client had this session when this one joined.
    """

    def __init__(self, client: kernel.KernelClient, loop: Loop) -> None:
        self._client = client
        self._loop = loop
        self._evaluator: LoopEvaluator | None = None
        self.name = client.name
        self.last_seen = client.last_seen
        self.came_first = client.came_first
        self._identity = client._identity
        self._known = client._known
        self._settings = client._settings
        self._timeout_s = client._timeout_s
        self._submissions, self._count = client._submissions, client._count
        self._commands = LoopConnection(client._commands, loop, self._timeout_s)
        self._live = ThreadedObjects(client._live, loop)
        self._bulk = ThreadedBulk(client._bulk, loop)

    async def __aenter__(self) -> KernelClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio.{repr(self._client)[1:]}"

    async def close(self) -> None:
        """Leave; the kernel and its executions go on. Who waits in this client gets `ConnectionLost`."""
        with anyio.CancelScope(shield=True):  # it takes no longer than a moment, and leaves nothing behind
            await self._loop.beside(self._client.close)

    def events(
        self, since: int | None = 0, *, follow: bool = True, execution: int | None = None
    ) -> AsyncIterator[Event]:
        """Return what happened and what happens, from a cursor, for ``async for``; nothing is read before.

        Args:
            since: the number of the last event already seen; 0 begins with the first event ever, None continues where
                this session left off, and remembers in the kernel how far it got.
            follow: go on as things happen, until the kernel stops; else end with what has happened by now.
            execution: only what belongs to the execution of this number, up to its end.

        Returns:
            The events, in the order of their numbers, for one task at a time. They can be left at any moment.

        Raises:
            NoSuchExecution: there never was an execution of this number; when the first one is awaited.
        """

        async def open_stream() -> EventStream:
            cursor = int((await self._commands.hello())["cursor"] or 0) if since is None else since
            if execution is not None:
                first = await self._commands.call(commands.FIND, execution)
                return await self._open_stream(execution, max(cursor, first - 1))
            return EventStream(self._commands, cursor, acknowledge=since is None)

        return Events(open_stream, is_following=follow)

    async def watch_expressions(
        self, expressions: Sequence[str], *, limit: float = 1.0
    ) -> AsyncIterator[list[Watched]]:
        """Yield what expressions are now, and after executions that have changed them.

        See `rpyc_kernel.KernelClient.watch_expressions`.
        """
        async for found in self._watch(expressions, limit, Watching(expressions, limit)):
            yield found

    async def wait(self, expression: str, *, timeout: float | None = None, limit: float = 1.0) -> Watched:
        """Wait until an expression is true, looking after each execution: see `rpyc_kernel.KernelClient.wait`."""
        watching = Watching([expression], limit, math.inf if timeout is None else timeout)
        async for (watched,) in self._watch([expression], limit, watching):
            if watched.is_true:
                return watched
            refuse_malformed(watched)
        raise ConnectionLost(f"kernel {self.name!r} has stopped before {expression!r} was true")

    async def _watch(
        self, expressions: Sequence[str], limit: float, watching: Watching
    ) -> AsyncIterator[list[Watched]]:
        stream = EventStream(self._commands, (await self._commands.hello())["last"])
        while not watching.has_ended:
            if watching.is_due:
                with contextlib.suppress(WorkerBusy, KernelDied):  # it is asked again
                    found = await self.evaluate(expressions, limit=limit, timeout=watching.asking_s())
                    if watching.is_news(found):
                        yield found
            watching.take(await stream.read(watching.waiting_s(), within_s=math.inf))

    @property
    def lazy(self) -> LazyNames:
        """The namespace as lazy values: ``await kernel.lazy.df.groupby("x").mean()`` is one round trip.

        What is awaited is the value, if it is immutable and plain, else a netref; ``await chain.pull()`` is a copy.
        """
        from rpyc_kernel.aio.lazy import AwaitedLazy, LoopEvaluator
        from rpyc_kernel.client.lazy import LazyNames

        if self._evaluator is None:  # chains of two do not mix
            self._evaluator = LoopEvaluator(self._client._evaluator, self._loop)
        return LazyNames(self._evaluator, AwaitedLazy)

    async def call_beside(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a live object beside the queue, and wait for what it returns, for as long as it takes.

        Args:
            function: a netref of a callable.
            *args: its arguments; plain values are copied, all else goes as a reference.
            **kwargs: likewise.

        Returns:
            What it returns: by value where plain, else a netref. Who is cancelled drops it; the call goes on.

        Raises:
            RequestError: it is no live object.
            ConnectionLost: the worker it belongs to is gone.
        """
        begun = await self._loop.in_thread(self._client.call_beside, function, *args, **kwargs)
        is_over = anyio.Event()
        begun.add_done_callback(lambda _: self._loop.soon(is_over.set))
        try:
            await is_over.wait()
            return begun.result(0)
        finally:
            begun.cancel()

    async def debugger(self) -> Debugger:
        """Open the worker's debugger: see `rpyc_kernel.KernelClient.debugger`. What it is asked waits, on threads."""
        return await self._loop.in_thread(self._client.debugger)

    async def open_debugger(self) -> DebugChannel:
        """Open a debugger of the worker: see `rpyc_kernel.KernelClient.open_debugger`. Its channel is for threads."""
        return await self._loop.in_thread(self._client.open_debugger)

    @property
    def namespace(self) -> Namespace:
        """The namespace as a mapping of live objects, for use on a thread, as by ``anyio.to_thread.run_sync``."""
        return self._client.namespace

    @property
    def objects(self) -> WorkerConnection:
        """The RPyC connection to the worker, for use on a thread."""
        return self._client.objects
