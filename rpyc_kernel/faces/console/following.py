"""Events of a kernel, brought into an asyncio loop: a thread waits for them, so that the loop never does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

from rpyc_kernel.core.contract import Event
from rpyc_kernel.system.threads import start_threads

_MAX_UNTAKEN = 2000
_JOIN_S = 1.0


class Following:
    """Iterates over batches of events, no faster than they are taken: what nobody takes waits in the kernel's journal.

    The thread ends when the events do, which closing the kernel's client brings about.

    Args:
        read: begins to iterate over events; called and iterated on the thread.
    """

    def __init__(self, read: Callable[[], Iterator[Event]]) -> None:
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._changed = threading.Condition()
        self._untaken: list[Event] = []
        self._has_ended = False
        self._error: Exception | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._follow, name="console-following", daemon=True)
        start_threads(self._thread)

    async def batches(self) -> AsyncIterator[list[Event]]:
        """Yield what has come since the last time, until the events end.

        Raises:
            Exception: whatever reading raised, most often a `KernelError`.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            with self._changed:
                batch, self._untaken = self._untaken, []
                has_ended = self._has_ended
                self._changed.notify_all()
            if batch:
                yield batch
            if has_ended:
                break
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Join the thread; the kernel's client must be closed."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        # It may still be connecting, and ends with the process then.
        self._thread.join(_JOIN_S)

    def _follow(self) -> None:
        try:
            for event in self._read():
                with self._changed:
                    self._changed.wait_for(lambda: len(self._untaken) < _MAX_UNTAKEN or self._is_closed)
                    if self._is_closed:
                        return
                    self._untaken.append(event)
                    is_first = len(self._untaken) == 1
                if is_first:
                    self._wake()
        except Exception as error:  # noqa: BLE001 - the top of a thread: whoever takes the batches gets it
            self._error = error
        finally:
            with self._changed:
                self._has_ended = True
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._arrived.set)
