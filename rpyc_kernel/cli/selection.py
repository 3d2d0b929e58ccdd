"""Which part of a kernel's past is wanted: from a number or a time on, of an execution, of a session, the last few."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TypeVar

from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Kind

_T = TypeVar("_T")
_PAGE = 1000


class Selection:
    """Events of a kernel that were asked for.

    Args:
        source: the kernel, or what it has left.
        since: the number of an event, an int; else seconds since the epoch, a float.
        execution: the number of the one that is wanted, None for all.
        session: the id or the name of those that are wanted, None for all.
    """

    def __init__(
        self,
        source: KernelClient | Archive,
        since: int | float,
        execution: int | None = None,
        session: str | None = None,
    ) -> None:
        self._source = source
        self._moment = since if isinstance(since, float) else None
        self._execution = execution
        self._session = session
        self._has_session = False
        self._since = since if isinstance(since, int) else self._find(since)

    @property
    def last(self) -> int:
        """The number of the newest event there is."""
        if isinstance(self._source, Archive):
            return self._source.count() or 0
        return int(self._source.status()["last"])

    def events(self, since: int = 0, *, follow: bool = False) -> Iterator[Event]:
        """Yield those that are wanted, after a number."""
        since = max(since, self._since)
        # Whose session has a name is said when it comes, and when it hands in code.
        found = self._read(0 if self._session else since, follow=follow)
        if self._session:
            found = of_session(found, self._session)
        for event in found:
            self._has_session = True
            if event.seq > since and (self._moment is None or event.time >= self._moment):
                yield event

    def tail(self, describe: Callable[[Iterable[Event]], Iterator[_T]], count: int, last: int) -> Iterable[_T]:
        """The last descriptions of those up to a number, without reading more of a long past than is needed."""
        is_whole = self._session is not None or self._execution is not None
        span = max(_PAGE, 2 * count)
        while True:
            since = 0 if is_whole else max(0, last - span)
            found = deque(describe(takewhile(lambda event: event.seq <= last, self.events(since))), count)
            if len(found) == count or since <= self._since:
                return found
            span *= 8

    def require_session(self) -> None:
        """See that what was read has something of the session that is wanted; raises `UsageError` where not."""
        if self._session and not self._has_session:
            where = "" if self._execution is None else f" in execution {self._execution}"
            raise UsageError(f"there is no session {self._session[:100]!r}{where}, or the journal no longer has it")

    def _read(self, since: int, *, follow: bool = False) -> Iterator[Event]:
        return self._source.events(since, follow=follow, execution=self._execution)

    def _find(self, moment: float) -> int:
        """A number before the first event of a time, and not far."""
        low, high = 0, self.last
        while high - low > _PAGE and self._execution is None:
            middle = (low + high) // 2
            with contextlib.closing(self._read(middle)) as events:  # type: ignore[type-var]
                event = next(events, None)
            if event is None or event.time >= moment:
                high = middle
            else:
                low = middle
        return low


def of_session(events: Iterable[Event], wanted: str) -> Iterator[Event]:
    """Yield the events of the sessions of this id, or of this name when they came or handed in code."""
    known = {wanted}
    for event in events:
        if event.kind in (Kind.CLIENT_JOINED, Kind.QUEUED) and event.payload.get("name") == wanted:
            known.add(event.session or wanted)
        if event.session in known:
            yield event
