"""The event loop that a client belongs to, of asyncio or of trio: what anyio does not say of it, and threads for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from rpyc_kernel.errors import RequestError

_T = TypeVar("_T")
_THREADS = 40


class Loop:
    """The loop that runs now.

    Attributes:
        thread: the number of its thread.
    """

    def __init__(self) -> None:
        self._find, self._schedule = _look_around()
        self._token = self._find()
        self._limiter = anyio.CapacityLimiter(_THREADS)  # others' threads are not kept from them
        self.thread = threading.get_ident()

    def require_here(self) -> None:
        """Refuse other loops, whatever their thread is.

        Raises:
            RequestError: it is not this loop that runs here.
        """
        try:
            is_here = self._find() is self._token
        except RuntimeError:  # there is none here, or one of another library
            is_here = False
        if not is_here:
            raise RequestError(
                "this client belongs to the event loop in which it was connected, and is used in another one, or in "
                "another thread; connect a client of its own there, with the same session if it is to be the same"
            )

    def soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have something called in the loop; from any thread. A loop that has ended calls nothing."""
        with contextlib.suppress(RuntimeError):
            self._schedule(function, *arguments)

    async def in_thread(self, function: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """Call what waits by itself on another thread. Who is cancelled goes at once, and the call goes on."""
        self.require_here()
        call = partial(function, *arguments, **named)
        return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)

    async def beside(self, function: Callable[[], _T]) -> _T:
        """Call what ends what the other threads wait for: it gets one though they are all taken."""
        self.require_here()
        return await to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))


def _look_around() -> tuple[Callable[[], object], Callable[..., object]]:
    """What finds the loop that runs, and what has it call something from any thread."""
    import asyncio  # here: who has anyio's loop of it has loaded it, and so it is with trio

    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.get_running_loop, asyncio.get_running_loop().call_soon_threadsafe
    import trio

    return trio.lowlevel.current_trio_token, trio.lowlevel.current_trio_token().run_sync_soon
