"""Kernels that are stopped: what they left, read from their journals, and its removal."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rpyc_kernel.client.kernel import Past
from rpyc_kernel.client.whereabouts import find
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.core.form import was_input
from rpyc_kernel.core.payloads import has_texts, load_payload
from rpyc_kernel.errors import KernelExists, NoSuchKernel, RequestError
from rpyc_kernel.settings import Folders, check_name, is_name
from rpyc_kernel.system.home import Home, check_journal_version

_BATCH = 1000
_LOCK_PATIENCE_S = 2.0
_MAX_RECALLED = 8
_PATIENCE_S = 0.3
_STEPS = 10_000
"""After so many steps of SQLite it is asked whether it takes too long."""
_BEYOND = 2**63 - 1
"""No event has as high a number."""


@dataclass(frozen=True)
class StoppedKernel:
    """A kernel that does not run, and whose journal is there.

    Attributes:
        name: its name.
        state: ``stopped``.
        last_seen: when it last wrote something, seconds since the epoch.
        journal_bytes: how much room its journal takes.
        events: how many events it holds; None if it cannot be read.
    """

    name: str
    state: str
    last_seen: float
    journal_bytes: int
    events: int | None


class Archive:
    """The journal of a kernel that does not run.

    Args:
        name: of the kernel.
        patience_s: for how long to read it at most, None for as long as it takes.

    Raises:
        NoSuchKernel: there is no journal of that name.
    """

    def __init__(self, name: str, *, patience_s: float | None = None) -> None:
        self.name = name
        self._deadline = None if patience_s is None else time.monotonic() + patience_s
        self._home = Home(Folders.from_environment().state / check_name(name))
        if not self._home.journal.is_file():
            raise NoSuchKernel(
                f"there is no kernel {name!r}, and no journal of one; 'rpyc-kernel list --all' shows all"
            )

    def events(self, since: int = 0) -> Iterator[Event]:
        """Yield what happened, in order.

        Args:
            since: begin after this event.

        Raises:
            RequestError: the journal cannot be read.
        """
        return self._read("WHERE seq > ? ORDER BY seq", max(0, min(since, _BEYOND)))

    def _read(self, condition: str, edge: int) -> Iterator[Event]:
        """Yield the events that a condition selects, which goes on from the edge that the last one makes."""
        while rows := self._select(f"{condition} LIMIT ?", edge, _BATCH):
            for seq, when, kind, execution, session, payload in rows:
                edge = seq
                loaded = load_payload(payload)
                if loaded is not None and has_texts(kind, loaded):  # one bad row takes no other away
                    yield Event(seq, when, kind, execution, session, loaded)

    def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """Return the newest inputs whose source contains ``pattern``, oldest first.

        Raises:
            RequestError: the journal cannot be read.
        """
        found: list[Past] = []
        newest_first = self._read(f"WHERE seq < ? AND kind = '{Kind.QUEUED}' ORDER BY seq DESC", _BEYOND)
        for event in newest_first if limit > 0 else ():
            if was_input(event.payload) and event.execution is not None:
                code = str(event.payload.get("code", ""))
                if pattern in code:
                    found.append(Past(event.seq, event.execution, event.time, str(event.payload.get("name", "")), code))
                    if len(found) == limit:
                        break
        return found[::-1]

    def count(self) -> int | None:
        """How many events there are, None if the journal cannot be read."""
        try:
            rows = self._select("ORDER BY seq DESC LIMIT 1")
        except RequestError:
            return None
        return int(rows[0][0]) if rows else 0

    def _select(self, condition: str, *arguments: int) -> list[tuple[int, float, str, int | None, str | None, str]]:
        path = self._home.journal
        left_s = _LOCK_PATIENCE_S if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        # "immutable" locks and writes nothing, whatever a hub that is just being started does there. But it leaves out
        # what a killed hub had written last: where there is such, SQLite makes the index of it anew.
        mode = "mode=ro" if self._home.has_unmerged else "immutable=1"
        try:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=left_s)) as journal:
                if self._deadline is not None:
                    journal.set_progress_handler(self._is_late, _STEPS)
                check_journal_version(path, int(journal.execute("PRAGMA user_version").fetchone()[0]))
                journal.text_factory = lambda data: data.decode("utf-8", "replace")  # or one bad row takes all away
                return journal.execute(
                    f"SELECT seq, time, kind, execution, session, payload FROM events {condition}", arguments
                ).fetchall()
        except sqlite3.Error as error:
            raise RequestError(
                f"the journal {path} cannot be read: {error}; if it is damaged, 'rpyc-kernel start {self.name}' "
                "recovers what can be read of it"
            ) from None

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline


def has_archive(name: str) -> bool:
    """Whether there is a journal of that name."""
    try:
        Archive(name)
    except RequestError:
        return False
    return True


def stopped_kernels() -> list[StoppedKernel]:
    """Return the kernels of this user on this machine that do not run and have left a journal, by name."""
    found = []
    for home in _list_homes():
        name = home.path.name
        if (place := find(name)).has_hub or place.has_worker:
            continue
        events = Archive(name).count()
        found.append(StoppedKernel(name, "stopped", home.last_seen or 0.0, home.journal_bytes, events))
    return found


def recall_stopped(running: Collection[str], *, limit: int) -> list[Past]:
    """Return the newest inputs of stopped kernels; of a journal that cannot be read in a moment, none.

    Args:
        running: names of kernels to leave out.
        limit: how many at most of each kernel.
    """
    left = [home for home in _list_homes() if home.path.name not in running]
    found: list[Past] = []
    for home in sorted(left, key=lambda home: -(home.last_seen or 0.0))[:_MAX_RECALLED]:
        with contextlib.suppress(RequestError):
            found += Archive(home.path.name, patience_s=_PATIENCE_S).history(limit=limit)
    return found


def _list_homes() -> list[Home]:
    """The homes with journals, by name; what no kernel made is left out."""
    state = Folders.from_environment().state
    homes = [Home(path) for path in sorted(state.iterdir()) if is_name(path.name)] if state.is_dir() else []
    return [home for home in homes if not home.path.is_symlink() and home.journal.is_file()]


def forget(name: str) -> None:
    """Remove what a stopped kernel left: its journal, its log, and all else that it made.

    Raises:
        KernelExists: it runs, or its worker lives.
        NoSuchKernel: there is nothing of that name.
        RequestError: something else is in its folder, which is left alone.
    """
    home = Home(Folders.from_environment().state / check_name(name))
    if not home.path.is_dir():
        raise NoSuchKernel(f"there is no kernel {name!r} to forget; 'rpyc-kernel list --all' shows all")
    home.create()  # or refuse what is not a kernel's
    home.lock()
    try:
        place = find(name)
        if place.has_worker:
            raise KernelExists(f"kernel {name!r} has a worker that lives; end it first with 'rpyc-kernel stop {name}'")
        if place.runtime is not None and not place.runtime.has_hub:
            place.runtime.remove()
        home.remove()
    finally:
        home.unlock()
