"""One hub's life: put its parts together, serve until the kernel is stopped, take them apart."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import encode_events
from rpyc_kernel.errors import VersionMismatch, WorkerBusy
from rpyc_kernel.hub.embedding import EmbeddedProcess
from rpyc_kernel.hub.foreground import Foreground
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.keeper import LOOK_S, Keeper
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.hub.listening import Listeners
from rpyc_kernel.hub.place import Place
from rpyc_kernel.hub.server import Server
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.heaps import collect_from_here, share_heaps
from rpyc_kernel.system.processes import birth_of, is_alive
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.keys import Key

if TYPE_CHECKING:  # few kernels are announced
    from rpyc_kernel.hub.announcing import Announcer

_log = logging.getLogger(__name__)
_HEAPS = 2
"""Threads of a hub seldom allocate at the same time, as one at a time holds the interpreter's lock."""


def run(
    place: Place,
    settings: HubSettings,
    worker_settings: WorkerSettings,
    spare: WorkerProcess | EmbeddedProcess | None,
    ready: Callable[[], bool],
    foreground: Foreground | None = None,
) -> None:
    """Run the hub of a place; ``ready`` is called when clients can connect, and says whether somebody hears."""
    share_heaps(_HEAPS)
    collect_from_here()
    stopping = threading.Event()
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        stopping.set()

    folder, earlier = place.folder, place.earlier
    key = place.home.take_key(bytes.fromhex(earlier.key) if earlier else os.urandom(32))
    _clear(folder)
    listeners = Listeners(place.home, settings, earlier)  # first: where that cannot be, there is no journal to be kept
    journal = Journal(
        place.home.journal,
        max_memory_bytes=settings.max_memory_events_bytes,
        max_unsaved_bytes=settings.max_unsaved_bytes,
        present=lambda cursor, events: (cursor, encode_events(events)),
    )
    server = Server(folder, place.name, KeyRing(Key(key), place.home.invitations), settings, listeners)
    idle_timeout_s = settings.idle_timeout_s
    if idle_timeout_s is None:
        idle_timeout_s = earlier.idle_timeout_s if earlier else 0.0
    keeper = Keeper(place, listeners.describe(_describe(place, key, idle_timeout_s)), server.doors)
    listeners.on_opened(lambda _: keeper.retell(listeners.describe))

    def publish(pid: int | None, generation: int) -> None:
        if isinstance(spare, EmbeddedProcess):
            pid = None  # who ends what a hub has left behind by itself must not end somebody's program
        keeper.publish(pid, generation, birth_of(pid))

    hub = Hub(
        folder,
        journal,
        settings,
        worker_settings,
        worker_changed=publish,
        stop=stop,
        idle_timeout_s=idle_timeout_s,
        spare=spare,
    )
    for number in (signal.SIGTERM, signal.SIGINT, *(foreground.signals if foreground else ())):
        signal.signal(number, lambda number, _: _request_stop(hub, signal.Signals(number).name))
    if earlier is None:
        keeper.publish(None, 0, "")
    else:  # until it is taken up, its worker can be ended by those who know of it
        keeper.publish(earlier.worker_pid, earlier.generation, earlier.worker_birth)
    _begin(hub, place.name)
    server.start(hub)
    if not ready():
        _log.warning("whoever started this hub is gone")
        hub.handle(events.StarterLost())
    _log.info(
        "hub of kernel %s listens on %s",
        place.name,
        ", ".join(f"{each.host}:{each.port} ({each.security})" for each in listeners.all) or "its unix sockets alone",
    )
    announcer = _start_announcer(settings.announce, place.name, listeners.all[0].port if listeners.all else 0)
    _look_after(hub, keeper, server, stopping, foreground, partial(_is_held, settings))
    if foreground is not None:
        foreground.tell_end(reasons[0])
    if announcer is not None:
        announcer.close()
    _end(place, hub, server)


def _clear(folder: RuntimeFolder) -> None:
    """Take away what a hub before has left there; of a private kernel, all that stays stands there as well."""
    folder.clear(
        keep=(
            folder.worker_socket,
            folder.connection_file,
            folder.path / "key",
            folder.invitations,
            folder.certificate,
            folder.private_key,
            *folder.worker_files(),
            *folder.path.glob("journal*"),
        )
    )


def _look_after(
    hub: Hub,
    keeper: Keeper,
    server: Server,
    stopping: threading.Event,
    foreground: Foreground | None,
    is_held: Callable[[], bool],
) -> None:
    """Do what is to be done about once a second, until the kernel stops."""

    def listen(path: str) -> None:
        hub.notify_worker("listen", path)

    if foreground is not None:
        foreground.wait_until_ready(hub, stopping)
    while not stopping.wait(LOOK_S):
        keeper.look(listen if hub.wait_for_worker(0) else None)
        hub.look_after()
        server.look()
        if foreground is not None:
            foreground.look(hub)
        if not is_held():
            hub.handle(events.ShutdownRequested(None, "the process that held it is gone"))


def _is_held(settings: HubSettings) -> bool:
    """Whether the process with which the kernel ends is still there, if there is one."""
    return not settings.holder_pid or is_alive(settings.holder_pid, settings.holder_birth)


def _end(place: Place, hub: Hub, server: Server) -> None:
    """Take all apart, and leave the name to the next hub."""
    server.doors.close()
    stopped = hub.last  # that it has is recorded by now, on disk or not
    hub.close()
    place.folder.remove()
    if place.home is not place.folder:
        place.home.leave()
        place.home.unlock()
    server.let_hear(stopped)
    # Last, because a client that sees its connection end may start the kernel again at once.
    server.close()


def _start_announcer(registry: str, name: str, port: int) -> Announcer | None:
    """Tell a registry of the kernel, where that is asked for."""
    if not registry:
        return None
    from rpyc_kernel.hub.announcing import Announcer
    from rpyc_kernel.wire.registry import Registry

    announcer = Announcer(Registry.parse(registry), name, port)
    announcer.start()
    return announcer


def _request_stop(hub: Hub, signal_name: str) -> None:
    def stop() -> None:
        hub.handle(events.ShutdownRequested(None, f"the hub got {signal_name}"))

    hub.later(stop)  # not in the handler itself: the thread it interrupted may hold the lock


def _begin(hub: Hub, name: str) -> None:
    try:
        hub.begin()
    except (WorkerBusy, VersionMismatch) as error:
        raise type(error)(f"{error}; 'rpyc-kernel stop {name}' ends it with all that it holds") from None


def _describe(place: Place, key: bytes, idle_timeout_s: float) -> ConnectionFile:
    return ConnectionFile(
        place.name,
        "",
        0,
        key.hex(),
        str(place.folder.hub_socket),
        os.getpid(),
        started=time.time(),
        idle_timeout_s=idle_timeout_s,
    )
