"""Many engines at once, of ours and of the peers: started, asked for the same work, and what their processes hold."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

import rpyc_kernel

if TYPE_CHECKING:
    from rpyc_kernel import Group

PATIENCE_S = 300.0
DIRECT_VIEW, BALANCED, DASK = "DirectView", "LoadBalancedView", "Dask"
_POLL_S = 0.05


@dataclass(frozen=True)
class Side:
    """What many engines of one kind are asked for; all calls wait for the end.

    Attributes:
        execute: runs ``pass`` in the first so many.
        run: runs code in all.
        push: sets the variable ``pushed`` in all.
        maps: ways to call a function on each of these values, in order, by name.
        processes: all that is there for their sake beside this process.
    """

    execute: Callable[[int], object]
    run: Callable[[str], object]
    push: Callable[[Any], object]
    maps: dict[str, Callable[[Callable[[Any], Any], range], Any]]
    processes: Callable[[], list[psutil.Process]]


@contextlib.contextmanager
def ours(count: int) -> Iterator[Side]:
    """Kernels with IPython, each a hub and a worker; there when each has run something."""
    with kernels(count) as group:
        group.execute("pass", timeout=PATIENCE_S)
        firsts = {number: group[:number] for number in {1, 4, count}}
        yield Side(
            execute=lambda number: firsts[number].execute("pass"),
            run=group.execute,
            push=lambda value: group.push(pushed=value),
            maps={"ours": group.map},
            processes=lambda: processes_of(group),
        )


@contextlib.contextmanager
def kernels(count: int) -> Iterator[Group]:
    """A group of as many kernels; those that run are joined, and all go on when it is left, until `end_all`."""
    names = f"bench-{{0..{count - 1}}}"
    with rpyc_kernel.group(names, start=True, engine="ipython", timeout=PATIENCE_S) as group:
        yield group


def end_all() -> None:
    """End all kernels of this benchmark, which has folders of its own, and wait until none is left."""
    for info in rpyc_kernel.kernels():
        with rpyc_kernel.connect(info.name, timeout=PATIENCE_S) as kernel:
            kernel.shutdown()
    deadline = time.monotonic() + PATIENCE_S
    while rpyc_kernel.kernels() and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def processes_of(group: Group) -> list[psutil.Process]:
    """Hubs and workers."""
    hubs = [psutil.Process(int(status["hub_pid"])) for status in group.status().values()]
    return [process for hub in hubs for process in (hub, *hub.children(recursive=True))]


@contextlib.contextmanager
def with_ipyparallel(count: int) -> Iterator[Side]:
    """What ``ipcluster start`` starts: a controller's processes, and engines of ipykernel with a nanny each."""
    import ipyparallel

    with TemporaryDirectory(prefix="rk-bench-ipp-") as folder:
        os.environ["IPYTHONDIR"] = folder
        cluster = ipyparallel.Cluster(n=count, log_level=logging.ERROR, engine_timeout=int(PATIENCE_S))
        try:
            client = cluster.start_and_connect_sync()
            view, balanced = client[:], client.load_balanced_view()
            view.execute("pass", block=True)
            firsts = {number: client[:number] for number in {1, 4, count}}
            yield Side(
                execute=lambda number: firsts[number].execute("pass", block=True),
                run=lambda code: view.execute(code, block=True),
                push=lambda value: view.push({"pushed": value}, block=True),
                maps={DIRECT_VIEW: view.map_sync, BALANCED: balanced.map_sync},
                processes=lambda: [each for each in psutil.Process().children(recursive=True) if _is_theirs(each)],
            )
            client.close()
        finally:
            cluster.stop_cluster_sync()
            del os.environ["IPYTHONDIR"]


def _is_theirs(process: psutil.Process) -> bool:
    return any("ipyparallel" in argument for argument in process.cmdline())


@contextlib.contextmanager
def with_dask(count: int, threads: int = 1) -> Iterator[Any]:
    """A client of Dask's, with as many workers in processes of their own, each of so many threads."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=count, threads_per_worker=threads, processes=True, dashboard_address=None, silence_logs="ERROR"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(count, timeout=PATIENCE_S)
        yield client


def call_by_dask(client: Any, function: Callable[[Any], Any], values: range) -> list[Any]:
    """Call a function on each value, one task each."""
    return list(client.gather(client.map(function, values, pure=False)))


@dataclass(frozen=True)
class Holding:
    """What processes hold: memory in MB with each shared page by its share, processor seconds, open descriptors."""

    memory_mb: float
    processor_s: float
    descriptors: int
    threads: int

    @classmethod
    def of(cls, processes: list[psutil.Process]) -> Holding:
        """Of all of them together, now."""
        return cls(
            sum(_memory_kb(each.pid) for each in processes) / 1e3,
            sum(_processor_s(each.pid) for each in processes),
            sum(each.num_fds() for each in processes),
            sum(each.num_threads() for each in processes),
        )


def _memory_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _processor_s(pid: int) -> float:
    """By the scheduler's own count: the other one is in steps of 10 ms."""
    seconds = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds
