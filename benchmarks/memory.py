"""Whether memory stays flat: of worker, hub and client, over thousands of values, failures, restarts and sessions."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

import psutil

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import RECORD
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind, Outcome

_TIMEOUT_S = 60.0
_PROCESSES = ("worker", "hub", "client")
_GROWTH_MB = 2.0
"""By how much a process may grow when the same is done again, such as by 7 KB for each of 300 inputs.

The first time fills what has a limit, such as the last events, inputs and their sources; the second finds it full.
"""


def show_values(kernel: KernelClient, count: int) -> None:
    """Show arrays of 1 MB."""
    kernel.execute("import numpy")
    for number in range(count):
        kernel.execute(f"numpy.full(131_072, {number}.0)")


def interrupt(kernel: KernelClient, count: int) -> None:
    """Interrupt code that runs."""
    for _ in range(count):
        execution = kernel.submit("while True: pass")
        next(event for event in execution.events(timeout=_TIMEOUT_S) if event.kind == Kind.STARTED)
        kernel.interrupt()
        execution.exception(_TIMEOUT_S)
        if execution.status != Outcome.INTERRUPTED:
            raise RuntimeError(f"an interrupted execution is {execution.status}")


def fail(kernel: KernelClient, count: int) -> None:
    """Run what fails, each time something else."""
    for number in range(count):
        execution = kernel.submit(f"def divide():\n    return {number} / 0\ndivide()")
        if not isinstance(execution.exception(_TIMEOUT_S), rpyc_kernel.ExecutionError):
            raise RuntimeError(f"an execution that is to fail is {execution.status}")


def restart(kernel: KernelClient, count: int) -> None:
    """Restart the worker."""
    for number in range(count):
        kernel.restart()
        kernel.execute(f"number = {number}")


def open_sessions(kernel: KernelClient, count: int) -> None:
    """Have others come, run something, and leave for good."""
    for number in range(count):
        with rpyc_kernel.connect("memory", name=f"visitor {number}", timeout=_TIMEOUT_S) as visitor:
            visitor.execute("number")
    kernel.execute("number")


_WORK: tuple[tuple[Callable[[KernelClient, int], None], int, int], ...] = (
    (show_values, 300, 3000),
    (interrupt, 30, 300),
    (fail, 30, 1000),
    (restart, 10, 100),
    (open_sessions, 100, 1000),
)
"""What is done, how often before the first look, and how often before each of the other two."""


def main(_rounds: int = 1, part: float = 1.0) -> list[str]:
    """Print the table; returns what has grown. ``part`` of it all is done, for a shorter look."""
    grown = []
    print(f"\nmemory in MB, before → after → after as much again; {os.cpu_count()} cores")
    print(f"{'engine':9}{'':16}{'times':>8}{'seconds':>9}  " + "".join(f"{name:>25}" for name in _PROCESSES))
    for engine in ("plain", "ipython"):
        with own_folders():
            kernel = rpyc_kernel.start("memory", engine=engine, timeout=_TIMEOUT_S)
            try:
                for work, first, times in _WORK:
                    grown += _measure(kernel, engine, work, max(1, int(first * part)), max(1, int(times * part)))
            finally:
                kernel.shutdown()
    return grown


def _measure(
    kernel: KernelClient, engine: str, work: Callable[[KernelClient, int], None], first: int, times: int
) -> list[str]:
    work(kernel, first)
    started = time.monotonic()
    looks = [_memory_mb(kernel)]
    for _ in range(2):
        work(kernel, times)
        looks.append(_memory_mb(kernel))
    took = time.monotonic() - started
    name = work.__name__.replace("_", " ")
    columns = list(zip(_PROCESSES, zip(*looks, strict=True), strict=True))
    for process, (_, _, after) in columns:
        RECORD.add(f"{engine}, {name}, {2 * times} times: {process}", "MB", {"ours": after})
    figures = "".join(f"{' → '.join(f'{megabytes:.1f}' for megabytes in column):>25}" for _, column in columns)
    print(f"{engine:9}{name:16}{f'2x {times}':>8}{took:9.1f}  {figures}", flush=True)
    return [
        f"{engine}, {name}: {process} {once:.1f} → {twice:.1f} MB"
        for process, (_, once, twice) in columns
        if twice - once > _GROWTH_MB
    ]


def _memory_mb(kernel: KernelClient) -> list[float]:
    gc.collect()
    status = kernel.status()
    pids = (status["worker_pid"], status["hub_pid"], os.getpid())
    return [psutil.Process(pid).memory_info().rss / 1e6 for pid in pids]
