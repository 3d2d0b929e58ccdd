"""The bridge beside ipykernel, through the same client: its start, its memory, a cell, a completion while one runs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from threading import Thread

import psutil

from benchmarks.jupyter_kernels import OURS, PEER, Kernel, own_folders, read_published, read_reply
from benchmarks.measure import Figure, compare, report

_BUSY_S = 0.6
_MANY = 10
_ATTEMPTS = 3
_LOST_S = 1.0


class Timed:
    """A kernel and its clock."""

    def __init__(self, kind: str) -> None:
        self.kernel = Kernel(kind)
        self.client = self.kernel.client
        self.run("pass")

    def run(self, code: str) -> tuple[float, float]:
        """Milliseconds from the request to its reply, and to idle."""
        begin = time.perf_counter()
        request = self.client.execute(code)
        read_reply(self.client, request)
        replied = time.perf_counter()
        read_published(self.client, "status", request, execution_state="idle")
        return (replied - begin) * 1e3, (time.perf_counter() - begin) * 1e3

    def complete_while_busy(self) -> float:
        """Milliseconds to the answer of a completion that is asked for while a cell sleeps."""
        busy = self.client.execute(f"print('on', flush=True)\nimport time\ntime.sleep({_BUSY_S})")
        read_published(self.client, "stream", busy)
        begin = time.perf_counter()
        answered = read_reply(self.client, self.client.complete("os.pa", 5))
        took = time.perf_counter() - begin
        assert answered is not None
        read_published(self.client, "status", busy, execution_state="idle")
        return took * 1e3


def start(kind: str) -> float:
    """Seconds from the start of a kernel to the result of its first cell."""
    begin = time.perf_counter()
    with ExitStack() as ended:
        _start(kind, ended)
        return time.perf_counter() - begin


def start_many(kind: str) -> float:
    """Seconds until all of several kernels that are started at once have their first result."""
    begin = time.perf_counter()
    with ExitStack() as ended:
        starting = [Thread(target=_start, args=(kind, ended)) for _ in range(_MANY)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        return time.perf_counter() - begin


def measure_memory(kind: str) -> float:
    """Megabytes of all processes of a kernel that has run a cell, each shared page counted by its share."""
    with ExitStack() as ended:
        kernel, worker = _start(kind, ended)
        processes = {psutil.Process(pid) for pid in (kernel.manager.provisioner.process.pid, worker)}
        if kind == OURS:
            processes.add(psutil.Process(worker).parent())  # the hub
        full = [process.memory_full_info() for process in processes]
        return sum(float(getattr(each, "pss", each.rss)) for each in full) / 1e6


def _start(kind: str, ended: ExitStack) -> tuple[Kernel, int]:
    """A kernel that has run a cell, and the process that ran it."""
    kernel = Kernel(kind)
    ended.callback(kernel.close)
    for _ in range(_ATTEMPTS):
        request = kernel.client.execute("__import__('os').getpid()")
        read_reply(kernel.client, request)
        # Behind its reply, unless it was published before the client's subscription had come: then it is lost.
        shown = read_published(kernel.client, "execute_result", request, timeout_s=_LOST_S)
        if shown is not None:
            return kernel, int(shown["content"]["data"]["text/plain"])
    raise RuntimeError(f"{kind} has not run its first cell")


def run(rounds: int) -> list[Figure]:
    """Run everything and return the lines of the report."""
    return [*_compare_starts(rounds), *_compare_work(rounds)]


def _compare_starts(rounds: int) -> list[Figure]:
    figures = (
        ("start to the first result", start, "s", "1x", rounds),
        (f"{_MANY} kernels at once to their first results", start_many, "s", "1x", 1),
        ("memory of bridge, hub and worker (PSS)", measure_memory, "MB", "0.9x", 1),
    )
    return [
        compare(what, lambda m=m: m(OURS), lambda m=m: m(PEER), rounds=count, unit=unit, aim=aim)  # type: ignore[misc]
        for what, m, unit, aim, count in figures
    ]


def _compare_work(rounds: int) -> list[Figure]:
    ours, peer = Timed(OURS), Timed(PEER)
    try:
        each = {"rounds": rounds, "unit": "ms", "aim": "2.3x"}
        return [
            compare("'pass' to reply", lambda: ours.run("pass")[0], lambda: peer.run("pass")[0], per_round=40, **each),  # type: ignore[arg-type]
            compare("'pass' to idle", lambda: ours.run("pass")[1], lambda: peer.run("pass")[1], per_round=40, **each),  # type: ignore[arg-type]
            compare(
                "completion while a cell runs",
                ours.complete_while_busy,
                peer.complete_while_busy,
                rounds=rounds,
                unit="ms",
                aim="under 50 ms",
            ),
        ]
    finally:
        ours.kernel.close()
        peer.kernel.close()


def main(rounds: int = 5) -> None:
    """Print the report."""
    with own_folders():
        report("the bridge (ours) beside ipykernel (peer), through jupyter_client's blocking client", run(rounds))
