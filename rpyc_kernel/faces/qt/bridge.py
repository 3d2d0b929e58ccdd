"""The way into the GUI's thread: other threads leave calls here, which are made there."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from threading import Lock

from qtpy.QtCore import QObject, Qt, Signal

_log = logging.getLogger(__name__)


class Bridge(QObject):
    """Makes calls in the thread that it was made in. However many have piled up, the loop there is woken once.

    It belongs to nobody's tree of objects: who makes it holds it, and closes it.
    """

    _woken = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._calls: deque[Callable[[], object]] = deque()
        self._is_open = True
        self._woken.connect(self._make_calls, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], object]) -> None:
        """Have a call made soon; after `close`, never. From any thread."""
        with self._lock:
            if not self._is_open:
                return
            is_first = not self._calls
            self._calls.append(call)
            if is_first:
                try:
                    self._woken.emit()
                except RuntimeError:  # the program ends, and Qt has taken this object away
                    self._is_open = False

    def close(self, *_: object) -> None:
        """Make no more calls."""
        with self._lock:
            self._is_open = False
            self._calls.clear()

    def _make_calls(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, deque()
        for call in calls:
            if self._is_open:
                try:
                    call()
                except Exception:  # noqa: BLE001 - the others are to be made all the same
                    _log.exception("a call in the thread of the window failed")
