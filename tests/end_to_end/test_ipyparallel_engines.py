"""Kernels that are engines of ipyparallel: its own client works with them, and they stay kernels."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipyparallel
import numpy as np
import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.end_to_end.commands import RunHere
from tests.support.folders import Folders, temporary_folders
from tests.support.ipyparallel_clusters import PATIENCE_S, Controller, Engine
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # what its client's libraries warn of is not ours


class Cluster:
    """A controller, two kernels as its engines, and a client."""

    def __init__(self, folder: Path, folders: Folders) -> None:
        self.folders = folders
        self.controller = Controller(folder, "--IPController.enable_curve=True")
        self.engines = [Engine(self.controller, f"engine-{number}", number, folders) for number in range(2)]
        self.client = ipyparallel.Client(str(self.controller.client_file), timeout=PATIENCE_S)
        self.client.wait_for_engines(2, timeout=PATIENCE_S)

    @property
    def view(self) -> Any:
        """A view of both that waits."""
        view = self.client[:]
        view.block = True
        return view

    def close(self) -> None:
        """End all but the kernels."""
        self.client.close()
        for engine in self.engines:
            engine.close()
        self.controller.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for the tests of this module."""
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        cluster = Cluster(tmp_path_factory.mktemp("ipython"), folders)
        try:
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
def cluster(shared: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """It, with both engines known."""
    for name, value in shared.folders.environment.items():
        monkeypatch.setenv(name, value)
    assert shared.client.ids == [0, 1]
    return shared


@pytest.fixture
def kernels(cluster: Cluster) -> Iterator[list[KernelClient]]:
    """Its kernels, as a client of ours sees them."""
    with rpyc_kernel.connect("engine-0") as first, rpyc_kernel.connect("engine-1") as second:
        yield [first, second]


def _sleep() -> None:
    import time

    time.sleep(600)


def test_functions_run_in_the_kernels_with_their_namespace_and_their_journal(
    cluster: Cluster, kernels: list[KernelClient]
) -> None:
    @ipyparallel.interactive  # type: ignore[untyped-decorator]
    def double(number: int) -> int:
        print("doubling", number)
        return number * factor  # type: ignore[name-defined,no-any-return] # noqa: F821 - a name of the kernel's

    first, second = kernels
    before = int(first.status()["last"])
    first.push(factor=2)
    second.push(factor=3)
    asked = cluster.client[:].apply_async(double, 21)
    assert asked.get(PATIENCE_S) == [42, 63]
    assert asked.stdout == ["doubling 21\n", "doubling 21\n"]
    told = [event for event in first.events(before, follow=False) if event.execution]
    assert [event.kind for event in told] == ["queued", "started", "stream", "finished"]
    assert told[0].code == "# ipyparallel: double"


def test_variables_are_those_of_the_kernel_and_arrays_come_whole(cluster: Cluster, kernels: list[KernelClient]) -> None:
    table = np.arange(600_000.0).reshape(600, 1000)
    cluster.view.push({"table": table, "word": "w"})
    assert [kernel.eval("table.shape, word") for kernel in kernels] == [((600, 1000), "w")] * 2
    kernels[1].execute("table = table + 1", timeout=PATIENCE_S)
    pulled = cluster.view["table"]
    assert (pulled[0] == table).all()
    assert (pulled[1] == table + 1).all()
    cluster.view.scatter("part", [*range(7)])
    assert [kernel.pull("part") for kernel in kernels] == [[0, 1, 2, 3], [4, 5, 6]]
    assert cluster.view.gather("part") == [*range(7)]


def test_code_shows_what_it_shows_and_work_is_balanced(cluster: Cluster) -> None:
    asked = cluster.client[:].execute("print('shown'); 6 * 7", silent=False)
    replies = asked.get(PATIENCE_S)
    assert asked.wait_for_output(PATIENCE_S)  # which comes by another socket, perhaps later
    assert [reply.execute_result["data"]["text/plain"] for reply in replies] == ["42", "42"]
    assert asked.stdout == ["shown\n", "shown\n"]
    balanced = cluster.client.load_balanced_view()
    assert balanced.map_sync(lambda number: number**2, range(8)) == [number**2 for number in range(8)]
    spread = cluster.client.broadcast_view()
    assert spread.apply_sync(lambda: 7) == [7, 7]


def test_an_error_of_code_is_that_of_its_engine(cluster: Cluster) -> None:
    with pytest.raises(ipyparallel.error.CompositeError) as raised:
        cluster.view.apply(lambda: 1 / 0)
    assert [(error[0], error[3]["engine_id"]) for error in raised.value.elist] == [
        ("ZeroDivisionError", 0),
        ("ZeroDivisionError", 1),
    ]
    assert "ZeroDivisionError" in raised.value.elist[0][2]
    cluster.view.execute("pass")
    with pytest.raises(ipyparallel.error.RemoteError, match="KeyError"):
        cluster.client[0].execute("{}['missing']", block=True)


def test_what_waits_is_taken_back_and_what_runs_is_interrupted(cluster: Cluster, kernels: list[KernelClient]) -> None:
    [kernel, _] = kernels
    running = cluster.client[0].apply_async(_sleep)
    waiting = [cluster.client[0].apply_async(lambda: 1) for _ in range(3)]
    wait_until(lambda: len(kernel.queue()) == 3, PATIENCE_S)
    cluster.client.abort(waiting[:2], block=True)
    cluster.client.send_signal(signal.SIGINT, targets=0, block=True)
    for each in waiting[:2]:
        with pytest.raises(ipyparallel.error.TaskAborted):
            each.get(PATIENCE_S)
    assert waiting[2].get(PATIENCE_S) == 1
    with pytest.raises(ipyparallel.error.RemoteError, match="KeyboardInterrupt"):
        running.get(PATIENCE_S)


def test_a_namespace_is_cleared_in_its_turn(cluster: Cluster, kernels: list[KernelClient]) -> None:
    cluster.view["kept"] = 1
    cluster.client.clear(targets=1, block=True)
    assert [kernel.eval("'kept' in globals()") for kernel in kernels] == [True, False]
    assert cluster.view.apply(lambda: 5) == [5, 5]


def test_a_killed_kernel_is_an_error_of_its_engine_and_the_next_generation_goes_on(
    cluster: Cluster, kernels: list[KernelClient]
) -> None:
    kernel = kernels[1]
    cluster.view["kept"] = 1
    running = cluster.client[1].apply_async(_sleep)
    wait_until(lambda: kernel.status()["running"], PATIENCE_S)
    os.kill(kernel.status()["worker_pid"], signal.SIGKILL)
    with pytest.raises(ipyparallel.error.RemoteError) as raised:
        running.get(PATIENCE_S)
    assert raised.value.ename == "EngineError"
    assert raised.value.evalue == "the kernel's process has ended: killed by SIGKILL"
    assert cluster.client[1].apply_sync(lambda: 5) == 5
    assert cluster.client.ids == [0, 1]
    assert cluster.client[0]["kept"] == 1


def test_a_kernel_that_is_stopped_is_no_engine_any_more(cluster: Cluster) -> None:
    engine = Engine(cluster.controller, "third", 2, cluster.folders)
    try:
        cluster.client.wait_for_engines(3, timeout=PATIENCE_S)
        running = cluster.client[2].apply_async(_sleep)
        wait_until(lambda: engine.kernel.status()["running"], PATIENCE_S)
        engine.kernel.shutdown()
        with pytest.raises(ipyparallel.error.RemoteError, match="EngineError"):
            running.get(PATIENCE_S)
        status, told = engine.wait()
        assert (status, told.splitlines()[0]) == (0, "kernel 'third' is engine 2 no longer: it was stopped")
        wait_until(lambda: cluster.client.ids == [0, 1], PATIENCE_S)
    finally:
        engine.close()


def test_an_engine_that_is_shut_down_leaves_its_kernel_alone(cluster: Cluster) -> None:
    engine = Engine(cluster.controller, "left", 2, cluster.folders)
    try:
        cluster.client.wait_for_engines(3, timeout=PATIENCE_S)
        cluster.client.shutdown(targets=2, block=True)
        assert engine.wait() == (0, "kernel 'left' is engine 2 no longer: it was asked to\n")
        wait_until(lambda: cluster.client.ids == [0, 1], PATIENCE_S)
        assert engine.kernel.status()["state"] == "idle"
    finally:
        engine.close()


def test_when_the_controller_is_gone_the_engine_says_so_and_its_kernel_goes_on(
    folders: Folders, tmp_path: Path
) -> None:
    controller = Controller(tmp_path)
    engine = Engine(controller, "demo", 0, folders)
    try:
        with rpyc_kernel.connect("demo") as kernel:
            kernel.push(kept=1)
            controller.close()
            status, told = engine.wait()
            assert (status, told) == (
                1,
                "kernel 'demo' is engine 0 no longer: its controller has not been heard for 1 s\n",
            )
            assert kernel.eval("kept") == 1
    finally:
        engine.close()
        controller.close()


def test_a_kernel_without_ipython_is_refused(cluster: Cluster, run_here: RunHere) -> None:
    rpyc_kernel.start("plain", engine="plain", timeout=PATIENCE_S).close()
    done = run_here("jupyter", "engine", "plain", "--file", str(cluster.controller.engine_file))
    assert done.returncode == 2
    assert "kernel 'plain' has no IPython" in done.stderr
    assert "start it with --engine ipython" in done.stderr
