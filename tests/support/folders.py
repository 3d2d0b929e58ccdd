"""A runtime and a state folder of a test's own, and the end of every kernel that was started in them."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import (
    Process,
    find_descendants,
    list_descendants,
    list_processes,
    read_command,
    was_started_with,
)
from tests.support.waiting import wait_until

RUNTIME_VARIABLE = "RPYC_KERNEL_RUNTIME_DIR"
STATE_VARIABLE = "RPYC_KERNEL_STATE_DIR"
MODULES = ("rpyc_kernel.hub", "rpyc_kernel.worker")


@dataclass(frozen=True)
class Folders:
    """Where the kernels of one test live."""

    runtime: Path
    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a process to these folders."""
        return {RUNTIME_VARIABLE: str(self.runtime), STATE_VARIABLE: str(self.state)}


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """Folders that exist for this test alone, set in the environment. Kernels still there at its end are killed."""
    with temporary_folders() as folders:
        for name, value in folders.environment.items():
            monkeypatch.setenv(name, value)
        yield folders


@contextmanager
def temporary_folders() -> Iterator[Folders]:
    """The same for a fixture of wider scope, which has to see to the environment itself."""
    older = {process.pid for process in list_descendants()}
    # Not pytest's tmp_path: the path of a unix socket must stay below about 100 characters.
    top = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    folders = Folders(top / "r", top / "s")
    for folder in (folders.runtime, folders.state):
        folder.mkdir(mode=0o700)
    try:
        yield folders
    finally:
        end_processes(folders.runtime, spared=older)
        shutil.rmtree(top)


def end_processes(runtime: Path, spared: Collection[int] = ()) -> None:
    """Kill what runs for this runtime folder, and the hubs and workers descending from this process; see them gone.

    Args:
        runtime: The folder whose subfolders are the kernels'.
        spared: What belongs to somebody else, such as a fixture of wider scope.
    """
    killed: set[int] = set()

    def are_all_gone() -> bool:
        running = [process for process in list_processes() if not process.is_zombie]
        descendants = find_descendants(running)
        if not all(read_command(child.pid) for child in descendants):
            return False  # just becoming another program, or just gone: what it is shows in a moment
        ours = _find_ours(running, descendants, runtime, spared)
        for pid in ours:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(ours)
        return not killed.intersection(process.pid for process in running)

    wait_until(are_all_gone, what=f"the end of the processes of {runtime}")
    for pid in killed:
        with suppress(ChildProcessError):  # not a child of ours, or its owner has waited for it
            os.waitpid(pid, 0)


def _find_ours(running: list[Process], descendants: list[Process], runtime: Path, spared: Collection[int]) -> list[int]:
    """The processes to kill, hubs first, as a hub starts a new worker for one that died.

    A recorded number may have been given to a stranger since, so the command line has to agree. The folder's name in
    the environment is proof by itself: it finds orphans that no file mentions, and what user code started.
    """
    suspects = _read_recorded(runtime) | {process.pid for process in descendants}.difference(spared)
    commands = {process.pid: read_command(process.pid) for process in running if process.pid in suspects}
    named = [pid for pid, command in commands.items() if any(module in command for module in MODULES)]
    proven = [process.pid for process in running if was_started_with(process.pid, RUNTIME_VARIABLE, str(runtime))]
    return sorted(
        {*named, *proven}.difference(spared, {os.getpid()}), key=lambda pid: MODULES[0] not in commands.get(pid, "")
    )


def _read_recorded(runtime: Path) -> set[int]:
    recorded = set()
    for file in runtime.glob("*/kernel.json"):
        with suppress(OSError, ValueError):  # just being written or removed
            content = json.loads(file.read_text())
            recorded |= {content.get(key) for key in ("hub_pid", "worker_pid")}
    return {pid for pid in recorded if isinstance(pid, int)}
