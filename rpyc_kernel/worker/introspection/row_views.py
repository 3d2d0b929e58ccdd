"""The rows of sorted and filtered tables, found once for all pages: a few of them, while they are true.

What has been found holds until code begins or ends, or `set_variable` changes something. While one piece of code runs
the order stays as it was found, so that pages fit each other.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.system.originals import futures, threading

_MAX_BYTES: Final = 256 * 1024 * 1024
_MAX_AT_WORK: Final = 2
"""How many questions may sort, or wait for that, at once: there are few threads, and others want answers, too."""


class RowViews:
    """Keeps the places of rows, by table and what was asked of it.

    Args:
        turns: how often code has begun or ended.
        max_bytes: how large all that is kept may be, beside the newest.
    """

    def __init__(self, turns: Callable[[], int], max_bytes: int = _MAX_BYTES) -> None:
        self._turns = turns
        self._max_bytes = max_bytes
        self._lock = threading.RLock()  # a table may go, and so be forgotten, at any time
        self._views: OrderedDict[Any, futures.Future[Any]] = OrderedDict()
        self._since = -1
        self._at_work = 0

    def find(self, table: Any, chosen: Any, arrange: Callable[[], Any]) -> Any:
        """Return the places of a table's rows, those found before if they still hold.

        Raises:
            WorkerBusy: too many tables are being sorted.
        """
        key = id(table), type(table), chosen
        with self._lock:
            if self._since != self._turns():
                self._views.clear()
                self._since = self._turns()
            view = self._views.get(key)
            if view is not None and view.done():
                self._views.move_to_end(key)
                return view.result()
            if self._at_work >= _MAX_AT_WORK:
                raise WorkerBusy("other tables are just being sorted or filtered; ask again")
            self._at_work += 1
            is_first = view is None
            if view is None:
                view = self._views[key] = futures.Future()
                self._forget_with(table, key)
        try:
            return self._work(key, view, arrange) if is_first else view.result()
        finally:
            with self._lock:
                self._at_work -= 1

    def forget(self) -> None:
        """Drop what was found: something has been changed."""
        with self._lock:
            self._views.clear()

    def _work(self, key: Any, view: futures.Future[Any], arrange: Callable[[], Any]) -> Any:
        try:
            view.set_result(arrange())
        except BaseException as error:
            with self._lock:
                self._drop(key, view)
            view.set_exception(error)
            raise
        with self._lock:
            while len(self._views) > 1 and self._size() > self._max_bytes:
                self._views.popitem(last=False)
        return view.result()

    def _size(self) -> int:
        return sum(
            each.itemsize * len(each) for view in self._views.values() if view.done() for each in [view.result()]
        )

    def _drop(self, key: Any, view: Any) -> None:
        if self._views.get(key) is view:
            del self._views[key]

    def _forget_with(self, table: Any, key: Any) -> None:
        """Drop it when the table goes, as far as its type lets that be known; another one may get its identity."""
        try:
            weakref.finalize(table, self._views.pop, key, None).atexit = False
        except TypeError:
            return
