"""Attaching to a program that runs: by Python 3.14 where that is here, and by a program that does what 3.14 does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, KernelError, KernelExists, RequestError
from rpyc_kernel.client.bundle import unpack_bundle
from rpyc_kernel.system import other_pythons
from tests.end_to_end.clients import PATIENCE_S
from tests.support.interpreters import need_python
from tests.support.processes import suspend
from tests.support.waiting import in_thread, wait_until

PROGRAM = Path(__file__).parent / "programs" / "attached.py"
AS_EVER = (3, "goes on [] []\n", "")


class Program:
    """A program that knows nothing of kernels, in a Python that has none of our packages."""

    def __init__(self, *command: str | Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begins\n"

    def finish(self) -> tuple[int, str, str]:
        """Its exit status, and what it has printed since it began."""
        out, err = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, out, err

    def end(self) -> None:
        """End it, if it has not."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def running(*command: str | Path) -> Iterator[Program]:
    with ExitStack() as stack:
        program = Program(*command)
        stack.callback(program.end)
        yield program


@pytest.fixture
def program(folders: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """A program that runs what `sys.remote_exec` hands to it, as those of 3.14 do."""
    file = tmp_path / "path"

    def remote_exec(pid: int, path: str) -> None:
        assert os.path.exists(path)
        file.write_text(path)
        os.kill(pid, signal.SIGUSR2)

    monkeypatch.setattr(sys, "remote_exec", remote_exec, raising=False)
    monkeypatch.setattr(other_pythons, "_FIRST", (3, 10))
    with running(sys.executable, "-I", "-S", "-W", "always", PROGRAM, file) as program:
        yield program


def look_in(client: KernelClient) -> None:
    before = client.execute("steps").value
    wait_until(lambda: client.execute("steps").value > before)
    with rpyc_kernel.connect(client.name, timeout=PATIENCE_S) as other:
        assert other.execute("import sys\nprint('to clients')\nsys.argv[0]").value == str(PROGRAM)
        assert "".join(e.text for e in other.events(follow=False) if e.kind == "stream") == "to clients\n"
        assert other.complete("surround").items


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where what is handed over stands, of this test's own: others attach at the same time."""
    with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as folder:
        monkeypatch.setattr("rpyc_kernel.system.attaching._FOLDERS", folder)
        yield folder


def test_a_program_is_opened_goes_on_meanwhile_and_ends_as_ever(private: str, program: Program) -> None:
    with rpyc_kernel.attach(program.pid, timeout=PATIENCE_S) as client:
        assert client.name == f"attached-{program.pid}"
        look_in(client)
        with pytest.raises(RequestError, match=rf"process {program.pid}\) has the embedded kernel '{client.name}'"):
            rpyc_kernel.attach(program.pid, "other", timeout=PATIENCE_S)
        with pytest.raises(KernelExists, match="running already; choose another name"):
            rpyc_kernel.attach(program.pid, timeout=PATIENCE_S)
        client.execute("forks = False")
        client.shutdown()
    with rpyc_kernel.attach(program.pid, "again", timeout=PATIENCE_S) as client:
        client.execute("steps = -1000")
        client.shutdown()
    assert program.finish() == AS_EVER
    assert os.listdir(private) == []


def test_python_314_attaches_to_a_program_of_its_own(folders: object, tmp_path: Path) -> None:
    python = need_python("3.14")
    bundle = unpack_bundle()
    with running(python, "-W", "always", PROGRAM) as program:

        def attach(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [python, bundle, "attach", str(program.pid), *arguments]
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

        for name in ("first", "again"):
            done = attach("--name", name, "--json")
            assert (done.returncode, done.stderr) == (0, "")
            assert json.loads(done.stdout)["name"] == name
            with rpyc_kernel.connect(name, timeout=PATIENCE_S) as client:
                look_in(client)
                assert f"has the embedded kernel '{name}' already" in attach().stderr
                client.execute(f"forks = False; steps = {-1000 if name == 'again' else 0}")
                client.shutdown()
        assert program.finish() == AS_EVER


def test_what_is_no_process_to_attach_to_gets_a_clear_word(
    folders: object, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def word(pid: int, **arguments: Any) -> str:
        with pytest.raises(RequestError) as refused:
            rpyc_kernel.attach(pid, **arguments)
        return str(refused.value)

    assert "is this one; open it with rpyc_kernel.embed()" in word(os.getpid())
    assert "there is no process 0" in word(0)
    assert "cannot name a kernel" in word(program.pid, name="no name")
    with subprocess.Popen(["sleep", "60"]) as asleep:
        try:
            wait_until(lambda: "runs no Python (/usr/bin/sleep)" in word(asleep.pid))
        finally:
            asleep.kill()
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        kernel.execute("")
        status = kernel.status()
        assert "is the hub of kernel 'demo'; connect to it" in word(status["hub_pid"])
        assert "is the worker of kernel 'demo'; connect to it" in word(status["worker_pid"])
        kernel.shutdown()
    monkeypatch.setattr(other_pythons, "_FIRST", (3, 14))
    monkeypatch.setattr(other_pythons, "version_of", lambda pid: (3, 19))
    assert f"runs Python 3.19, and this is Python {sys.version_info[0]}.{sys.version_info[1]}; attach with" in word(
        program.pid
    )
    monkeypatch.setattr(other_pythons, "version_of", lambda pid: (3, 12))
    monkeypatch.delattr(sys, "remote_exec")
    assert "runs Python 3.12; attaching takes 3.14 or newer there" in word(program.pid)
    monkeypatch.setattr(other_pythons, "version_of", lambda pid: None)
    assert "attaching takes 3.14 or newer, not built without remote debugging" in word(program.pid)


def refuse(error: BaseException) -> Callable[[int, str], None]:
    def remote_exec(pid: int, path: str) -> None:
        raise error

    return remote_exec


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (PermissionError(13, "Permission denied"), "may not look into process .* '.*rpyc-kernel attach .* --sudo'"),
        (RuntimeError("Remote debugging is not enabled in the remote process"), "started so that nobody can attach"),
        (RuntimeError("Remote debugging is not enabled"), "this Python was started so that it cannot attach"),
        (RuntimeError("strange"), "cannot be attached to: strange"),
    ],
)
def test_what_python_refuses_is_explained_and_leaves_nothing(
    private: str, program: Program, monkeypatch: pytest.MonkeyPatch, error: BaseException, word: str
) -> None:
    monkeypatch.setattr(sys, "remote_exec", refuse(error))
    with pytest.raises(RequestError, match=word):
        rpyc_kernel.attach(program.pid)
    assert os.listdir(private) == []


def test_a_program_that_ends_while_it_is_attached_to_leaves_no_kernel(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rpyc_kernel.client import attaching

    start = attaching.start_hub_beside

    def start_and_kill(*arguments: Any) -> Any:
        hub = start(*arguments)
        program.end()
        return hub

    monkeypatch.setattr(attaching, "start_hub_beside", start_and_kill)
    with pytest.raises(KernelError, match=f"process {program.pid} has ended before the kernel was open"):
        rpyc_kernel.attach(program.pid, "demo", timeout=PATIENCE_S)
    wait_until(lambda: not rpyc_kernel.kernels())


def test_who_gives_up_leaves_no_kernel_and_the_program_goes_on(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rpyc_kernel.client import attaching

    heard: list[object] = []
    hear = attaching._hear

    def give_up(*arguments: Any) -> Any:
        heard.append(answer := hear(*arguments))
        if len(heard) == 2:  # Ctrl-C, when the kernel is open already
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(attaching, "_hear", give_up)
    with pytest.raises(KeyboardInterrupt):
        rpyc_kernel.attach(program.pid, "demo", timeout=PATIENCE_S)
    wait_until(lambda: not rpyc_kernel.kernels())
    monkeypatch.setattr(attaching, "_hear", hear)
    with rpyc_kernel.attach(program.pid, "demo", timeout=PATIENCE_S) as client:
        client.execute("steps = -1000")
        client.shutdown()
    assert program.finish() == AS_EVER


def test_a_process_that_waits_is_waited_for_and_told_of(program: Program) -> None:
    suspend(program.pid)
    said: list[str] = []
    attached = in_thread(lambda: rpyc_kernel.attach(program.pid, timeout=PATIENCE_S, on_wait=said.append))
    wait_until(lambda: bool(said))
    assert f"is stopped; 'kill -CONT {program.pid}' lets it go on" in said[0]
    os.kill(program.pid, signal.SIGCONT)
    with attached.result(PATIENCE_S) as client:
        client.execute("steps = -1000")
        client.shutdown()
    assert program.finish() == AS_EVER
