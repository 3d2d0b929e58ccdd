"""An answer that is to come. A ``Future`` does more, and takes as long as everything else of a short answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from rpyc_kernel.system.originals import logging, threading

_log = logging.getLogger(__name__)


class Later:
    """An answer that is given once, to those who are called then. Nobody can wait for it."""

    __slots__ = ("__weakref__", "_answer", "_error", "_lock", "_tell", "is_over")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tell: list[Callable[[Later], object]] = []
        self._answer: Any = None
        self._error: BaseException | None = None
        self.is_over = False

    def settle(self, answer: Any, error: BaseException | None = None) -> None:
        """Answer it, unless it was answered or given up."""
        with self._lock:
            if self.is_over:
                return
            self._answer, self._error, self.is_over = answer, error, True
        for tell in self._tell:
            self._call(tell)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self.settle(None, CancelledError())

    def add_done_callback(self, tell: Callable[[Later], object]) -> None:
        """Call this with the answer when it is there, which may be now."""
        with self._lock:
            if not self.is_over:
                self._tell.append(tell)
                return
        self._call(tell)

    def result(self) -> Any:
        """What was answered.

        Raises:
            CancelledError: nobody wanted it.
            BaseException: it has failed by this.
        """
        if self._error is not None:
            raise self._error
        return self._answer

    def _call(self, tell: Callable[[Later], object]) -> None:
        """The thread that answers serves others, and does not end for one who is told."""
        try:
            tell(self)
        except Exception:  # noqa: BLE001 - whatever it is, others are to be told
            _log.exception("an answer could not be told")
