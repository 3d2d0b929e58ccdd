"""The kernel beside ipykernel with its blocking client, on this machine, in one run."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipykernel
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

import rpyc_kernel
from benchmarks.measure import Figure, compare, report, timed
from rpyc_kernel.core.contract import Kind

_LINES = "for _ in range(200_000): print('x' * 99)"
_LINES_CHARS = 20_000_000
_SLOW_CELL = "print('first')\nimport time\ntime.sleep(0.4)"
_TIMEOUT_S = 60.0
_ENGINES = ("ipython", "plain")


class Peer:
    """An ipykernel and its blocking client."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self._connect()
        self.other = self._connect()

    def make_client(self) -> BlockingKernelClient:
        """A client that goes where the kernel is."""
        return self.manager.blocking_client()

    def _connect(self) -> BlockingKernelClient:
        client = self.make_client()
        client.start_channels()
        client.wait_for_ready(timeout=_TIMEOUT_S)
        return client

    def execute(self, code: str) -> float:
        """Seconds from request to reply."""
        seconds = timed(lambda: self.client.execute(code, reply=True, timeout=_TIMEOUT_S))
        self.read_until(lambda message: message["header"]["msg_type"] == "status", "idle")
        return seconds

    def read_until(
        self, found: Callable[[dict[str, Any]], bool], state: str = "", client: BlockingKernelClient | None = None
    ) -> None:
        """Read what is published to a client, the first one or another, until a message fits."""
        while True:
            message = (client or self.client).get_iopub_msg(timeout=_TIMEOUT_S)
            if found(message) and (not state or message["content"]["execution_state"] == state):
                return

    def seconds_to_text(self, code: str) -> float:
        """Seconds from request to the first text seen."""
        seconds = timed(lambda: (self.client.execute(code), self.read_until(_is_stream)))
        self.finish()
        return seconds

    def seconds_to_text_elsewhere(self, code: str) -> float:
        """Seconds from request to the first text seen by another client."""
        while self.other.iopub_channel.msg_ready():
            self.other.get_iopub_msg(timeout=_TIMEOUT_S)
        seconds = timed(lambda: (self.client.execute(code), self.read_until(_is_stream, client=self.other)))
        self.finish()
        self.read_until(_is_status, "idle", self.other)
        return seconds

    def seconds_to_idle(self, code: str, chars: int) -> float:
        """Seconds until all that this request prints was seen, which is so many characters."""
        begin, seen, state = time.perf_counter(), 0, ""
        request = self.client.execute(code)
        while state != "idle":
            message = self.client.get_iopub_msg(timeout=_TIMEOUT_S)
            if message["parent_header"].get("msg_id") == request:
                seen += len(message["content"]["text"]) if _is_stream(message) else 0
                state = message["content"]["execution_state"] if _is_status(message) else state
        seconds = time.perf_counter() - begin
        self.client.get_shell_msg(timeout=_TIMEOUT_S)
        assert seen == chars, f"{seen} of {chars} characters were seen"
        return seconds

    def finish(self) -> None:
        """Wait for the end of the cell."""
        self.client.get_shell_msg(timeout=_TIMEOUT_S)
        self.read_until(_is_status, "idle")

    def seconds_to_stop(self) -> float:
        """Seconds from the interrupt of a loop to its reply."""
        self.client.execute("print('on')\nwhile True: pass")
        self.read_until(_is_stream)
        replies: list[Any] = []
        seconds = timed(
            lambda: (self.manager.interrupt_kernel(), replies.append(self.client.get_shell_msg(timeout=_TIMEOUT_S)))
        )
        assert replies[0]["content"].get("ename") == "KeyboardInterrupt", "the loop had ended by itself"
        self.read_until(_is_status, "idle")
        return seconds

    def memory_mb(self) -> float:
        """Resident memory, each shared page counted by its share."""
        return _memory_mb(self.manager.provisioner.process.pid)

    def close(self) -> None:
        """End it."""
        self.other.stop_channels()
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def seconds_to_text(kernel: rpyc_kernel.KernelClient, code: str) -> float:
    """Seconds from a request of a client of ours to the first text that it sees."""
    begin = time.perf_counter()
    run = kernel.submit(code)
    for event in run.events():
        if event.kind == Kind.STREAM:
            break
    seconds = time.perf_counter() - begin
    run.result()
    return seconds


class Ours:
    """A kernel of ours and its client; with IPython, which the peer is made of, if nothing else is said."""

    def __init__(self, name: str, engine: str = "ipython") -> None:
        self.kernel = rpyc_kernel.start(name, engine=engine)
        self.kernel.execute("pass")
        self.other = rpyc_kernel.connect(name)
        self.seen = self.other.events()

    def execute(self, code: str) -> float:
        """Seconds from request to the end."""
        return timed(lambda: self.kernel.execute(code))

    def seconds_to_text(self, code: str) -> float:
        """Seconds from request to the first text seen."""
        return seconds_to_text(self.kernel, code)

    def seconds_to_text_elsewhere(self, code: str) -> float:
        """Seconds from request to the first text seen by another client."""
        before = self.kernel.status()["last"]
        begin = time.perf_counter()
        run = self.kernel.submit(code)
        next(event for event in self.seen if event.kind == Kind.STREAM and event.seq > before)
        seconds = time.perf_counter() - begin
        run.result()
        next(event for event in self.seen if event.kind == Kind.FINISHED and event.seq > before)
        return seconds

    def seconds_to_idle(self, code: str, chars: int) -> float:
        """Seconds until everything printed was seen, which is so many characters."""
        begin = time.perf_counter()
        run = self.kernel.execute(code)
        seconds = time.perf_counter() - begin
        assert len(run.stdout) == chars, f"{len(run.stdout)} of {chars} characters were seen"
        return seconds

    def seconds_to_stop(self) -> float:
        """Seconds from the interrupt of a loop to its end."""
        run = self.kernel.submit("print('on')\nwhile True: pass")
        next(event for event in run.events() if event.kind == Kind.STREAM)
        seconds = timed(lambda: (self.kernel.interrupt(run.id, wait=0), run.exception()))
        assert run.status == "interrupted", run.status
        return seconds

    def memory_mb(self) -> float:
        """Resident memory of hub and worker, each shared page counted by its share."""
        status = self.kernel.status()
        return _memory_mb(status["hub_pid"]) + _memory_mb(status["worker_pid"])

    def close(self) -> None:
        """End it."""
        self.other.close()
        self.kernel.shutdown()


