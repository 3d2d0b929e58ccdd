"""Live objects beside their peers, and large values beside the raw socket, on this machine, in one run."""

from __future__ import annotations

import contextlib
import mmap
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy
import rpyc
from rpyc.core.service import MasterService
from rpyc.core.stream import SocketStream

import rpyc_kernel
from benchmarks import peers, spinning
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import RECORD, timed
from benchmarks.spinning import Watch
from rpyc_kernel.settings import Folders
from rpyc_kernel.wire.connection_file import ConnectionFile

_CALLS = 200
_BUSY_CALLS = 20
_PIPELINED = 2000
_MB = 256
_STOCK_MB = 16
_STEP = 4 << 20
_INTERVALS_S = (0.005, 0.001, 0.0002, 0.00005)
_WORKS = {
    "getattr": "attribute",
    "method": "method call",
    "make": "proxy of a new instance",
    "callback": "callback",
    "chain": "five steps",
    "lazy": "five steps, lazy",
}
_STOCK = "stock rpyc"
_BUSY = ", while user code spins"
_AIMS = {
    "attribute": f"at most 1.3x {_STOCK}",
    "method call": f"at most 1.05x {_STOCK}",
    "callback": f"at most 1.2x {_STOCK}",
    "five steps, lazy": f"at most 0.25x {_STOCK}",
    f"attribute{_BUSY}": "under 0.6 ms",
    f"method call{_BUSY}": "under 0.6 ms",
}


def main(rounds: int) -> None:
    """Measure and print."""
    with own_folders():
        print(f"Python {platform.python_version()}, rpyc {rpyc.__version__}, {os.cpu_count()} processors")
        _report_calls(rounds)
        _report_switch_intervals()
        _report_bulk(rounds)


# ------------------------------------------------------------------ calls


def _report_calls(rounds: int) -> None:
    idle: dict[str, dict[str, list[float]]] = {}
    busy: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(start()) for name, start in peers.ALL.items()}
        for _ in range(rounds):  # in turns, so that all meet the same weather
            for name, works in running.items():
                _measure(works, idle.setdefault(name, {}), _CALLS)
    _print_calls("Calls of live objects, idle (median ms)", idle)
    for name, start in peers.ALL.items():  # one at a time: each burns a processor
        with start() as works, spinning.counter() as spin:
            assert works.spin is not None
            works.spin(spin)
            watch = spin.wait_for(name)
            for _ in range(rounds):
                _measure(works, busy.setdefault(name, {}), _BUSY_CALLS, watch)
    _print_calls("The same while user code spins (median ms)", busy, _BUSY)


def _measure(works: peers.Works, figures: dict[str, list[float]], calls: int, watch: Watch | None = None) -> None:
    for name, label in _WORKS.items():
        work = getattr(works, name)
        if work is not None:
            times = watch.time_often(label, work, calls) if watch else [timed(work) for _ in range(calls)]
            figures.setdefault(label, []).extend(seconds * 1000 for seconds in times)
    if watch is None and works.pipeline is not None:
        pipeline = works.pipeline
        figures.setdefault("pipelined call", []).append(timed(lambda: pipeline(_PIPELINED)) * 1000 / _PIPELINED)


def _print_calls(title: str, figures: dict[str, dict[str, list[float]]], state: str = "") -> None:
    names = sorted(figures, key=_STOCK.__eq__)  # what ours is held against comes last
    print(f"\n{title}\n")
    print(f"{'work':<26}" + "".join(f"{name:>12}" for name in names) + f"{'ours/stock':>12}  aim")
    for label in [*_WORKS.values(), "pipelined call"]:
        medians = {name: statistics.median(figures[name][label]) for name in names if label in figures[name]}
        if not medians:
            continue
        cells = "".join(f"{medians[name]:>12.3f}" if name in medians else f"{'–':>12}" for name in names)
        row = RECORD.add(label + state, "ms", medians, aim=_AIMS.get(label + state, ""))
        print(f"{label:<26}{cells}{1 / row.ratio(_STOCK):>11.2f}x  {row.aim}{'' if row.is_reached else '  MISSED'}")


# ------------------------------------------------------------------ the price of introspection


def _report_switch_intervals() -> None:
    print("\nWhat the switch interval buys and costs: user code computes, one client calls a method without a pause\n")
    print(f"{'interval':<14}{'method call (median ms)':>26}{'user code alone':>18}{'while called':>14}")
    for interval in _INTERVALS_S:
        with rpyc_kernel.start("bench-interval", engine="plain", switch_interval=interval) as kernel:
            try:
                kernel.execute(peers.DEFINITIONS)
                alone = kernel.execute(_COUNT).value
                run = kernel.submit(_COUNT)
                thing = kernel.namespace.thing
                calls = []
                while not run.done():
                    calls.append(timed(lambda thing=thing: thing.add(1)) * 1000)
                called = run.result(60)
            finally:
                kernel.shutdown()
        print(f"{interval * 1000:>8g} ms   {statistics.median(calls):>26.2f}{'100 %':>18}{called / alone:>13.0%}")


