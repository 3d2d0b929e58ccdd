"""Kernels named 'demo' for tests: one of a test's own, or one that the tests of a module have one after the other.

A module whose tests only ask is marked `shares_kernel`: starting a kernel takes longer than most questions. Each test
has a client of its own all the same, and finds neither names nor anything that runs. Who counts executions, looks at
all that ever happened, or changes the process itself, is marked `own_kernel`.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, KernelError
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders, end_processes, temporary_folders
from tests.support.waiting import wait_until

TIDY_S = 10.0
"""How long a kernel may take to be tidied up, seconds; else the next test has a new one."""
SURROUNDINGS = """(lambda os, signal, sys, threading: repr((
    os.getcwd(), dict(os.environ), sys.path, sys.stdin, sys.stdout, sys.stderr, sys.excepthook, threading.excepthook,
    [signal.getsignal(number) for number in signal.valid_signals()],
)))(*map(__import__, ("os", "signal", "sys", "threading")))"""
"""An expression for what a test may change in the worker's process, and the next one would stumble over."""


class SharedKernel:
    """A kernel that is started when a test first needs it, and again when a test left it other than it found it.

    Args:
        engine: what runs its code.
        folders: where it lives; what else is there ends with each test.

    Attributes:
        spared: processes beside it that do not end with a test.
    """

    def __init__(self, engine: str, folders: Folders) -> None:
        self.folders = folders
        self.spared: set[int] = set()
        self._engine = engine
        self._processes: set[int] = set()
        self._names: set[str] = set()
        self._surroundings = ""
        self._files: set[str] = set()

    def make_ready(self) -> None:
        """See it started. The environment has to lead to its folders."""
        if self._processes:
            return
        with rpyc_kernel.start("demo", engine=self._engine, timeout=PATIENCE_S) as client:
            self._names = set(client.execute("tuple(globals())", timeout=PATIENCE_S).value)
            self._surroundings = client.eval(SURROUNDINGS)
            status = client.status()
        self._processes = {status["hub_pid"], status["worker_pid"]}
        self._files = self._list_files()

    def tidy(self) -> None:
        """Take away what a test has left."""
        if self._processes and not self._clear():
            self._processes, self._files = set(), set()
        end_processes(self.folders.runtime, spared=self._processes | self.spared)
        for folder in (self.folders.runtime, self.folders.state):
            for path in folder.iterdir():
                if path.name not in self._files:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _clear(self) -> bool:
        """Take away the names it had not at its start; whether it is idle, and otherwise as it was then."""
        with suppress(KernelError), rpyc_kernel.connect("demo", joins=False, timeout=TIDY_S) as client:
            status = client.status()
            is_same = {status["hub_pid"], status["worker_pid"]} == self._processes
            if is_same and (status["state"], status["queue"], status["side"]) == ("idle", [], []):
                new = f"globals().keys() - {self._names!r}"
                client.eval(f"len([globals().pop(name) for name in {new}])")
                return bool(client.eval(SURROUNDINGS) == self._surroundings)
        return False

    def _list_files(self) -> set[str]:
        return {path.name for folder in (self.folders.runtime, self.folders.state) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shared_kernels() -> Iterator[Callable[[str], SharedKernel]]:
    """Gives the kernel with an engine of all the module's tests that share one."""
    with ExitStack() as opened:
        yield cache(lambda engine: SharedKernel(engine, opened.enter_context(temporary_folders())))


@pytest.fixture
def engine() -> str:
    """What runs a kernel's code; a module that tests several has a fixture of its own."""
    return "auto"


@pytest.fixture
def shared_kernel(request: pytest.FixtureRequest) -> SharedKernel | None:
    """The kernel that the test shares with others, None where it has its own."""
    marker = request.node.get_closest_marker
    if marker("shares_kernel") is None or marker("own_kernel") is not None:
        return None
    # Not asked for above: of several engines, a test without a kernel needs no turn with each.
    engine = request.getfixturevalue("engine") if "engine" in request.fixturenames else "auto"
    shared: SharedKernel = request.getfixturevalue("shared_kernels")(engine)
    return shared


@pytest.fixture
def folders(shared_kernel: SharedKernel | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    """Folders, set in the environment, with the shared kernel if there is one. What else runs there is ended."""

    def set_environment(folders: Folders) -> None:
        for name, value in folders.environment.items():
            monkeypatch.setenv(name, value)

    if shared_kernel is None:
        with temporary_folders() as own:
            set_environment(own)
            yield own
    else:
        set_environment(shared_kernel.folders)
        yield shared_kernel.folders
        shared_kernel.tidy()


@pytest.fixture
def kernel(engine: str, folders: Folders, shared_kernel: SharedKernel | None) -> Iterator[KernelClient]:
    """A client of a kernel named 'demo'."""
    with open_kernel(engine, shared_kernel) as client:
        yield client


@pytest.fixture
def demo(folders: Folders, shared_kernel: SharedKernel | None) -> None:
    """A kernel named 'demo', whose worker is ready."""
    if shared_kernel is None:
        with rpyc_kernel.start("demo", timeout=PATIENCE_S) as client:
            wait_until(lambda: client.status()["state"] == "idle", PATIENCE_S, "the worker")
    else:
        shared_kernel.make_ready()


@contextmanager
def open_kernel(engine: str, shared_kernel: SharedKernel | None) -> Iterator[KernelClient]:
    """A client of the shared kernel if there is one, else of a new one with the engine."""
    if shared_kernel is None:
        with rpyc_kernel.start("demo", engine=engine, timeout=PATIENCE_S) as client:
            yield client
            with suppress(KernelError):  # the test may have ended it
                client.shutdown(timeout=PATIENCE_S)
    else:
        shared_kernel.make_ready()
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
            yield client
