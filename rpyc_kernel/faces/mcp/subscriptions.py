"""Subscriptions to the transcript, in the words of the protocol before 2026 (a request) and since then (a stream)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.mcp.agent import Agent
from rpyc_kernel.faces.mcp.history_watch import HistoryWatch

TRANSCRIPT: Final = "kernel://transcript"
_Context = ServerRequestContext[Any, Any]


class Subscriptions:
    """Tells whoever has subscribed that there is more in the transcript.

    Args:
        find_agent: the agent whose request is being answered.
    """

    def __init__(self, find_agent: Callable[[], Agent]) -> None:
        self._find_agent = find_agent
        self._bus = InMemorySubscriptionBus()
        self._listen_to = ListenHandler(self._bus)
        self._watch = HistoryWatch(self._tell)
        self._subscribed: dict[int, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self.note_read = self._watch.note_read

    @asynccontextmanager
    async def run(self, _: MCPServer[Any]) -> AsyncIterator[None]:
        """Tell as long as the server runs."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._watch.run)
            yield
            self._tasks.cancel_scope.cancel()

    def add_to(self, server: MCPServer[Any]) -> None:
        """Answer a server's requests."""
        inner = server._lowlevel_server  # which alone takes handlers
        inner.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, self._listen)
        inner.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self._subscribe)
        inner.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self._unsubscribe)

    async def _listen(
        self, context: _Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        wanted = params.notifications.resource_subscriptions or []
        kept = types.SubscriptionFilter(resource_subscriptions=[each for each in wanted if each == TRANSCRIPT] or None)
        if kept.resource_subscriptions:
            await self._begin()
        return await self._listen_to(context, params.model_copy(update={"notifications": kept}))

    async def _subscribe(self, context: _Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        if params.uri != TRANSCRIPT:
            raise MCPError(types.INVALID_PARAMS, f"only {TRANSCRIPT} can be subscribed to")
        await self._begin()
        connection = context.session._connection  # the SDK has no other mark of whose request it is
        if id(connection) not in self._subscribed:
            connection.exit_stack.callback(self._subscribed.pop, id(connection), None)
        self._subscribed[id(connection)] = lambda: context.session.send_resource_updated(TRANSCRIPT)
        return types.EmptyResult()

    async def _unsubscribe(self, context: _Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self._subscribed.pop(id(context.session._connection), None)
        return types.EmptyResult()

    async def _begin(self) -> None:
        try:
            await self._watch.begin(self._find_agent())
        except KernelError as error:
            raise MCPError(types.INTERNAL_ERROR, f"{type(error).__name__}: {error}") from None

    async def _tell(self) -> None:
        await self._bus.publish(ResourceUpdated(uri=TRANSCRIPT))
        assert self._tasks is not None
        for tell in self._subscribed.values():
            self._tasks.start_soon(tell)  # one that does not read holds up nobody
