"""Start a hub: ``python -m rpyc_kernel.hub NAME``; usually `rpyc_kernel.start` does it.

The environment may hold its settings as JSON (see `SETTINGS_VARIABLE`): ``{"hub": {...}, "worker": {...}, "ready":
DESCRIPTOR, "has_input": true, "foreground": true}``. What is written to the descriptor is the answer to whoever started
the hub: ``{}`` when clients can connect, ``{"error": class, "message": text}`` when it cannot run. With ``has_input``
the standard input is the worker's. With ``embedding``, a program's number and how it was started, that program is
the worker, and the standard input a socket to it. With ``foreground`` whoever started it
waits for its end, and reads what it logs.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

if __name__ == "__main__":
    gc.disable()  # see `heaps.collect_from_here`

from rpyc_kernel.errors import KernelError
from rpyc_kernel.hub.embedding import EmbeddedProcess
from rpyc_kernel.hub.place import take_place
from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import SETTINGS_VARIABLE, Folders, HubSettings, WorkerSettings, check_name
from rpyc_kernel.system import bundle_start, processes
from rpyc_kernel.system.descriptors import take_away


def main(arguments: list[str]) -> int:
    """Run a hub until its kernel is stopped; returns the exit status."""
    name = arguments[0] if arguments else "default"
    options: dict[str, Any] = json.loads(os.environ.pop(SETTINGS_VARIABLE, "{}"))
    starter = _Starter(options.get("ready"))
    if starter.waits:
        processes.detach()
    manager = None
    if options.get("foreground"):
        from rpyc_kernel.system.service_manager import ServiceManager

        manager = ServiceManager.from_environment()  # before there is a worker, which would have it from here
    # Everything the hub makes is this user's alone; what user code makes is as its starter wants it.
    umask = os.umask(0o077)
    hub_settings = HubSettings(**options.get("hub", {}))
    if hub_settings.bundle:
        bundle_start.hold(hub_settings.bundle)  # for the next worker, too
    worker_settings = WorkerSettings(**{**options.get("worker", {}), "umask": umask})
    try:
        place = take_place(check_name(name), Folders.from_environment(), is_private=hub_settings.is_private)
    except KernelError as error:
        starter.tell({"error": type(error).__name__, "message": str(error)})
        from rpyc_kernel.system.own_command import as_typed_here

        sys.stderr.write(f"{as_typed_here(str(error))}\n")  # read by who starts one in the foreground
        return 2
    spare: WorkerProcess | EmbeddedProcess | None = None
    embedding = options.get("embedding")
    try:
        try:
            if not place.has_worker:
                if embedding:
                    spare = EmbeddedProcess(place.folder, worker_settings, embedding, take_away(0))
                else:
                    given = take_away(0) if options.get("has_input") else None
                    spare = WorkerProcess(place.folder, hub_settings, worker_settings, given)
        finally:
            # Imported only now: the worker's process does its own importing meanwhile.
            import logging

            from rpyc_kernel.hub import failing, log

            log.write_log(place.home.log_file, is_shown=manager is not None)
            failing.watch_threads()
        from rpyc_kernel.hub.foreground import Foreground
        from rpyc_kernel.hub.lifetime import run

        foreground = Foreground(place.name, manager) if manager else None
        run(place, hub_settings, worker_settings, spare, lambda: starter.tell({}), foreground)
    except Exception as error:
        is_foreseen = isinstance(error, (KernelError, OSError))
        logging.getLogger("rpyc_kernel.hub").error("%s", error, exc_info=not is_foreseen)
        if not starter.was_told:  # else it is a kernel's, whose worker lives on without a hub
            if spare is not None and not embedding:  # a program that embeds the kernel goes on
                processes.kill(spare.child.pid)
            place.take_back()
        starter.tell({"error": type(error).__name__, "message": str(error)})
        return 2
    return foreground.exit_status if foreground else 0


class _Starter:
    """Whoever started this hub, and waits for one answer, if there is a descriptor for it."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self.was_told = False

    @property
    def waits(self) -> bool:
        """Whether there is somebody who has not been told yet."""
        return self._descriptor is not None

    def tell(self, answer: dict[str, str]) -> bool:
        """Answer, the first time; False when whoever waits is gone."""
        self.was_told = True
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return True
        try:
            os.write(descriptor, json.dumps(answer).encode())
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
