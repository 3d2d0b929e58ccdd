"""The thread that carries what a worker produces to the journal: the ring's frames, and the bytes of its pipes."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rpyc_kernel.core.contract import FIELDS, UNFINISHED, Kind
from rpyc_kernel.core.json_text import make_decoder
from rpyc_kernel.core.streams import read_written
from rpyc_kernel.system import ring
from rpyc_kernel.system.descriptors import pending_bytes
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_log = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
_LINGER_MS = 2
_PAUSE_S = 0.1
_LAST_ATTEMPTS = 10
"""How often something may fail once the worker is gone."""
_PIPE_BYTES = 1024 * 1024
_decode = make_decoder(json)
_STREAM_NAMES = {ring.STDOUT: "stdout", ring.STDERR: "stderr"}

_FROM_WORKERS: dict[str, frozenset[str]] = {
    **{
        kind: frozenset(FIELDS[kind])
        for kind in (
            Kind.STREAM,
            Kind.DISPLAY,
            Kind.CLEAR_OUTPUT,
            Kind.PAGE,
            Kind.NEXT_INPUT,
            Kind.COMM,
            Kind.RESULT,
            Kind.ERROR,
            Kind.INPUT_REQUESTED,
        )
    },
    Kind.INPUT_ANSWERED: frozenset({"token"}),
    Kind.FINISHED: frozenset({"outcome", "duration_s"}),
    UNFINISHED: frozenset({"unfinished", "received", "sides", "let_go"}),
}
"""What a worker may report, with which fields at least. The hub adds the others, and reports the rest itself."""

Report = tuple[str, int | None, dict[str, Any]]
"""What the worker produced: kind, execution, payload."""


class Pump:
    """Reads one worker's output until told to finish.

    Args:
        folder: where spilled events are.
        generation: of the worker.
        reader: the ring.
        run_socket: brings the bell.
        descriptors: the read ends of the worker's standard output and error.
        running: tells which execution holds the main lane, for output that does not say.
        deliver: takes reports in order, and the position in the ring up to which they go. The journal releases the
            ring.
        damaged: told that some reports are lost.

    Attributes:
        is_cut_off: the worker has closed its end of the socket.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        generation: int,
        reader: ring.RingReader,
        run_socket: socket.socket,
        descriptors: tuple[int, ...],
        *,
        running: Callable[[], int | None],
        deliver: Callable[[list[Report], int], None],
        damaged: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._generation = generation
        self._ring = reader
        self._run_socket = run_socket
        self._pipes = dict(zip(descriptors, ("stdout", "stderr"), strict=True))
        self._halves = dict.fromkeys(descriptors, b"")  # of characters
        self._running = running
        self._deliver = deliver
        self._damaged = damaged
        self._spills: deque[tuple[int, Path]] = deque()
        self._pending: dict[int, int] = {}
        self._readable = set(descriptors)  # by the last look; before the first any pipe may be
        self._has_rung = self.is_cut_off = False
        self._stop, self._ending = threading.Event(), threading.Lock()
        self._wake_in, self._wake_out = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"pump-{generation}", daemon=True)
        self._poll, self._poll_pipes = select.poll(), select.poll()
        for descriptor in (run_socket.fileno(), self._wake_in, *descriptors):
            self._poll.register(descriptor, select.POLLIN)
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
            self._poll_pipes.register(descriptor, select.POLLIN)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def look(self) -> None:
        """Wake the thread if it has slept through something; user code, which shares the map, can see to that."""
        with self._ending:
            if not self._stop.is_set() and (self._spills or self._ring.backlog_bytes):
                os.write(self._wake_out, b"!")

    def finish(self) -> None:
        """Read everything that is there, stop, and give the descriptors back. The worker must be gone."""
        with self._ending:
            self._stop.set()
        os.write(self._wake_out, b"!")
        self._thread.join()
        for descriptor in (*self._pipes, self._wake_in, self._wake_out):
            os.close(descriptor)

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        is_over, attempts = False, _LAST_ATTEMPTS
        while not is_over:
            try:
                is_over = self._pass_on()
            except Exception:  # noqa: BLE001 - without a reader the ring would fill, and user code stop for good
                _log.exception("some output could not be passed on")
                # What failed is behind us most often, and what is left after it is still to be read.
                if self._stop.wait(_PAUSE_S):
                    attempts -= 1
                    is_over = not attempts

    def _pass_on(self) -> bool:
        """Pass on what is there, and wait for more; whether all is done."""
        stopping = self._stop.is_set()
        # What is in the pipes now was written before the ring is looked at. So what was printed before it is found in
        # the ring, and comes first; and who prints afterwards waits until the pipes are empty (see `worker.order`).
        self._pending = {}
        for pipe in self._pipes:
            if pipe in self._readable:
                self._pending[pipe] = pending_bytes(pipe)
        frames = self._pass_on_ring()
        reports: list[Report] = []
        for pipe, count in self._pending.items():
            reports += self._drain(pipe, count)
        if reports:
            self._deliver(reports, self._ring.position)
        lingers = bool(frames) and all(frame.kind < ring.RECORD for frame in frames)
        if not lingers:
            self._remove_spills(frames)
        if not stopping:
            self._wait(lingers)
        elif not frames:
            reports = self._drain_all(0)
            if reports:
                self._deliver(reports, self._ring.position)
            return True
        return False

    def _pass_on_ring(self) -> list[ring.Frame]:
        """Pass on what is in the ring now, in portions; returns it."""
        frames: list[ring.Frame] = []
        end = self._ring.position + self._ring.backlog_bytes
        while batch := self._read_ring():
            # Before anything else is asked for: somebody waits for them.
            self._deliver(read_reports(batch, self._folder, self._generation, self._drain_all), self._ring.position)
            frames += batch
            if self._ring.position >= end:
                break
        return frames

    def _wait(self, lingers: bool) -> None:
        """Sleep until there is something to read, and look where.

        Streams that follow a stream are gathered for a moment: one commit and one wake-up of every reader then serve
        many prints. The first piece after a pause goes out at once.
        """
        if self._has_rung:  # only now, when what it rang for is passed on
            self._hear_bell()
        timeout_ms: int | None = 0
        if self._ring.announce(ring.LINGERING if lingers else ring.ASLEEP):
            timeout_ms = _LINGER_MS if lingers else None
        found = self._poll.poll(timeout_ms)
        self._ring.announce(ring.AWAKE)
        self._has_rung = False
        self._readable.clear()
        for descriptor, events in found:
            if not events & select.POLLIN:
                # Nobody can write to it any more; poll would say so again and again.
                self._poll.unregister(descriptor)
            elif descriptor in self._pipes:
                self._readable.add(descriptor)
            elif descriptor == self._wake_in:
                os.read(self._wake_in, 4096)
            else:
                self._has_rung = True

    def _hear_bell(self) -> None:
        try:
            gone = not self._run_socket.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            # The worker's end is closed: its death is seen and reported elsewhere, if it is one.
            self.is_cut_off = True
            self._poll.unregister(self._run_socket.fileno())

    def _read_ring(self) -> list[ring.Frame]:
        try:
            return self._ring.read(BATCH_BYTES)
        except ring.RingDamaged as damage:
            _log.error("%s", damage)
            self._damaged()
            text = f"[{damage}; user code wrote over it, and some output is lost]\n"
            return [ring.Frame(ring.STDERR, 0, text.encode())]

    def _remove_spills(self, frames: list[ring.Frame]) -> None:
        """Remove the files of large events when the journal has these."""
        for frame in frames:
            if frame.kind == ring.SPILLED and frame.data.isdigit():
                self._spills.append((self._ring.position, self._folder.spill(self._generation, int(frame.data))))
        while self._spills and self._spills[0][0] <= self._ring.released:
            self._spills.popleft()[1].unlink(missing_ok=True)

    # ------------------------------------------------------------------ from frames to reports

    def _drain_all(self, execution: int) -> list[Report]:
        """Read all that is in the pipes now, at most what a pipe can hold: somebody may be writing without end.

        Half a character goes with it: what has ended will not finish it.
        """
        self._pending = {}
        readable = {descriptor for descriptor, events in self._poll_pipes.poll(0) if events & select.POLLIN}
        reports: list[Report] = []
        for descriptor, half in self._halves.items():
            if half or descriptor in readable:
                reports += self._drain(descriptor, _PIPE_BYTES, execution, is_all=True)
        return reports

    def _drain(
        self, descriptor: int, max_bytes: int, execution: int | None = None, *, is_all: bool = False
    ) -> list[Report]:
        pieces = [self._halves[descriptor]]
        count = 0
        while count < max_bytes:
            wanted = min(max_bytes - count, 65536)
            try:
                data = os.read(descriptor, wanted)
            except OSError:  # there is no more, or nobody who could write
                break
            count += len(data)
            pieces.append(data)
            if len(data) < wanted:
                break
        written = b"".join(pieces)
        payload, used = read_written(self._pipes[descriptor], written, is_all=is_all)
        self._halves[descriptor] = written[used:]
        return [(Kind.STREAM, execution or self._running(), payload)] if used else []


