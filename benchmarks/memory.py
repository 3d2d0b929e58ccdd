"""Whether memory stays flat: of worker, hub and client, over thousands of values, interrupts, restarts and sessions."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

import psutil

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind, Outcome

_TIMEOUT_S = 60.0
_PROCESSES = ("worker", "hub", "client")
_GROWTH_MB = 5.0
"""By how much a process may grow over each of them; what its allocator has not given back may be more or less."""


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
    (restart, 10, 100),
    (open_sessions, 100, 1000),
)
"""What is done, how often before the first look, and how often then."""


def main(_rounds: int = 1, part: float = 1.0) -> list[str]:
    """Print the table; returns what has grown. ``part`` of it all is done, for a shorter look."""
    grown = []
    print(f"\nmemory in MB, before → after; {os.cpu_count()} cores")
    print(f"{'engine':9}{'':16}{'times':>6}{'seconds':>9}  " + "".join(f"{name:>20}" for name in _PROCESSES))
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
    before = _memory_mb(kernel)
    started = time.monotonic()
    work(kernel, times)
    took = time.monotonic() - started
    after = _memory_mb(kernel)
    name = work.__name__.replace("_", " ")
    figures = "".join(f"{f'{old:.1f} → {new:.1f}':>20}" for old, new in zip(before, after, strict=True))
    print(f"{engine:9}{name:16}{times:6}{took:9.1f}  {figures}", flush=True)
    return [
        f"{engine}, {name}: {process} {old:.1f} → {new:.1f} MB"
        for process, old, new in zip(_PROCESSES, before, after, strict=True)
        if new - old > _GROWTH_MB
    ]


def _memory_mb(kernel: KernelClient) -> list[float]:
    gc.collect()
    status = kernel.status()
    pids = (status["worker_pid"], status["hub_pid"], os.getpid())
    return [psutil.Process(pid).memory_info().rss / 1e6 for pid in pids]
