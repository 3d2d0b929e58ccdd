"""Start a hub: ``python -m rpyc_kernel.hub NAME [SETTINGS]``; usually `rpyc_kernel.start` does it.

``SETTINGS`` is JSON: ``{"hub": {...}, "worker": {...}, "ready": DESCRIPTOR}``. What is written to the descriptor is the
answer to whoever started the hub: ``{}`` when clients can connect, ``{"error": class, "message": text}`` when it
cannot run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from rpyc_kernel.errors import KernelError
from rpyc_kernel.hub import failing
from rpyc_kernel.hub.log import write_log
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import Folders, HubSettings, WorkerSettings, check_name
from rpyc_kernel.system import processes
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_log = logging.getLogger("rpyc_kernel.hub")


def main(arguments: list[str]) -> int:
    """Run a hub until its kernel is stopped; returns the exit status."""
    name = arguments[0] if arguments else "default"
    options: dict[str, Any] = json.loads(arguments[1]) if len(arguments) > 1 else {}
    ready = options.get("ready")
    if ready is not None:
        processes.detach()
    try:
        check_name(name)
        folders = Folders.from_environment()
        folder = RuntimeFolder(folders.runtime / name)
        folder.create()
        folder.lock()
    except KernelError as error:
        _answer(ready, {"error": type(error).__name__, "message": str(error)})
        sys.stderr.write(f"{error}\n")
        return 2
    write_log(folder.log_file)
    failing.watch_threads()
    hub_settings = HubSettings(**options.get("hub", {}))
    worker_settings = WorkerSettings(**options.get("worker", {}))
    journal = (folder.path if hub_settings.is_private else folders.state / name) / "journal.sqlite"
    spare = None
    try:
        spare = None if folder.worker_socket.exists() else WorkerProcess(folder, hub_settings, worker_settings)
        # Imported only now: the worker's process does its own importing meanwhile.
        from rpyc_kernel.hub.running import run

        run(name, folder, journal, hub_settings, worker_settings, spare, lambda: _answer(ready, {}))
    except (KernelError, OSError) as error:
        _answer(ready, {"error": type(error).__name__, "message": str(error)})
        _log.error("%s", error)
        if spare is not None:
            processes.kill(spare.child.pid)
        return 2
    return 0


def _answer(ready: int | None, answer: dict[str, str]) -> bool:
    """Answer whoever started this hub; False when that one is gone."""
    if ready is None:
        return True
    try:
        os.write(ready, json.dumps(answer).encode())
    except OSError as error:
        _log.warning("whoever started this hub is gone: %s", error)
        return False
    finally:
        os.close(ready)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
