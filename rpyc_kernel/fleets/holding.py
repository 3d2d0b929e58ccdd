"""A kernel on the machine of a Dask worker: one task of Dask's, which lasts and keeps its place as long as the kernel.

The kernel ends when Dask no longer wants the task, when the Dask worker closes, and when its process is gone however
that came. That it runs the task tells by an event of Dask's; where it is, and its key, are told to the client alone,
when that asks the Dask worker: so they stand in no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

from distributed import Reschedule, WorkerPlugin, get_worker
from distributed.comm.addressing import get_address_host

from rpyc_kernel.client import launch
from rpyc_kernel.client.whereabouts import Whereabouts, find
from rpyc_kernel.errors import KernelExists
from rpyc_kernel.frozen import Frozen, fields_of
from rpyc_kernel.settings import LOCAL
from rpyc_kernel.system import processes

_LOOK_S = 0.25
_PAUSE_S = 0.02
_NAME_S = 10.0
"""For how long a name may still be taken: the kernel of a lost Dask worker needs a second or two to end."""
_END_S = 10.0

_held: dict[str, dict[str, Any]] = {}
"""What the connection files say of the kernels that are held in this process, by the key of the task."""


class Order(Frozen):
    """What is to be held.

    Attributes:
        key: of the task.
        topic: of the events that tell of it.
        name: of the kernel.
        options: as of `launch.launch`; without ``listen`` it can be reached where the Dask worker can.
    """

    key: str
    topic: str
    name: str
    options: dict[str, Any]


class _Watch(WorkerPlugin):
    """Sees that the result of a task that runs is no longer wanted: Dask itself lets it run on."""

    def __init__(self, key: str, unwanted: asyncio.Event) -> None:
        self._key = key
        self._unwanted = unwanted

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Called by the Dask worker whenever the state of a task changes."""
        if key == self._key and finish in ("cancelled", "released", "forgotten"):
            self._unwanted.set()


async def hold(order: Order) -> str:
    """Start a kernel and wait for its end; run by Dask, as a task.

    Returns:
        How it ended by itself. Where it was lost, Dask is asked to place it again.
    """
    worker = get_worker()
    unwanted = asyncio.Event()
    await worker.plugin_add(_Watch(order.key, unwanted), name=order.key)
    options = {
        **order.options,
        "listen": order.options["listen"] or _host_of(worker.address),
        # A folder that Dask clears up: that of a worker of Dask in the kernel, which cannot, as it is killed with it.
        "env": {"DASK_TEMPORARY_DIRECTORY": worker.local_directory, **(order.options["env"] or {})},
    }
    starting: asyncio.Future[dict[str, Any]] | None = None

    def tell(state: str) -> None:
        worker.log_event(order.topic, {"key": order.key, "state": state, "worker": worker.address})

    how, is_again = "ended", False
    try:
        tell("starts")
        while True:
            starting = asyncio.ensure_future(asyncio.to_thread(_start, order.name, options))
            _held[order.key] = await asyncio.shield(starting)
            tell("taken up" if is_again else "runs")
            place = await _see_end(order.name, unwanted, tell)
            if unwanted.is_set() or (place.file is not None and not place.has_worker):
                raise Reschedule
            if place.file is None:
                how = "stopped"
                return "it was stopped"
            is_again = True  # its hub is gone and its worker lives: the next hub takes it up
    finally:
        if starting is not None:
            await asyncio.wait([starting])
            if starting.exception() is None:  # else the name is somebody else's
                await asyncio.to_thread(_end, order.name)
        _held.pop(order.key, None)
        await worker.plugin_remove(name=order.key)
        tell(how)


async def _see_end(name: str, unwanted: asyncio.Event, tell: Callable[[str], None]) -> Whereabouts:
    """Wait until the kernel is no longer wanted or has no hub; returns what there is of it then."""
    place, known = find(name), None
    while not unwanted.is_set() and place.has_hub:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(unwanted.wait(), _LOOK_S)
        place = find(name)
        pid = place.file.worker_pid if place.file is not None else None
        if known and pid and pid != known:
            tell("restarted")
        known = pid or known
    return place


def tell_place(key: str) -> dict[str, Any] | None:
    """What the connection file says of the kernel of a task; run by Dask on the Dask worker that holds it."""
    return _held.get(key)


def _host_of(address: str) -> str:
    return LOCAL if address.startswith("inproc:") else str(get_address_host(address))


def _start(name: str, options: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + _NAME_S
    while True:
        try:
            launch.launch(name, is_private=False, is_held=True, **options)
            break
        except KernelExists as error:
            if time.monotonic() > deadline:
                raise KernelExists(f"{error}; or give the fleet a name of its own, as by name='mine'") from None
        time.sleep(_PAUSE_S)
    file = find(name).file
    return fields_of(file) if file is not None else {}


def _end(name: str) -> None:
    """End a kernel that was started here, and see it gone."""
    place = find(name)
    number = signal.SIGTERM
    while place.has_hub and place.file is not None:
        processes.kill(place.file.hub_pid, number)
        deadline = time.monotonic() + _END_S
        while find(name).has_hub and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        place, number = find(name), signal.SIGKILL
    launch.stop_orphan(name)
