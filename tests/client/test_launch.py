"""Ending the worker of a kernel that has lost its hub: whatever its hub, or the next one, does at that moment."""

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rpyc_kernel.client import launch
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system import processes
from rpyc_kernel.system.processes import birth_of
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.support.folders import Folders

PATIENCE_S = 60.0


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a worker."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def folder(folders: Folders, worker: subprocess.Popen[bytes]) -> RuntimeFolder:
    """The folder of a kernel with this worker."""
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    ConnectionFile(
        name="demo",
        host="",
        port=0,
        key="00",
        unix="",
        hub_pid=0,
        worker_pid=worker.pid,
        worker_birth=birth_of(worker.pid),
    ).write(folder.connection_file)
    return folder


def test_a_worker_without_a_hub_is_ended_and_nothing_is_left(
    folder: RuntimeFolder, worker: subprocess.Popen[bytes]
) -> None:
    assert launch.stop_orphan("demo")
    assert worker.wait(PATIENCE_S) == -9
    assert not folder.path.exists()
    assert not launch.stop_orphan("demo")


def test_where_no_hub_can_be_started_nothing_stays_open(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = os.pipe

    def make_and_note() -> tuple[int, int]:
        made.extend(make())
        return made[0], made[1]

    def fail(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    with monkeypatch.context() as context, pytest.raises(OSError, match="no more processes"):
        context.setattr(os, "pipe", make_and_note)
        context.setattr(processes, "spawn_module", fail)
        launch.start("demo", engine="plain")
    assert len(made) == 2
    for descriptor in made:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


class FakeHub:
    """The process of a hub that is starting.

    Attributes:
        answer: where it tells whoever has started it.
    """

    answer = -1

    def spawn(self, *_: object, pass_descriptors: tuple[int, ...], **__: object) -> "FakeHub":
        self.answer = os.dup(pass_descriptors[0])
        return self

    def wait(self) -> None:
        pass


def _launch(meanwhile: Callable[[], object]) -> None:
    launch.launch(
        "demo",
        engine="plain",
        python=None,
        cwd=None,
        env=None,
        listen=None,
        switch_interval=0.001,
        profile=False,
        face="terminal",
        is_private=True,
        meanwhile=meanwhile,
    )


def test_a_hub_starts_while_its_starter_does_something_else(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub()
    monkeypatch.setattr(processes, "spawn_module", hub.spawn)

    def come_up() -> None:
        os.write(hub.answer, b"{}")
        os.close(hub.answer)

    _launch(come_up)  # or whoever waits for the hub first would wait for it in vain


def test_a_hub_learns_that_its_starter_has_failed_meanwhile(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub()
    monkeypatch.setattr(processes, "spawn_module", hub.spawn)

    def fail() -> None:
        raise RequestError("cannot listen")

    with pytest.raises(RequestError, match="cannot listen"):
        _launch(fail)
    with os.fdopen(hub.answer, "wb", buffering=0) as answer, pytest.raises(BrokenPipeError):
        answer.write(b"{}")


def test_no_secret_of_the_environment_is_in_a_command_line_which_all_can_read(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[tuple[object, ...]] = []

    def note(*arguments: object, **_: object) -> None:
        spawned.append(arguments)
        raise OSError("enough")

    monkeypatch.setattr(processes, "spawn_module", note)
    with pytest.raises(OSError, match="enough"):
        launch.start("demo", engine="plain", env={"TOKEN": "known to nobody"})
    assert spawned
    assert "known to nobody" not in repr(spawned)


def test_a_worker_with_a_hub_is_left_alone(folder: RuntimeFolder, worker: subprocess.Popen[bytes]) -> None:
    folder.lock()
    assert not launch.stop_orphan("demo")
    assert not launch.stop_orphan("demo", patience_s=0.2)
    assert worker.poll() is None
    folder.unlock()


def test_a_hub_that_is_just_ending_is_waited_for(folder: RuntimeFolder, worker: subprocess.Popen[bytes]) -> None:
    folder.lock()
    stopped: list[bool] = []
    stopping = threading.Thread(target=lambda: stopped.append(launch.stop_orphan("demo", patience_s=PATIENCE_S)))
    stopping.start()
    assert worker.poll() is None
    folder.unlock()
    stopping.join(PATIENCE_S)
    assert stopped == [True]
    assert worker.wait(PATIENCE_S) == -9


def test_a_hub_that_begins_meanwhile_finds_its_folder_whole(
    folder: RuntimeFolder, worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = RuntimeFolder(folder.path)
    lock = RuntimeFolder.lock

    def come_too_late(self: RuntimeFolder, patience_s: float) -> None:
        lock(hub)
        lock(self, patience_s)

    monkeypatch.setattr(RuntimeFolder, "lock", come_too_late)
    assert not launch.stop_orphan("demo")
    assert worker.poll() is None
    assert folder.connection_file.exists()
    hub.unlock()


def test_a_worker_can_be_ended_whatever_its_hub_is_about_to_do(
    folder: RuntimeFolder, worker: subprocess.Popen[bytes]
) -> None:
    folder.lock()
    assert launch.kill_worker("demo")
    assert worker.wait(PATIENCE_S) == -9
    assert not launch.kill_worker("demo")
    assert folder.connection_file.exists()
    folder.unlock()


def test_only_a_private_kernel_takes_standard_input_over(folders: Folders) -> None:
    with pytest.raises(RequestError, match="asks its clients"):
        launch.start("demo", standard_input=0)


def test_whoever_starts_a_kernel_may_say_what_whoever_connects_may(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = set(inspect.signature(launch.connect).parameters) - {"target", "name", "role", "joins", "key", "on_loss"}
    connected: list[dict[str, Any]] = []
    monkeypatch.setattr(launch, "launch", lambda name, **options: None)
    monkeypatch.setattr(launch, "resolve", lambda name: None)
    monkeypatch.setattr("rpyc_kernel.client.kernel.KernelClient", lambda _, **options: connected.append(options))
    launch.start("demo", client_name="me", session="s", timeout=1.0, silence=2.0, keep_output=3, reconnect=4.0)
    limits = {"timeout": 1.0, "silence": 2.0, "keep_output": 3, "reconnect": 4.0}
    assert connected == [{"name": "me", "session": "s", **limits}]
    assert shared <= set(inspect.signature(launch.start).parameters)


def test_the_kernel_of_the_environment_is_meant_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    invitation = "rpyc+tls://gpu:4000/train#secret"
    asked: list[str] = []
    monkeypatch.setattr(launch, "resolve", lambda target, key: asked.append(target))
    monkeypatch.setattr("rpyc_kernel.client.kernel.KernelClient", lambda _, **options: None)
    monkeypatch.delenv("RPYC_KERNEL_INVITATION", raising=False)
    launch.connect()
    monkeypatch.setenv("RPYC_KERNEL_INVITATION", invitation)
    launch.connect()
    launch.connect("demo")
    assert asked == ["default", invitation, "demo"]


@pytest.mark.parametrize("wrong", [{"silence": 0}, {"keep_output": -1}, {"reconnect": -1}])
def test_what_no_client_could_work_with_is_refused_before_a_kernel_is_started(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(launch, "launch", lambda name, **options: started.append(name))
    with pytest.raises(RequestError, match=next(iter(wrong))):
        launch.start("demo", **wrong)
    assert started == []
