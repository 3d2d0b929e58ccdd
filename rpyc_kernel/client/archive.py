"""Kernels that are stopped: what they left, read from their journals, and its removal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator

from rpyc_kernel.client.kernel import Past
from rpyc_kernel.client.whereabouts import find, look_in
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import KernelExists, NoSuchExecution, NoSuchKernel, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import Folders, check_name, is_name
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.journal_file import JournalError, JournalFile
from rpyc_kernel.system.runtime_folder import RuntimeFolder

_MAX_RECALLED = 8
_PATIENCE_S = 0.3


class StoppedKernel(Frozen):
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
    """The journal of a kernel that does not run, read for so long at most; NoSuchKernel where there is none."""

    def __init__(self, name: str, *, patience_s: float | None = None) -> None:
        self.name = name
        deadline = None if patience_s is None else time.monotonic() + patience_s
        self._home = Home(Folders.from_environment().state / check_name(name))
        if not self._home.journal.is_file():
            raise NoSuchKernel(
                f"there is no kernel {name!r}, and no journal of one; 'rpyc-kernel list --all' shows all"
            )
        self._file = JournalFile(self._home.journal, deadline=deadline)

    def events(self, since: int = 0, *, follow: bool = False, execution: int | None = None) -> Iterator[Event]:
        """Yield what happened after an event, in order, or only what belongs to one execution, up to its end.

        A kernel that runs is asked alike; here nothing more will come, also where it is to be followed.

        Raises:
            RequestError: the journal cannot be read.
            NoSuchExecution: there never was an execution of this number.
        """
        with self._readable():
            if execution is None:
                yield from self._file.events(since)
                return
            first = self._file.find(execution)
            if first is None:
                raise NoSuchExecution(f"there is no execution {execution} in the journal of kernel {self.name!r}")
            for event in self._file.events(first - 1):
                if event.execution == execution and event.seq > since:
                    yield event
                if event.execution == execution and event.kind == Kind.FINISHED:
                    return

    def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """Return the newest inputs whose source contains ``pattern``, oldest first; raises as `events`."""
        with self._readable():
            found = self._file.inputs(pattern, limit)
        return [
            Past(event.seq, event.execution or 0, event.time, event.payload["name"], event.payload["code"])
            for event in reversed(found)
        ]

    def count(self) -> int | None:
        """How many events there are, None if the journal cannot be read."""
        try:
            with self._readable():
                return self._file.last()
        except RequestError:
            return None

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            raise RequestError(
                f"the journal {self._home.journal} cannot be read: {error}; if it is damaged, "
                f"'rpyc-kernel start {self.name}' recovers what can be read of it"
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
    found = []
    for home in _list_homes():
        name = home.path.name
        if (place := find(name)).has_hub or place.has_worker:
            continue
        with contextlib.suppress(NoSuchKernel):  # somebody forgets it just now
            events = Archive(name).count()
            found.append(StoppedKernel(name, "stopped", home.last_seen or 0.0, home.journal_bytes, events))
    return found


def recall_stopped(running: Collection[str], *, limit: int) -> list[Past]:
    """Return the newest inputs of each kernel that does not run; of a journal that cannot be read in a moment, none."""
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
    folders = Folders.from_environment()
    home, usual = Home(folders.state / check_name(name)), RuntimeFolder(folders.runtime / name)
    if home.path.is_dir():
        _remove(home)
        if usual.path.is_dir() and _is_nobodys(usual, home):
            _remove(usual)
    elif usual.path.is_dir():
        _remove(usual)  # of a private kernel, or of one whose home is gone
    else:
        raise NoSuchKernel(f"there is no kernel {name!r} to forget; 'rpyc-kernel list --all' shows all")


def _is_nobodys(usual: RuntimeFolder, home: Home) -> bool:
    """Whether this is left of the kernel with that home, and not another's."""
    file = look_in(str(usual.path)).file
    return not usual.has_hub and (file is None or file.home in ("", str(home.path)))


def _remove(folder: Home) -> None:
    name = folder.path.name
    folder.create()  # or refuse what is not a kernel's
    folder.lock()
    try:
        place = look_in(str(folder.path))
        if place.has_worker:
            raise KernelExists(f"kernel {name!r} has a worker that lives; end it first with 'rpyc-kernel stop {name}'")
        if place.runtime is not None and not place.runtime.has_hub:
            place.runtime.remove()
        folder.remove()
    finally:
        folder.unlock()