def read_reports(
    frames: list[ring.Frame],
    folder: RuntimeFolder,
    generation: int,
    read_first: Callable[[int], list[Report]] = lambda execution: [],
) -> list[Report]:
    """Say what frames of the ring mean.

    Args:
        frames: in order.
        folder: where spilled events are.
        generation: whose frames they are.
        read_first: gives what belongs before the `finished` of an execution.
    """
    reports: list[Report] = []
    for kind, execution, data in frames:
        if kind in _STREAM_NAMES:
            reports.append((Kind.STREAM, execution or None, read_written(_STREAM_NAMES[kind], data)[0]))
            continue
        try:
            name, payload = _read_record(
                folder.spill(generation, int(data)).read_bytes() if kind == ring.SPILLED else data
            )
        except (ValueError, RecursionError, OSError) as error:
            _log.error("an event of execution %d cannot be read: %s", execution, error)
            continue
        if name == Kind.FINISHED:
            reports += read_first(execution)
        reports.append((name, execution or None, payload))
    return reports


def _read_record(data: bytes) -> tuple[str, dict[str, Any]]:
    """Read an event; user code could have written anything in its place."""
    loaded = _decode(data.decode())
    if not (isinstance(loaded, list) and len(loaded) == 2 and isinstance(loaded[1], dict)):
        raise ValueError("not an event")
    kind, payload = loaded
    needed = _FROM_WORKERS.get(kind) if isinstance(kind, str) else None
    if needed is None or not needed <= payload.keys():
        raise ValueError("not an event of a worker")
    return kind, payload
