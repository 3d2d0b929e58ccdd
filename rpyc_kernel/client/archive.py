"""Kernels that are stopped: what they left, read from their journals, and its removal."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
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

    Raises:
        NoSuchKernel: there is no journal of that name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
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
        return self._read("seq > ?", since)

    def _read(self, condition: str, since: int) -> Iterator[Event]:
        while rows := self._select(f"WHERE {condition} ORDER BY seq LIMIT ?", since, _BATCH):
            for seq, time, kind, execution, session, payload in rows:
                since = seq
                loaded = load_payload(payload)
                if loaded is not None and has_texts(kind, loaded):  # one bad row takes no other away
                    yield Event(seq, time, kind, execution, session, loaded)

    def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """Return the newest inputs whose source contains ``pattern``, oldest first.

        Raises:
            RequestError: the journal cannot be read.
        """
        found: list[Past] = []
        for event in self._read(f"seq > ? AND kind = '{Kind.QUEUED}'", 0):
            if was_input(event.payload) and event.execution is not None:
                code = str(event.payload.get("code", ""))
                if pattern in code:
                    found.append(Past(event.seq, event.execution, event.time, str(event.payload.get("name", "")), code))
        return found[-limit:] if limit > 0 else []

    def count(self) -> int | None:
        """How many events there are, None if the journal cannot be read."""
        try:
            rows = self._select("ORDER BY seq DESC LIMIT 1")
        except RequestError:
            return None
        return int(rows[0][0]) if rows else 0

    def _select(self, condition: str, *arguments: int) -> list[tuple[int, float, str, int | None, str | None, str]]:
        path = self._home.journal
        try:
            # Not "immutable", which would leave out what a killed hub had written last; SQLite makes its index anew.
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as journal:
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


def has_archive(name: str) -> bool:
    """Whether there is a journal of that name."""
    try:
        Archive(name)
    except RequestError:
        return False
    return True


def stopped_kernels() -> list[StoppedKernel]:
    """Return the kernels of this user on this machine that do not run and have left a journal, by name."""
    state = Folders.from_environment().state
    found = []
    for path in sorted(state.iterdir()) if state.is_dir() else []:
        home = Home(path)
        if path.is_symlink() or not is_name(path.name) or not home.journal.is_file():
            continue  # no kernel made it
        if (place := find(path.name)).has_hub or place.has_worker:
            continue
        archive = Archive(path.name)
        found.append(StoppedKernel(path.name, "stopped", home.last_seen or 0.0, home.journal_bytes, archive.count()))
    return found


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
