"""The result of one request: RPyC's ``AsyncResult`` for a connection that has threads of its own.

Whoever reads delivers the raw reply and goes on. Building netrefs from it can take further round trips, so that is left
to whoever first asks for the value, and happens once. A reply that nobody opens gives its references back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rpyc.core import consts
from rpyc.core.async_ import AsyncResult

from rpyc_kernel.errors import CallTimeout
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.system.originals import logging, threading
from rpyc_kernel.wire.netrefs.references import References, UnopenedRef

_log = logging.getLogger(__name__)


class Carrier(Protocol):
    """The part of a connection that brings replies."""

    references: References

    def wait_for(self, latch: Latch, timeout_s: float | None) -> None:
        """Wait for what sets the latch; requests may be served meanwhile."""

    def wait_idly(self, latch: Latch, timeout_s: float | None) -> None:
        """Wait for what sets the latch; nothing is served meanwhile."""

    def run_soon(self, job: Callable[[], None]) -> None:
        """Run the job on another thread than the one that reads."""

    def load_error(self, dumped: Any) -> BaseException:
        """The exception that the peer has dumped."""


class Reply(AsyncResult):
    """What a request will bring. Works with ``rpyc.async_``, ``rpyc.timed`` and whatever else takes ``AsyncResult``."""

    __slots__ = ("__weakref__", "_arrived", "_guard", "_open_lock", "_raw")

    def __init__(self, conn: Carrier, timeout_s: float | None = None) -> None:
        super().__init__(conn)
        if timeout_s is not None:
            self.set_expiry(timeout_s)
        self._arrived = Latch()
        self._open_lock = threading.RLock()
        self._raw: Any = None
        self._guard: UnopenedRef | None = None

    def __call__(self, is_exc: bool, obj: Any) -> None:
        """Deliver a finished value or exception, and run the callbacks here and now; for anybody but who reads."""
        self._deliver(is_exc, obj, None)
        if self._is_ready:
            self.run_callbacks()

    def deliver(self, kind: int, payload: Any) -> None:
        """Deliver what arrived: a resolved package, or a dumped exception."""
        if kind == consts.MSG_EXCEPTION:
            self._deliver(True, None, payload)
        elif payload[0] == consts.LABEL_VALUE:
            self._deliver(False, payload[1], None)
        else:
            self._deliver(False, None, payload)
        self._run_callbacks_soon()

    def fail(self, error: BaseException) -> None:
        """Deliver an exception of this side."""
        self._deliver(True, error, None)
        self._run_callbacks_soon()

    def wait(self) -> None:
        """Wait for the reply; raises ``TimeoutError`` when its time is over."""
        self._wait()
        self._open()

    def wait_idly(self) -> None:
        """Wait until the reply is there or its time is over, and serve no requests meanwhile."""
        self._conn.wait_idly(self._arrived, self._ttl.timeleft())

    def add_callback(self, func: Callable[[Any], None]) -> None:
        """Call ``func(self)`` when the reply is there: at once, or later on the connection's requests thread."""
        self._callbacks.append(func)
        if self._is_ready:
            self.run_callbacks()

    def run_callbacks(self) -> None:
        """Run each callback that has not run yet."""
        while self._callbacks:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:  # another thread took it
                return
            try:
                callback(self)
            except Exception:  # noqa: BLE001 - the callback's own; nobody is there to catch it
                _log.exception("a callback of a reply on %r raised", self._conn)

    @property
    def ready(self) -> bool:
        """Whether the reply has arrived in time."""
        return bool(self._is_ready)

    @property
    def has_arrived(self) -> bool:
        """Whether the reply has arrived, in time or not."""
        return self._arrived.is_set

    @property
    def time_left_s(self) -> float | None:
        """In how many seconds it will be too late; None for never."""
        left_s: float | None = self._ttl.timeleft()
        return left_s

    @property
    def is_awaited(self) -> bool:
        """Whether it is still of use that the reply comes."""
        return not (self._is_ready or self._ttl.expired())

    @property
    def error(self) -> bool:
        """Whether the reply has arrived and is an exception."""
        return bool(self._is_ready and self._is_exc)

    @property
    def value(self) -> Any:
        """The value, waited for; raises what the request raised."""
        self.wait()
        if self._is_exc:
            error: Any = self._obj
            raise error
        return self._obj

    def _wait(self) -> None:
        if not self._arrived.is_set:
            self._conn.wait_for(self._arrived, self._ttl.timeleft())
        if not self._is_ready:
            raise CallTimeout("no reply in the time allowed; the request may still be carried out")

    def _deliver(self, is_exc: bool, obj: Any, raw: Any) -> None:
        if self.expired:
            if raw is not None and not is_exc:
                self._conn.references.discard(raw)
        else:
            if raw is not None and not is_exc:
                self._guard = self._conn.references.guard(self, raw)
            self._is_exc, self._obj, self._raw = is_exc, obj, raw
            self._is_ready = True
        self._arrived.set()

    def _run_callbacks_soon(self) -> None:
        if self._is_ready and self._callbacks:
            self._conn.run_soon(self.run_callbacks)

    def _open(self) -> None:
        if self._raw is None:
            return
        with self._open_lock:
            raw = self._raw
            if raw is None:
                return
            if self._is_exc:
                self._obj, self._raw = self._conn.load_error(raw), None
                return
            references = self._conn.references
            # May take round trips; interrupted, the next to ask starts over.
            sources = references.find_sources(raw, self._ttl.timeleft())
            if self._raw is None:  # opened meanwhile, by a request this thread served while it waited
                return
            try:
                references.unguard(self._guard)  # first: an interrupt may keep references too long, but not too briefly
                self._obj = references.build(raw, sources)
            except BaseException as error:
                self._is_exc, self._obj = True, error
                raise
            finally:
                self._raw = None
