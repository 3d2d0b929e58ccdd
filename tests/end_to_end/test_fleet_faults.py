"""Fleets when something goes: a worker of Dask, its scheduler, the program that has the fleet; nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from distributed import Client

import rpyc_kernel
from rpyc_kernel import ConnectionLost, Fleet, GroupFailed, KernelError
from rpyc_kernel.client.whereabouts import find_all
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.clusters import Open
from tests.end_to_end.terminals import ROOT
from tests.support.folders import Folders
from tests.support.ports import find_port
from tests.support.processes import suspend
from tests.support.waiting import wait_until

WAITING = "import threading; print('begun'); threading.Event().wait()"


def place(client: Client, count: int, **options) -> Fleet:  # type: ignore[no-untyped-def]
    options = {"engine": "plain", "timeout": PATIENCE_S, "call_timeout": PATIENCE_S, **options}
    return rpyc_kernel.fleet(client, count, **options)


def see_nothing_left() -> None:
    """Wait until no kernel has a process."""
    wait_until(lambda: not any(place.has_hub or place.has_worker for place in find_all()), PATIENCE_S, "their ends")


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    port, count, nannies = map(int, sys.argv[1:])
    options = dict(n_workers=count, threads_per_worker=1, processes=bool(nannies), dashboard_address="127.0.0.1:0")
    with LocalCluster(scheduler_port=port, host="127.0.0.1", protocol="tcp://", **options) as cluster:
        print("up", flush=True)
        input()
"""


@contextmanager
def cluster_at(
    port: int, folder: Path, workers: int = 1, *, nannies: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A cluster whose scheduler listens there, in a process of its own."""
    (folder / "cluster.py").write_text(CLUSTER)
    environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, folder / "cluster.py", *map(str, (port, workers, int(nannies)))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            yield process
        finally:
            process.kill()


def test_the_kernel_of_a_lost_dask_worker_is_placed_again_and_the_others_go_on(
    folders: Folders, tmp_path: Path
) -> None:
    port = find_port()
    with (
        cluster_at(port, tmp_path, 2, nannies=True),
        Client(f"tcp://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
        place(client, 2) as fleet,
    ):
        fleet["x"] = 5
        first, second = fleet.names
        lost = next(move.where for move in fleet.moves if move.name == first)
        old = fleet.kernels[first].status()
        run = fleet.submit(WAITING, stop_on_error=False)
        again = fleet.submit("6 * 7", retry=1)
        assert next(run.events())
        os.kill(client.run(os.getpid)[lost], signal.SIGKILL)
        with pytest.raises(ConnectionLost, match=f"has lost its place on {lost}: that worker of Dask's is gone"):
            run.executions[first].result(PATIENCE_S)
        fleet.kernels[second].interrupt()
        with pytest.raises(GroupFailed, match="has lost its place"):
            run.result(PATIENCE_S)
        assert again.result(PATIENCE_S) == [42, 42]
        assert [*again.retried] == [first]
        told = [(move.what, move.generation) for move in fleet.moves if move.name == first and move.what != "waits"]
        assert told == [("runs", 1), ("lost", 1), ("runs", 2)]
        assert [move.what for move in fleet.moves if move.name == second] == ["runs"]
        assert "x" not in fleet.kernels[first].eval("tuple(globals())")
        assert fleet.kernels[second].eval("x") == 5
        wait_until(lambda: not processes.is_alive(old["hub_pid"]), PATIENCE_S, "the end of the old one")
        assert not processes.is_alive(old["worker_pid"])
        client.restart()
        wait_until(lambda: [move.what for move in fleet.moves][-2:] == ["failed", "failed"], PATIENCE_S)
        assert fleet.moves[-1].reason.endswith("fleet.scale(2) places it again")
        assert len(fleet) == 0
        with pytest.raises(KernelError, match=r"fleet.scale\(2\) places it again"):
            fleet.wait_for_kernels(2)
        fleet.scale(2)
        fleet.wait_for_kernels(2, timeout=PATIENCE_S)
        assert fleet.eval("6 * 7") == [42, 42]
    see_nothing_left()


def test_a_kernel_is_taken_up_where_its_hub_dies_and_placed_again_where_all_of_it_does(open_cluster: Open) -> None:
    with place(open_cluster(n_workers=1), 1) as fleet:
        fleet["x"] = 5
        [kernel] = fleet
        os.kill(kernel.status()["hub_pid"], signal.SIGKILL)
        wait_until(lambda: "a new one" in fleet.moves[-1].reason, PATIENCE_S, "the next hub")
        assert kernel.eval("x", timeout=PATIENCE_S) == 5
        status = kernel.status()
        suspend(status["hub_pid"])  # so that it starts no other worker
        for pid in (status["worker_pid"], status["hub_pid"]):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: fleet.moves[-1].generation == 2, PATIENCE_S, "its next place")
        assert [move.what for move in fleet.moves if move.what != "waits"] == ["runs", "runs", "lost", "runs"]
        assert "x" not in fleet.eval("tuple(globals())")[0]
    see_nothing_left()


HAVING = """
import sys
import rpyc_kernel
from distributed import Client

if __name__ == "__main__":
    fleet = rpyc_kernel.fleet(Client(sys.argv[1]), 1, engine="plain")
    fleet.submit("import threading; threading.Event().wait()")
    print("placed", flush=True)
    input()
"""


def test_a_fleet_ends_with_the_program_that_has_it_however_that_ends(open_cluster: Open, tmp_path: Path) -> None:
    client = open_cluster()
    command = [sys.executable, "-c", HAVING, client.scheduler.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"placed\n"
        with rpyc_kernel.connect("fleet-0", timeout=PATIENCE_S) as kernel:
            program.kill()
            assert kernel.wait_until_closed(PATIENCE_S)
    see_nothing_left()
    assert (
        client.run_on_scheduler(lambda dask_scheduler: [name for name in dask_scheduler.plugins if "fleet" in name])
        == []
    )
    with place(client, 1) as fleet:  # its place is free again
        assert fleet.eval("6 * 7") == [42]


def test_a_scheduler_that_is_started_anew_is_told_of_and_places_the_kernels_when_asked(
    folders: Folders, tmp_path: Path
) -> None:
    port = find_port()
    with ExitStack() as opened:
        with cluster_at(port, tmp_path) as process:
            client = opened.enter_context(Client(f"tcp://127.0.0.1:{port}", timeout=PATIENCE_S))
            fleet = opened.enter_context(place(client, 1))
            kernel = fleet.kernels["fleet-0"]
            process.kill()
            assert kernel.wait_until_closed(PATIENCE_S)
        wait_until(lambda: fleet.moves[-1].what == "failed", PATIENCE_S, "what is said of it")
        assert fleet.moves[-1].reason.startswith("Dask has called its task off")
        see_nothing_left()
        opened.enter_context(cluster_at(port, tmp_path))
        client.wait_for_workers(1, PATIENCE_S)
        fleet.scale(1)
        fleet.wait_for_kernels(1, timeout=PATIENCE_S)
        assert fleet.eval("6 * 7") == [42]
        assert fleet.moves[-1].generation == 2
        fleet.close()
        see_nothing_left()
