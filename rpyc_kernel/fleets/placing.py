"""The places of a fleet: what Dask is asked for, and what it tells of them.

Who places, moves and releases is Dask's scheduler. Here is known what it did, and there is a client of each kernel that
runs. All that changes is changed on one thread, which reads what Dask's client has been told.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Final

from distributed import Client, Future

from rpyc_kernel.client.address import Address, from_file
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError, NoSuchKernel, RequestError
from rpyc_kernel.fleets import scheduling
from rpyc_kernel.fleets.holding import Order, hold, tell_place
from rpyc_kernel.fleets.overseeing import Overseer, explain_waiting
from rpyc_kernel.frozen import Frozen, changed
from rpyc_kernel.system.threads import make_thread, start_threads
from rpyc_kernel.wire.connection_file import ConnectionFile

_log = logging.getLogger(__name__)
_PREFIX: Final = "rpyc_kernel"
_END_S: Final = 15.0
_KEPT_MOVES: Final = 1000
_LOOK_S: Final = 0.5
_TELL_S: Final = 2.0
"""How long a place may take before it is said why."""
_WHERE_INSTALLED: Final = (
    "rpyc_kernel[dask] has to be installed also in the environment of Dask's scheduler and workers"
)
_CALLED_OFF: Final = (
    "Dask has called its task off, as after client.restart() or with a new scheduler; fleet.scale({count}) places it "
    "again"
)


class Move(Frozen):
    """What became of the place of one kernel of a fleet.

    Attributes:
        time: seconds since the epoch.
        name: the kernel.
        what: it ``waits`` for a place, ``runs`` in one, was ``restarted`` there, has ``lost`` it, ``failed``, or
            ``ended``.
        where: the address of the Dask worker, "" where there is none.
        generation: how many places it has had.
        reason: in words, "" where there is nothing to say.

    Example:
        >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
        >>> [(move.name, move.what, move.generation) for move in fleet.moves]
        [('fleet-0', 'runs', 1)]
    """

    time: float
    name: str
    what: str
    where: str
    generation: int
    reason: str

    def __str__(self) -> str:
        where = f" on {self.where}" if self.where else ""
        return f"{self.name} {_SAID[self.what]}{where}{f': {self.reason}' if self.reason else ''}"


_SAID: Final = {
    "waits": "waits for a place",
    "runs": "runs",
    "restarted": "has a new worker",
    "lost": "has lost its place",
    "failed": "has failed",
    "ended": "has ended",
}


class _Place:
    """That of one kernel, wherever it is now."""

    def __init__(self, name: str, key: str, generation: int) -> None:
        self.name = name
        self.key = key
        self.generation = generation
        self.future: Any = None
        self.worker = ""
        self.kernel: KernelClient | None = None
        self.trouble = ""
        """Why there is no client of it, though it runs."""
        self.waits_since = time.monotonic()
        """On a clock that nobody sets; 0 where it does not, or where it has been said."""
        self.error: Exception | None = None


class Placing:
    """Has Dask place kernels, and keeps a client of each.

    Args:
        client: of Dask.
        name: of the fleet.
        resources: what each kernel needs of a Dask worker's resources.
        options: of the kernels, as of `launch.launch`.
        connect: makes a client of a kernel's address.
        publish: called with the clients of all kernels that run whenever these are others.
        on_move: called with all that becomes of a place.

    Attributes:
        members: the client of each kernel that runs, by name. Never changed but replaced.
        moves: what became of the places, oldest first, the last 1,000. Likewise.
        client: of Dask.
        topic: of the events; also what the keys of the tasks begin with.
        call_in: called with the name and a client of each kernel that begins to run, or whose worker is a new one.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        resources: dict[str, float] | None,
        options: dict[str, Any],
        connect: Callable[[Address], KernelClient],
        publish: Callable[[dict[str, KernelClient]], object],
        on_move: Callable[[Move], object] | None,
    ) -> None:
        self.members: dict[str, KernelClient] = {}
        self.moves: tuple[Move, ...] = ()
        self.client = client
        self._name = name
        self._resources = resources
        self._options = options
        self._connect = connect
        self._publish = publish
        self._on_move = on_move
        self.call_in: Callable[[str, KernelClient], object] = lambda *_: None
        self.topic = f"{_PREFIX}-{name}-{os.urandom(6).hex()}"
        self._count = 0
        self._places: dict[str, _Place] = {}
        self._held: set[tuple[str, str]] = set()
        self._changed = threading.Condition()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = make_thread(self._run, "rpyc_kernel-fleet")
        start_threads(self._thread)

    # ------------------------------------------------------------------ what is asked for

    @property
    def names(self) -> tuple[str, ...]:
        """Of all kernels that are to be there, in order."""
        with self._changed:
            return tuple(self._places)

    def scale(self, count: int) -> None:
        """Have so many kernels: ask Dask for places for those that are missing, or release the last that are more."""
        if self._is_closed:
            raise RequestError("this fleet is closed; make another one")
        if count:
            self._introduce()
        with self._changed:
            released = [self._places.pop(name) for name in [*self._places][count:]]
            free = (name for number in itertools.count() if (name := f"{self._name}-{number}") not in self._places)
            again = [name for name, place in self._places.items() if place.error is not None]
            asked = [self._add(name) for name in (*again, *itertools.islice(free, count - len(self._places)))]
            self._places = dict(sorted(self._places.items(), key=lambda item: _number_of(item[0])))
        self._release(released)
        for place in asked:
            order = Order(place.key, self.topic, place.name, self._options)
            place.future = self.client.submit(hold, order, key=place.key, pure=False, resources=self._resources)
            place.future.add_done_callback(partial(self._take_end, place))
        self._inbox.put(lambda: None)  # somebody waits

    def _introduce(self) -> None:
        """Have the scheduler tell, also where it is another one than before."""
        self.client.subscribe_topic(self.topic, self._take_event)
        try:
            self.client.register_plugin(Overseer(self.topic, self.client.id))
        except ImportError as error:
            raise RequestError(f"{_WHERE_INSTALLED}: its scheduler says: {error}") from None

    def _add(self, name: str) -> _Place:
        self._count += 1
        before = self._places.get(name)
        self._places[name] = place = _Place(name, f"{self.topic}-{self._count}", before.generation if before else 0)
        return place

    def release(self, names: Collection[str]) -> None:
        """Let go of some."""
        with self._changed:
            released = [self._places.pop(name) for name in [*self._places] if name in names]
        self._release(released)

    def _release(self, places: Collection[_Place]) -> None:
        for place in places:
            self._leave(place, "ended", "released")
            future, place.future = place.future, None  # first, so that its end is no news
            if future is not None:
                future.release()

    def explain(self) -> str:
        """Why kernels are not there, "" where all are."""
        with self._changed:
            absent = [place for place in self._places.values() if place.kernel is None and place.error is None]
            there = [f"{place.name} {place.trouble or 'starts'} on {place.worker}" for place in absent if place.worker]
            waiting = [place for place in absent if not place.worker]
        if not waiting:
            return "; ".join(there)
        names, is_one = ", ".join(place.name for place in waiting), len(waiting) == 1
        why = f"{names} wait{'s' * is_one} for {'a place' if is_one else 'places'}: {self._ask_why(waiting)}"
        return "; ".join([*there, why])

    def _ask_why(self, waiting: list[_Place]) -> str:
        try:
            return str(self.client.run_on_scheduler(explain_waiting, [place.key for place in waiting]))
        except (OSError, ValueError) as error:  # a client that is closed raises the second
            return f"Dask's scheduler does not answer: {error}"

    def wait(self, is_enough: Callable[[dict[str, KernelClient]], bool], timeout_s: float) -> bool:
        """Wait until those that run are enough; False where they are not by then. Raises the error of a failed one."""

        def is_over() -> bool:
            for place in self._places.values():
                if place.error is not None:
                    raise place.error
            return is_enough(self.members)

        with self._changed:
            return self._changed.wait_for(is_over, timeout_s)

    def close(self) -> None:
        """Let go of all, and see the kernels gone that can be seen."""
        with self._changed:
            places, self._places, self._is_closed = list(self._places.values()), {}, True
        self._release(places)
        if self.client.status == "running":
            with self._changed:
                self._changed.wait_for(lambda: not self._held, _END_S)
            self.client.unsubscribe_topic(self.topic)
            self.client.run_on_scheduler(scheduling.stop, self.topic)
            with contextlib.suppress(ValueError):  # where the scheduler is another one
                self.client.unregister_scheduler_plugin(self.topic)
        self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def later(self, act: Callable[[], None]) -> None:
        """Do something on the thread that changes places; for who may not wait."""
        self._inbox.put(act)

    # ------------------------------------------------------------------ what is told

    def _run(self) -> None:
        while True:
            with self._changed:
                is_someone_waiting = any(place.waits_since for place in self._places.values())
            try:
                act = self._inbox.get(timeout=_LOOK_S if is_someone_waiting else None)
            except queue.Empty:
                self._tell_waiting()
                continue
            if act is None:
                return
            try:
                act()
            except Exception:  # noqa: BLE001 - whatever it is, what is told next has to be heard
                _log.warning("fleet %s could not do what it was to do", self._name, exc_info=True)

    def _tell_waiting(self) -> None:
        """Say why, where Dask has found no place for a while; it may also have put a task behind others."""
        now = time.monotonic()
        with self._changed:
            late = [place for place in self._places.values() if 0 < place.waits_since < now - _TELL_S]
        if late:
            for place in late:
                place.waits_since = 0.0
            why = self._ask_why(late)
            for place in late:
                self._tell(place, "waits", why)

    def _take_event(self, event: tuple[float, dict[str, str]]) -> None:
        self._inbox.put(lambda: self._take(event[1]))

    def _take_end(self, place: _Place, future: Future) -> None:
        self._inbox.put(lambda: self._end(place, future))

    def _take(self, told: dict[str, str]) -> None:
        key, state, worker = told["key"], told["state"], told["worker"]
        with self._changed:
            if state == "starts":
                self._held.add((key, worker))
            elif state in ("ended", "stopped"):
                self._held.discard((key, worker))
            elif state == "gone":
                self._held = {held for held in self._held if held[1] != worker}
            self._changed.notify_all()
            place = next((place for place in self._places.values() if place.key == key), None)
        if place is None:
            return
        if told.get("lost") and told["lost"] == place.worker:
            self._lose(place, told["lost"], "that worker of Dask's is gone")
        if state == "ended" and place.kernel is not None and place.worker == worker:
            self._lose(place, worker, "its hub and its worker are gone, or that worker of Dask's closes")
        if state == "starts":
            place.waits_since, place.worker = 0.0, worker
        elif state == "runs":
            self._come_in(place, worker)
        elif state == "taken up":
            self._tell(place, "runs", "its hub is a new one, and it goes on where it was")
        elif state == "restarted" and place.kernel is not None:
            self._tell(place, "restarted", "")
            self.call_in(place.name, place.kernel)

    def _come_in(self, place: _Place, worker: str) -> None:
        answer = self.client.run(tell_place, place.key, workers=[worker], on_error="ignore").get(worker)
        if not answer:
            return  # it is gone again, which is told, too
        self._forget(place, f"{place.name} has another place")
        place.trouble = ""
        try:
            kernel = self._connect(_address_of(ConnectionFile(**answer)))
        except KernelError as error:
            place.trouble = f"cannot be reached from here ({error}), and runs"
            self._tell(place, "runs", f"it cannot be reached from here: {error}")
            return
        with self._changed:
            is_wanted = self._places.get(place.name) is place
            if is_wanted:
                place.kernel, place.worker = kernel, worker
                place.generation += 1
                self._renew()
        if not is_wanted:
            kernel.close()
            return
        self._tell(place, "runs", "")
        self.call_in(place.name, kernel)

    def _lose(self, place: _Place, worker: str, reason: str) -> None:
        place.waits_since, place.worker = time.monotonic(), ""
        self._leave(place, "lost", reason, worker)

    def _leave(self, place: _Place, what: str, reason: str, where: str | None = None) -> None:
        """Its kernel is not there any more, which is told everybody."""
        move = _move(place, what, reason, where)
        self._forget(place, str(move))
        self._note(move)

    def _forget(self, place: _Place, why: str) -> None:
        """Leave its kernel; who waits for something of it is told why."""
        with self._changed:
            kernel, place.kernel = place.kernel, None
            self._renew()
        if kernel is not None:
            kernel._give_up(why)

    def _renew(self) -> None:
        self.members = {name: place.kernel for name, place in self._places.items() if place.kernel is not None}
        self._publish(self.members)

    def _end(self, place: _Place, future: Future) -> None:
        """Its task has ended, and not because it was lost."""
        if place.future is not future:
            return
        place.waits_since = 0.0
        if future.status == "finished":
            with self._changed:
                self._places.pop(place.name, None)
            self._leave(place, "ended", str(future.result()))
        else:
            with self._changed:
                place.error = _error_of(future, len(self._places))
                # Nobody tells of its end, where the scheduler is another one; it ends with its Dask worker.
                self._held = {held for held in self._held if held[0] != place.key}
            self._leave(place, "failed", str(place.error))
        place.future = None

    def _tell(self, place: _Place, what: str, reason: str) -> None:
        self._note(_move(place, what, reason))

    def _note(self, move: Move) -> None:
        with self._changed:
            self.moves = (*self.moves[1 - _KEPT_MOVES :], move)
            self._changed.notify_all()
        if self._on_move is not None:
            self._on_move(move)


def _move(place: _Place, what: str, reason: str, where: str | None = None) -> Move:
    at = place.worker if where is None else where
    return Move(time.time(), place.name, what, "" if what == "waits" else at, place.generation, reason)


def _number_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def _error_of(future: Future, count: int) -> Exception:
    if future.status == "error":
        error = future.exception()
        if isinstance(error, ImportError):
            return RequestError(f"{_WHERE_INSTALLED}: a worker says: {error}")
        if isinstance(error, Exception):
            return error if isinstance(error, KernelError) else KernelError(f"{type(error).__name__}: {error}")
    return KernelError(_CALLED_OFF.format(count=count))


def _address_of(file: ConnectionFile) -> Address:
    """By its unix socket where it is on this machine, else by its port; other machines have files of the same names."""
    with contextlib.suppress(NoSuchKernel):
        if ConnectionFile.read(Path(file.unix).parent / "kernel.json").key == file.key:
            return from_file(file)
    return from_file(changed(file, unix=""))
