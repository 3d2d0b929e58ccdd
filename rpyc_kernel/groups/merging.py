"""Events of many kernels as one stream, each with who said it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from rpyc_kernel.client.events import Watch
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import GroupFailed
from rpyc_kernel.groups.fanning import fan_out, make_failure
from rpyc_kernel.groups.waiting import Bell, Loop

OnLoss = Callable[[str, Exception], object]
"""Told at once whose events will not come any more, and why."""


def merge(
    starts: Mapping[str, Callable[[], Watch]], timeout_s: float | None = None, on_loss: OnLoss | None = None
) -> Iterator[tuple[str, Event]]:
    """Yield what comes from all of them, until each has ended.

    Args:
        starts: what makes the watch of each, by name.
        timeout_s: how long nothing may come; None is for ever.
        on_loss: told of each that cannot be watched, or no longer.

    Raises:
        TimeoutError: nothing came for so long.
        GroupFailed: there were such, of whom nobody was told; raised when the others have ended.
    """
    merging = _Merging(on_loss)
    try:
        merging.open(starts)
        yield from merging.follow(timeout_s)
    finally:
        merging.close()


class _Merging:
    def __init__(self, on_loss: OnLoss | None) -> None:
        self._errors: dict[str, Exception] = {}
        self._on_loss = on_loss or self._errors.__setitem__
        self._bell = Bell()
        self._watches: dict[Watch, str] = {}
        self._arrived: deque[tuple[str, Event]] = deque()

    def open(self, starts: Mapping[str, Callable[[], Watch]]) -> None:
        try:
            watches = fan_out("watch", starts)
        except GroupFailed as failed:
            watches = failed.results
            for name, error in failed.errors.items():
                self._on_loss(name, error)
        self._watches = {watch: name for name, watch in watches.items()}

    def follow(self, timeout_s: float | None) -> Iterator[tuple[str, Event]]:
        loop = Loop(self._bell, self._list_open, self._take)
        since = time.monotonic()
        while self._arrived or self._list_open():
            while self._arrived:
                yield self._arrived.popleft()
                since = time.monotonic()
            left_s = None if timeout_s is None else max(0.0, since + timeout_s - time.monotonic())
            if not loop.run(lambda: bool(self._arrived) or not self._list_open(), left_s):
                raise TimeoutError(f"nothing came for {timeout_s:g} s")
        if self._errors:
            raise make_failure("watch", self._errors, {})

    def close(self) -> None:
        for watch in self._watches:
            watch.close()
        self._bell.close()

    def _list_open(self) -> list[Watch]:
        return [watch for watch in self._watches if not watch.has_ended]

    def _take(self, watch: Watch) -> None:
        name = self._watches[watch]
        self._arrived.extend((name, event) for event in watch.take())
        watch.go_on()
        if watch.error is not None:
            self._on_loss(name, watch.error)
            watch.error = None
