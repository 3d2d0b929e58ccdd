"""Kernels named 'demo' for tests: one of a test's own, or one that the tests of a module have one after the other.

A module whose tests only ask is marked `shares_kernel`: starting a kernel takes longer than most questions. Each test
has a client of its own all the same, and finds neither names nor anything that runs. Who counts executions, looks at
all that ever happened, or changes the process itself, is marked `own_kernel`.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, KernelError
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders, end_processes, temporary_folders

TIDY_S = 10.0
"""How long a kernel may take to be tidied up, seconds; else the next test has a new one."""


class SharedKernel:
    """A kernel that is started when a test first needs it, and again when a test left it other than it found it.

    Args:
        folders: where it lives; what else is there ends with each test.
    """

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self._processes: set[int] = set()
        self._names: list[str] = []
        self._files: set[str] = set()

    def make_ready(self) -> None:
        """See it started. The environment has to lead to its folders."""
        if self._processes:
            return
        with rpyc_kernel.start("demo", timeout=PATIENCE_S) as client:
            self._names = client.execute("tuple(globals())", timeout=PATIENCE_S).value
            status = client.status()
        self._processes = {status["hub_pid"], status["worker_pid"]}
        self._files = self._list_files()

    def tidy(self) -> None:
        """Take away what a test has left."""
        if self._processes and not self._clear():
            self._processes, self._files = set(), set()
        end_processes(self.folders.runtime, spared=self._processes)
        for folder in (self.folders.runtime, self.folders.state):
            for path in folder.iterdir():
                if path.name not in self._files:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _clear(self) -> bool:
        """Whether it is the same kernel as before, does nothing, and has no names any more that it had not then."""
        with suppress(KernelError), rpyc_kernel.connect("demo", joins=False, timeout=TIDY_S) as client:
            status = client.status()
            is_same = {status["hub_pid"], status["worker_pid"]} == self._processes
            if is_same and (status["state"], status["queue"], status["side"]) == ("idle", [], []):
                new = f"globals().keys() - {set(self._names)!r}"
                return client.eval(f"bool([globals().pop(name) for name in {new}]) or True") is True
        return False

    def _list_files(self) -> set[str]:
        return {path.name for folder in (self.folders.runtime, self.folders.state) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shared_kernel() -> Iterator[SharedKernel]:
    """The kernel of all the module's tests that share one."""
    with temporary_folders() as folders:
        yield SharedKernel(folders)


def _is_shared(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker
    return marker("shares_kernel") is not None and marker("own_kernel") is None


@pytest.fixture
def folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """Folders, set in the environment, with the shared kernel if there is one. What else runs there is ended."""

    def set_environment(folders: Folders) -> None:
        for name, value in folders.environment.items():
            monkeypatch.setenv(name, value)

    if _is_shared(request):
        shared: SharedKernel = request.getfixturevalue("shared_kernel")
        set_environment(shared.folders)
        yield shared.folders
        shared.tidy()
    else:
        with temporary_folders() as own:
            set_environment(own)
            yield own


@pytest.fixture
def kernel(request: pytest.FixtureRequest, folders: Folders) -> Iterator[KernelClient]:
    """A client of a kernel named 'demo'."""
    if _is_shared(request):
        request.getfixturevalue("shared_kernel").make_ready()
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
            yield client
    else:
        with rpyc_kernel.start("demo", timeout=PATIENCE_S) as client:
            yield client
            with suppress(KernelError):  # the test may have ended it
                client.shutdown(timeout=PATIENCE_S)
