"""How a client of an event loop is made: on a thread, as that waits by itself; to be awaited, or entered at once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any

import anyio

from rpyc_kernel.aio.client import KernelClient
from rpyc_kernel.aio.loop import Loop
from rpyc_kernel.client import kernel


class Opening:
    """A client that is still to be made: ``await`` makes it, and ``async with`` makes it and closes it at the end.

    Args:
        open_client: makes a client of threads.
        *arguments: what that gets.
        **named: likewise; ``on_loss`` is called in the loop.
    """

    def __init__(self, open_client: Callable[..., kernel.KernelClient], *arguments: Any, **named: Any) -> None:
        self._open = partial(open_client, *arguments)
        self._named = named
        self._client: KernelClient | None = None

    def __await__(self) -> Generator[Any, None, KernelClient]:
        return self._make().__await__()

    async def __aenter__(self) -> KernelClient:
        self._client = await self._make()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def _make(self) -> KernelClient:
        loop = Loop()
        named = dict(self._named)
        for name in ("on_loss", "on_wait"):
            if named.get(name) is not None:
                named[name] = partial(loop.soon, named[name])
        made: list[kernel.KernelClient] = []
        is_given_up = False

        def make() -> kernel.KernelClient:
            client = self._open(**named)
            made.append(client)  # before looking, as who gives up looks at this after saying so
            if is_given_up:
                client.close()
            return client

        try:
            return KernelClient(await loop.in_thread(make), loop)
        except BaseException:
            is_given_up = True
            with anyio.CancelScope(shield=True):
                for client in made:
                    await loop.in_thread(client.close)
            raise
