"""An engine in the tests' own process, and what it published."""

import asyncio
import atexit
import builtins
import contextlib
import linecache
import sys
import textwrap

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.core.source import Program
from rpyc_kernel.worker import user_frames
from rpyc_kernel.worker.capture import begin_execution, current_execution, end_execution
from rpyc_kernel.worker.engines.choice import choose_engine
from rpyc_kernel.worker.interrupts import Interrupts

KEPT_VALUES = 3
BUILTINS = ("_", "Out", "display", "update_display", "clear_output", "get_ipython", "exit", "quit")


class Session:
    """An engine, and what it published."""

    def __init__(self, engine, **options):
        self.events = []
        self.interrupts = Interrupts()
        self.engine = choose_engine(engine)(
            lambda kind, execution, payload: self.events.append((kind, execution, payload)),
            self.interrupts,
            KEPT_VALUES,
            **options,
        )
        self._executions = 0

    def run(self, code, source=None, *, is_input=True):
        """Run code, a coroutine to its end; returns the outcome. What is no input is counted and kept nowhere."""
        self._executions += 1
        token = current_execution.set(self._executions)
        begin_execution(self._executions, is_main=True)
        try:
            count = self._executions if is_input else None
            outcome = self.engine.run(self._executions, textwrap.dedent(code), source, count)
            return outcome if isinstance(outcome, str) else asyncio.run(as_coroutine(outcome))
        finally:
            current_execution.reset(token)
            end_execution(self._executions)

    def run_file(self, path, *arguments, **options):
        """Run a file as a program; returns the outcome."""
        return self.run("", Program(str(path), arguments, **options))

    def shown(self, kind):
        """The payloads of all events of a kind."""
        return [payload for found, _, payload in self.events if found == kind]

    def last(self, kind):
        found_kind, execution, payload = self.events[-1]
        assert (found_kind, execution) == (kind, self._executions)
        return payload

    def result(self, code):
        """The payload of the result of code that must succeed."""
        assert self.run(code) == Outcome.OK
        return self.last(Kind.RESULT)

    def error(self, code):
        """The payload of the error of code that must fail."""
        assert self.run(code) == Outcome.ERROR
        return self.last(Kind.ERROR)


async def as_coroutine(outcome):
    return await outcome


@pytest.fixture(params=["plain", "ipython"])
def session(request, monkeypatch, tmp_path):
    """An engine in this very process, whose traces in it are wiped away."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield from start_session(request.param, monkeypatch)


@pytest.fixture
def plain(monkeypatch):
    """The plain engine."""
    yield from start_session("plain", monkeypatch)


@pytest.fixture
def ipython(monkeypatch, tmp_path):
    """The engine of IPython."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    yield from start_session("ipython", monkeypatch)


@pytest.fixture
def open_ipython(monkeypatch, tmp_path):
    """Makes the engine of IPython with options, once; the profile is in the folder ``ipython/profile_default``."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    for name in ("PAGER", "GIT_PAGER", "TERM", "CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "before")
    with contextlib.ExitStack() as opened:

        def open_one(**options):
            started = contextlib.contextmanager(start_session)("ipython", monkeypatch, **options)
            return opened.enter_context(started)

        yield open_one


def start_session(engine, monkeypatch, **options):
    if engine == "ipython":
        pytest.importorskip("IPython")
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(linecache, "cache", {})
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    for name in [name for name in sys.modules if name.partition(".")[0] == "ipykernel"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(user_frames, "_hidden", user_frames._hidden)
    before = {name: vars(builtins).get(name) for name in BUILTINS}
    try:
        yield Session(engine, **options)
    finally:
        if engine == "ipython":
            end_shell()
        for name, value in before.items():
            vars(builtins).pop(name, None)
            if value is not None:
                setattr(builtins, name, value)
        for name in [name for name in sys.modules if name.partition(".")[0] == "ipykernel"]:
            del sys.modules[name]
        for name in ("last_type", "last_value", "last_traceback", "last_exc"):
            vars(sys).pop(name, None)


def end_shell():
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Application

    if "kernel" in vars(Application):
        del Application.kernel

    shell = InteractiveShell.instance()
    shell.restore_sys_module_state()
    atexit.unregister(shell.atexit_operations)  # hundreds of shells would be taken apart one more time at the end
    type(shell).clear_instance()