_SHORT_WORKS: dict[str, tuple[Callable[[Ours | Peer], float], dict[str, str]]] = {
    "execute 'pass' to reply": (lambda side: side.execute("pass"), {"plain": "8x", "ipython": "5.5x"}),
    "print(1) to seen": (lambda side: side.seconds_to_text("print(1)"), {"plain": "5x", "ipython": "4x"}),
    "print(1) to seen by another client": (
        lambda side: side.seconds_to_text_elsewhere("print(1)"), {"plain": "5x", "ipython": "4x"},
    ),
}  # fmt: skip


def run(rounds: int) -> list[Figure]:
    """Run everything and return the lines of the report."""
    with own_folders():
        kernels, peer = {engine: Ours(f"bench-{engine}", engine) for engine in _ENGINES}, Peer()
        ours = kernels["ipython"]
        try:
            return [
                *(
                    compare(
                        f"{work}, engine {engine}",
                        lambda kernel=kernel, measure=measure: measure(kernel) * 1e3,
                        lambda measure=measure: measure(peer) * 1e3,
                        rounds=rounds, per_round=20, unit="ms", aim=aims[engine],
                    )
                    for work, (measure, aims) in _SHORT_WORKS.items()
                    for engine, kernel in kernels.items()
                ),
                compare(
                    "first print of a running cell to seen",
                    lambda: ours.seconds_to_text(_SLOW_CELL) * 1e3,
                    lambda: peer.seconds_to_text(_SLOW_CELL) * 1e3,
                    rounds=rounds, unit="ms", aim="under 5 ms",
                ),
                compare(
                    "20 MB in 100-byte lines, all seen",
                    lambda: _LINES_CHARS / 1e6 / ours.seconds_to_idle(_LINES, _LINES_CHARS),
                    lambda: _LINES_CHARS / 1e6 / peer.seconds_to_idle(_LINES, _LINES_CHARS),
                    rounds=rounds, unit="MB/s", aim="4x", more_is_better=True,
                ),
                *(
                    compare(
                        f"interrupt of a pure loop, engine {engine}",
                        lambda kernel=kernel: kernel.seconds_to_stop() * 1e3,
                        lambda: peer.seconds_to_stop() * 1e3,
                        rounds=rounds, per_round=3, unit="ms", aim="",
                    )
                    for engine, kernel in kernels.items()
                ),
                *(
                    compare(
                        f"start to ready, engine {engine}",
                        lambda engine=engine: _seconds_to_start_ours(engine), _seconds_to_start_peer,
                        rounds=rounds, unit="s", aim="4x",
                    )
                    for engine in _ENGINES
                ),
                *(
                    compare(
                        f"memory after start, engine {engine} (PSS)",
                        *_memory_of_fresh(engine),
                        rounds=1, unit="MB", aim="1x",
                    )
                    for engine in _ENGINES
                ),
                compare("memory after all of this (PSS)", ours.memory_mb, peer.memory_mb, rounds=1, unit="MB", aim=""),
            ]  # fmt: skip
        finally:
            for kernel in kernels.values():
                kernel.close()
            peer.close()


def main(rounds: int = 5) -> None:
    """Print the report."""
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; "
        f"ipykernel {ipykernel.__version__}; medians, {rounds} rounds"
    )
    report("rpyc_kernel (ours) beside ipykernel and its blocking client (peer)", run(rounds))


def _seconds_to_start_ours(engine: str) -> float:
    begin = time.perf_counter()
    ours = Ours("fresh", engine)
    seconds = time.perf_counter() - begin
    ours.close()
    return seconds


def _seconds_to_start_peer() -> float:
    begin = time.perf_counter()
    peer = Peer()
    seconds = time.perf_counter() - begin
    peer.close()
    return seconds


def _memory_of_fresh(engine: str) -> tuple[Callable[[], float], Callable[[], float]]:
    def measure(make: Callable[[], Any]) -> float:
        fresh = make()
        try:
            return float(fresh.memory_mb())
        finally:
            fresh.close()

    return lambda: measure(lambda: Ours("fresh", engine)), lambda: measure(Peer)


def _memory_mb(pid: int) -> float:
    full = psutil.Process(pid).memory_full_info()
    return float(getattr(full, "pss", full.rss)) / 1e6


def _is_stream(message: dict[str, Any]) -> bool:
    return bool(message["header"]["msg_type"] == "stream")


def _is_status(message: dict[str, Any]) -> bool:
    return bool(message["header"]["msg_type"] == "status")


@contextlib.contextmanager
def own_folders() -> Iterator[None]:
    """Keep the benchmark's kernels and journals out of the user's."""
    with tempfile.TemporaryDirectory(prefix="rk-bench-") as folder:
        os.environ["RPYC_KERNEL_RUNTIME_DIR"] = os.path.join(folder, "r")
        os.environ["RPYC_KERNEL_STATE_DIR"] = os.path.join(folder, "s")
        yield
