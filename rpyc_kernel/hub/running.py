"""One hub's life: put its parts together, serve until the kernel is stopped, take them apart."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import Kind, encode_events
from rpyc_kernel.errors import KernelError
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.journal import Journal
from rpyc_kernel.hub.server import Server
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.processes import birth_of
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile

_log = logging.getLogger(__name__)


def run(
    name: str,
    folder: RuntimeFolder,
    journal_path: Path,
    settings: HubSettings,
    worker_settings: WorkerSettings,
    spare: WorkerProcess | None,
    ready: Callable[[], bool],
) -> None:
    """Run the hub of a locked folder; ``ready`` is called when clients can connect, and says whether somebody hears."""
    stopping = threading.Event()
    earlier = _read_earlier(folder)
    # A client that was connected to the hub before must find the same door again.
    key = bytes.fromhex(earlier.key) if earlier else os.urandom(32)
    keep = (folder.worker_socket, folder.connection_file, *folder.worker_files(), *folder.path.glob("journal*"))
    folder.clear(keep=keep)
    journal = Journal(
        journal_path,
        max_memory_bytes=settings.max_memory_events_bytes,
        max_unsaved_bytes=settings.max_unsaved_bytes,
        present=lambda cursor, events: (cursor, encode_events(events)),
    )
    server = Server(folder, name, key, settings)

    def write_connection_file(worker_pid: int | None, generation: int, worker_birth: str = "") -> None:
        connection = ConnectionFile(
            name=name,
            host=settings.host,
            port=server.port,
            key=key.hex(),
            unix=str(folder.hub_socket),
            hub_pid=os.getpid(),
            worker_pid=worker_pid,
            worker_birth=worker_birth or birth_of(worker_pid),
            generation=generation,
        )
        try:
            connection.write(folder.connection_file)
        except OSError as error:
            _log.error("the connection file cannot be written: %s", error)

    hub = Hub(
        folder,
        journal,
        settings,
        worker_settings,
        worker_changed=write_connection_file,
        stop=lambda reason: stopping.set(),
        spare=spare,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: _request_stop(hub, signal.Signals(number).name))
    if earlier is None:
        write_connection_file(None, 0)
    else:  # until it is taken up, its worker can be ended by those who know of it
        write_connection_file(earlier.worker_pid, earlier.generation, earlier.worker_birth)
    hub.begin()
    server.start(hub)
    if not ready():
        hub.tell(lambda state: state.handle_starter_lost())
    _log.info("hub of kernel %s listens on %s", name, f"port {server.port}" if server.port else "its unix socket alone")
    stopping.wait()
    server.stop_accepting()
    stopped = journal.last_of(Kind.HUB_STOPPED)
    hub.close()
    folder.remove()
    if stopped is not None:
        server.let_hear(stopped)
    # Last, because a client that sees its connection end may start the kernel again at once.
    server.close()


def _request_stop(hub: Hub, signal_name: str) -> None:
    def stop() -> None:
        shutdown = events.ShutdownRequested(None, f"the hub got {signal_name}")
        hub.ask(lambda state: state.handle_shutdown_requested(shutdown))

    # Not in the handler itself: the thread it interrupted may hold the lock.
    threading.Thread(target=stop, name="hub-stop", daemon=True).start()


def _read_earlier(folder: RuntimeFolder) -> ConnectionFile | None:
    try:
        return ConnectionFile.read(folder.connection_file)
    except KernelError:
        return None
