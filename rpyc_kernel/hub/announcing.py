"""Announces a kernel to RPyC's registry, again and again, as that forgets whoever is not heard of."""

from __future__ import annotations

import logging
import threading

from rpyc_kernel.wire.registry import Registry

_log = logging.getLogger(__name__)
_AGAIN_S = 60.0
"""A registry forgets what it has not heard of for 240 s."""
_END_S = 5.0


class Announcer:
    """Announces a kernel from `start` to `close`, on a thread of its own.

    Args:
        registry: where.
        name: the kernel's.
        port: where it listens.
    """

    def __init__(self, registry: Registry, name: str, port: int) -> None:
        self._registry = registry
        self._name = name
        self._port = port
        self._ending = threading.Event()
        self._was_heard: bool | None = None
        self._thread = threading.Thread(target=self._run, name="hub-announcer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Take it back; whoever has asked before still knows of it."""
        self._ending.set()
        self._thread.join(_END_S)

    def _run(self) -> None:
        while True:
            self._announce()
            if self._ending.wait(_AGAIN_S):
                break
        try:
            self._registry.unregister(self._port)
        except OSError as error:
            _log.info("the registry at %s does not hear that this kernel ends: %s", self._registry.host, error)

    def _announce(self) -> None:
        why = "it does not answer"
        try:
            is_heard = self._registry.register(self._name, self._port)
        except (OSError, ValueError) as error:
            is_heard, why = False, str(error)
        if is_heard and not self._was_heard:
            _log.info("announced as %s at port %d to the registry at %s", self._name, self._port, self._registry.host)
        elif not is_heard and self._was_heard is not False:
            _log.warning("the registry at %s does not take note of this kernel: %s", self._registry.host, why)
        self._was_heard = is_heard