_COUNT = """
import time
count, end = 0, time.perf_counter() + 2
while time.perf_counter() < end: count += 1
count
"""


# ------------------------------------------------------------------ large values


def _report_bulk(rounds: int) -> None:
    array = numpy.random.default_rng(1).random(_MB * 1_000_000 // 8)
    with rpyc_kernel.start("bench-bulk", engine="plain") as kernel:
        key = ConnectionFile.read(Folders.from_environment().runtime / "bench-bulk" / "kernel.json").key
        (info,) = [found for found in rpyc_kernel.kernels() if found.name == "bench-bulk"]
        address = f"tcp://{info.host}:{info.port}"
        try:
            with rpyc_kernel.connect(address, key=key) as remote, raw_sender(array.nbytes) as port:
                kernel.push(array=array)
                works: dict[str, Callable[[], object]] = {
                    "raw socket": lambda: receive_raw(port, array.nbytes),
                    "pull over TCP": lambda: remote.pull("array"),
                    "push over TCP": lambda: remote.push(other=array),
                    "pull by shared memory": lambda: kernel.pull("array"),
                    "push by shared memory": lambda: kernel.push(other=array),
                }
                figures: dict[str, list[float]] = {name: [] for name in works}
                for _ in range(max(rounds, 3)):
                    for name, work in works.items():
                        figures[name].append(_MB / timed(work))
            raw = statistics.median(figures["raw socket"])
            print(f"\n{_MB} MB of float64 (median MB/s)\n\n{'raw socket':<26}{raw:>10.0f}")
            for name, found in list(figures.items())[1:]:
                sides = {"ours": statistics.median(found), "raw socket": raw}
                aim = "0.6x" if "TCP" in name else "1x"
                row = RECORD.add(f"{_MB} MB of float64, {name}", "MB/s", sides, aim=aim, more_is_better=True)
                mark = "" if row.is_reached else "  MISSED"
                print(f"{name:<26}{row.ours:>10.0f}{row.ratio():>9.2f} of raw; aim: {aim}{mark}")
            with _stock() as connection:
                connection.execute(f"data = bytes({_STOCK_MB * 1_000_000})")
                rate = _STOCK_MB / timed(lambda: connection.namespace["data"])
                print(f"{'stock rpyc':<26}{rate:>10.1f}{rate / raw:>9.4f} of raw  (measured with {_STOCK_MB} MB)")
            _report_memory(address, key, int(kernel.status()["worker_pid"]))
        finally:
            kernel.shutdown()


_RAW_SENDER = """
import socket, sys, numpy
data = memoryview(numpy.ones(int(sys.argv[1]) // 8)).cast('B')
with socket.create_server(('127.0.0.1', 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        sock, _ = server.accept()
        with sock: sock.sendall(data)
"""


@contextlib.contextmanager
def raw_sender(size: int) -> Iterator[int]:
    """Another process that sends so many bytes from its memory to whoever connects; the port."""
    command = [sys.executable, "-c", _RAW_SENDER, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def receive_raw(port: int, size: int) -> None:
    """What the machine can do: ``recv_into`` memory that is new, from another process's ``sendall``."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        into = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        done = 0
        while done < len(into):
            done += sock.recv_into(into[done : done + _STEP])


@contextlib.contextmanager
def _stock() -> Iterator[rpyc.Connection]:
    with peers.server("stock_rpyc") as (port, _):
        connection = rpyc.utils.factory.connect_stream(SocketStream.connect("127.0.0.1", port), MasterService)
        yield connection
        connection.close()


_TRANSFER = """
import resource, sys, rpyc_kernel
target, key, way, size = sys.argv[1:]
size = int(size)
kernel = rpyc_kernel.connect(target, key=key or None)
def peak():
    return int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]) * 1024
import numpy
kernel.pull('array[:1000000]')
mine = numpy.ones(size // 8) if way == 'push' else None
before = peak()
if way == 'pull': got = kernel.pull('array'); total = got.sum()
else: kernel.push(other=mine)
print((peak() - before + (size if way == 'push' else 0)) / size)
"""


def _report_memory(address: str, key: str, worker_pid: int) -> None:
    print("\npeak memory of each side, as times the data; aim: at most 1.2\n")
    print(f"{'work':<26}{'client':>10}{'worker':>10}")
    size = _MB * 1_000_000
    for road, target in (("TCP", address), ("shared memory", "bench-bulk")):
        for way in ("pull", "push"):
            before = _reset_peak(worker_pid)
            command = [sys.executable, "-c", _TRANSFER, target, key, way, str(size)]
            client = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            worker = (_read_kb(worker_pid, "VmHWM") - before) * 1024 / size + (way == "pull")
            print(f"{f'{way}, {road}':<26}{client:>10.2f}{worker:>10.2f}")


def _reset_peak(pid: int) -> int:
    """Have the system count a process's peak from now on; returns what the process holds now, in kB."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    time.sleep(0.1)
    return _read_kb(pid, "VmRSS")


def _read_kb(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
