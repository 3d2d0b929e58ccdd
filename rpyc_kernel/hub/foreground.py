"""A hub in the foreground: whoever started it, as a service manager, a container or a terminal, waits for its end."""

from __future__ import annotations

import logging
import signal
import threading

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import State
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.system.processes import collect_orphans
from rpyc_kernel.system.service_manager import ServiceManager

_log = logging.getLogger(__name__)
_LOOK_S = 0.2
_FAILED = 1


class Foreground:
    """Keeps whoever waits informed, and does what a first process has to do.

    Args:
        name: of the kernel.
        manager: told when there is a worker, and when the end begins.

    Attributes:
        signals: what ends the kernel, besides SIGTERM and SIGINT.
        exit_status: of the hub, once it has ended in good order.
    """

    def __init__(self, name: str, manager: ServiceManager) -> None:
        self._name = name
        self._manager = manager
        # A terminal that is closed; who wants the kernel to outlive it has started it under nohup.
        self.signals = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        self.exit_status = 0

    def wait_until_ready(self, hub: Hub, stopping: threading.Event) -> None:
        """Wait until there is a worker, and say so; or until there will be none."""
        while not hub.wait_for_worker(_LOOK_S):
            self.look(hub)
            if stopping.is_set():
                return
        _log.info("kernel %s is ready", self._name)
        self._manager.tell("READY=1")

    def look(self, hub: Hub) -> None:
        """Do what is to be done about once a second."""
        collect_orphans()
        if hub.look(lambda state: state.lifecycle) == State.DEAD and not self.exit_status:
            # Nobody may come to restart it, and whoever waits for the hub can start the next one.
            self.exit_status = _FAILED
            hub.handle(events.ShutdownRequested(None, "its worker cannot be started"))

    def tell_end(self, reason: str) -> None:
        """Say that the end has begun, and why."""
        _log.info("kernel %s ends: %s", self._name, reason)
        self._manager.tell("STOPPING=1")
