"""How what comes of executions gets to the hub: events go into the ring, and a bell wakes the hub if it sleeps."""

from __future__ import annotations

import itertools
from typing import Any

from rpyc_kernel.system import ring
from rpyc_kernel.system.originals import socket, time
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.worker import forks, payloads
from rpyc_kernel.worker.capture import Stream
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.order import NO_ORDER, Order

_AT_ONCE = int(socket.MSG_DONTWAIT | QUIETLY)


class EventSink:
    """Publishes events into the ring, and wakes the hub.

    Attributes:
        streams: what was written to them comes before any event.
    """

    def __init__(self, folder: RuntimeFolder, generation: int, interrupts: Interrupts, order: Order = NO_ORDER) -> None:
        self._order = order
        self._folder = folder
        self._generation = generation
        self._spills = itertools.count(1)
        self.streams: tuple[Stream, ...] = ()
        self._hub: socket.socket | None = None
        self.ring = ring.RingWriter(folder.ring(generation), self._ring_bell, interrupts.check)

    def connect(self, hub: socket.socket) -> None:
        """Ring this hub's bell from now on."""
        self._hub = hub

    def emit(self, kind: str, execution: int, payload: dict[str, Any]) -> None:
        """Publish one event; one that is too large for the ring goes through a file."""
        if forks.is_child():
            return
        for stream in self.streams:
            stream.let_go()
        if time.monotonic() >= self._order.look_at:
            self._order.wait()
        data = payloads.encode(kind, payload)
        if len(data) <= self.ring.max_data_bytes:
            self.ring.put(ring.RECORD, execution, data, may_interrupt=False)
            return
        number = next(self._spills)
        try:
            self._folder.write_spill(self._generation, number, data)
        except OSError as error:  # no room, or a limit of user code's on the size of files
            why = f"cannot be handed on: {error.strerror}"
            cut = payloads.encode(kind, payload, self.ring.max_data_bytes, why)
            self.ring.put(ring.RECORD, execution, cut, may_interrupt=False)
            return
        self.ring.put(ring.SPILLED, execution, str(number).encode(), may_interrupt=False)

    def _ring_bell(self) -> None:
        hub = self._hub
        if hub is None:
            return
        # A full socket has bells enough, and a hub that is gone hears none.
        try:
            hub.send(b"!", _AT_ONCE)
        except OSError:
            return
