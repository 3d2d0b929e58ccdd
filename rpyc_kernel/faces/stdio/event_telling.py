"""A kernel's events on their way to a client: as they come, and no faster than they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rpyc_kernel.client.events import Watch
from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.stdio.arrivals import Arrivals
from rpyc_kernel.faces.stdio.peer import Peer


class EventTelling:
    """Tells events in the loop's own callbacks: a task would take its turn for each batch.

    Args:
        watch: where they come from; closed with this.
        peer: who reads them.
        tell: tells a batch.

    Attributes:
        end: a future that is done when no more will come; it fails with what ended them.
    """

    def __init__(self, watch: Watch, peer: Peer, tell: Callable[[list[Event]], None]) -> None:
        self._watch = watch
        self._peer = peer
        self._tell = tell
        self._arrivals = Arrivals(self._read)
        self._pause: asyncio.Task[None] | None = None
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._go_on()

    def _go_on(self) -> None:
        """Ask for more, and listen for it."""
        self._pause = None
        self._watch.go_on()
        if self._watch.has_ended:
            self._finish(self._watch.error)
        else:
            self._arrivals.listen(self._watch.fileno())

    def _read(self, waited_s: float) -> None:
        if self._pause is not None:
            return
        try:
            if not self._watch.read_ready(waited_s):
                self._arrivals.listen(-1)
            if events := self._watch.take():
                self._tell(events)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client has to know
            self._finish(error)
            return
        if self._peer.has_room:
            self._go_on()
        else:
            self._arrivals.listen(-1)
            self._pause = asyncio.ensure_future(self._wait_for_room())

    async def _wait_for_room(self) -> None:
        await self._peer.wait_for_room()
        self._go_on()

    def _finish(self, error: Exception | None) -> None:
        self._arrivals.close()
        if self.end.done():
            return
        if error is None:
            self.end.set_result(None)
        else:
            self.end.set_exception(error)

    def close(self) -> None:
        """Tell no more."""
        self._finish(None)
        if self._pause is not None:
            self._pause.cancel()
        self._watch.close()
