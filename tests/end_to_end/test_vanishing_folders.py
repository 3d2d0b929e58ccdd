"""A log-out takes the runtime folders away; a kernel goes on, and everybody finds the one that there is."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelExists
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.system import processes
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import RUNTIME_VARIABLE, Folders
from tests.support.waiting import wait_until

LARGE = 3_000_000
"""More than goes through the ring."""


def take_away(runtime: Path) -> None:
    shutil.rmtree(runtime)


def wait_for_doors(folder: Path) -> None:
    names = ("kernel.json", "hub.sock", "objects.sock", "rpyc.sock", "worker.sock")
    wait_until(lambda: all((folder / name).exists() for name in names), PATIENCE_S, what="the folder's return")


def test_a_kernel_whose_folder_vanishes_is_found_again_from_everywhere(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("kept = 41; import threading; gate = threading.Event()", timeout=PATIENCE_S)
        run = kernel.submit("print('before'); gate.wait(); print('behind')")
        key = ConnectionFile.read(folders.runtime / "demo" / "kernel.json").key
        take_away(folders.runtime)
        wait_for_doors(folders.runtime / "demo")
        assert ConnectionFile.read(folders.runtime / "demo" / "kernel.json").key == key
        monkeypatch.setenv(RUNTIME_VARIABLE, str(folders.runtime.parent / "elsewhere"))
        assert [info.name for info in rpyc_kernel.kernels()] == ["demo"]
        with pytest.raises(KernelExists, match="running already"):
            rpyc_kernel.start("demo")
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
            other.eval("gate.set()")
            run.result(PATIENCE_S)
            assert run.stdout == "before\nbehind\n"
            shown = other.execute(f"'.' * {LARGE}", timeout=PATIENCE_S)
            assert len(shown.value) == LARGE
            assert other.execute("kept + 1", timeout=PATIENCE_S).value == 42
            assert other.restart() == 2
            assert other.execute("1 + 1", timeout=PATIENCE_S).value == 2


def test_when_hub_and_folder_are_gone_the_next_hub_finds_the_worker_from_anywhere(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("import threading; gate = threading.Event(); kept = 41", timeout=PATIENCE_S)
        run = kernel.submit("print('before'); gate.wait(); print('behind'); kept += 1")
        hub = kernel.status()["hub_pid"]
        worker = kernel.status()["worker_pid"]
        os.kill(hub, signal.SIGKILL)
        take_away(folders.runtime)
    monkeypatch.setenv(RUNTIME_VARIABLE, str(folders.runtime.parent / "elsewhere"))
    wait_until(
        lambda: [(info.name, info.state) for info in rpyc_kernel.kernels()] == [("demo", "orphaned")],
        PATIENCE_S,
        what="the end of the hub's lock",
    )
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        assert kernel.status()["worker_pid"] == worker
        assert "in wait" in kernel.stack(timeout=PATIENCE_S)
        kernel.eval("gate.set()")
        assert kernel.execute("kept", timeout=PATIENCE_S).value == 42
        printed = [e.text for e in kernel.events(follow=False) if e.kind == Kind.STREAM and e.execution == run.id]
        assert "".join(printed) == "before\nbehind\n"
        kernel.shutdown()
    wait_until(lambda: not processes.is_alive(worker), PATIENCE_S, what="the end of the worker")
    assert not (folders.runtime / "demo").exists()


def test_a_stopped_kernel_is_listed_read_and_forgotten(folders: Folders) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("print('recorded')", timeout=PATIENCE_S)
        assert call("forget", "demo", "--yes").returncode == 2
        kernel.shutdown()
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, what="the end of the kernel")
    assert "no kernel is running" in call("list").stdout
    listed = json.loads(call("list", "--all", "--json").stdout)
    assert [(one["name"], one["state"]) for one in listed] == [("demo", "stopped")]
    assert "recorded" in call("log", "demo").stdout
    assert "recorded" in call("log", "demo", "--replay", "--speed", "1000000").stdout
    refused = call("forget", "demo")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert call("forget", "demo", "--yes").stdout == "kernel 'demo' is forgotten\n"
    assert list(folders.state.iterdir()) == []


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "rpyc_kernel", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S)
