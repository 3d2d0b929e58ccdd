"""What must not grow: starts, look-ups and searches on a long journal, and what a crowd of followers costs.

The journal is made by the hub's own rooms, with 50 events for each execution. The other side of each line is the same
done in an empty kernel, or without the crowd. Run as a program, this module is 25 of the followers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import Figure, record, report, timed
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.core.payloads import encode_payload
from rpyc_kernel.hub.journal.inputs import InputsIndex
from rpyc_kernel.hub.journal.recovery import Recovery
from rpyc_kernel.hub.journal.store import Row, Snapshot, Store
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder

EVENTS = 5_000_000
_NAME = "growth"
_TIMEOUT_S = 60.0
_OUTPUTS = 47
_NEEDLE = 7
_BATCH = 10_000
_PROCESSES, _FOLLOWERS = 4, 25
_LINES, _LINE_CHARS = 200_000, 99
_LIMIT, _WAIT_S = 1000, 20.0


def main(rounds: int, events: int = EVENTS) -> None:
    """Print the table."""
    with own_folders():
        home = Home(Folders.from_environment().state / _NAME)
        home.create()
        making = timed(lambda: fill(home.journal, events))
        indexing = timed(lambda: index(home.journal, events))
        print(f"\n{events:,} events written in {making:.0f} s, their inputs indexed in {indexing:.0f} s")
        rows = list(measure_starts(rounds, events))
        with running(_NAME) as kernel:
            rows += measure_look_ups(kernel, rounds, events // (_OUTPUTS + 3))
        with running("crowd") as kernel:
            rows += measure_crowd(kernel, rounds)
    report("what must not grow (peer: an empty kernel, or nobody else)", rows)


def fill(path: Path, events: int) -> None:
    """Write a journal as a kernel writes it that has ended well."""
    recovery, rows = Recovery(), list[Row]()
    seq, when = 0, time.time() - 86_400

    def add(kind: str, execution: int | None, payload: dict[str, object]) -> None:
        nonlocal seq, when
        seq, when = seq + 1, when + 0.001
        recovery.take(seq, when, kind, execution, "alice", payload)
        rows.append((seq, when, kind, execution, "alice", encode_payload(payload), None, None))

    with contextlib.closing(Store(path)) as store:
        for execution in range(1, events // (_OUTPUTS + 3) + 1):
            code = f"frame_{execution} = frame_{execution - 1}.merge(other, on='key{execution % 97}')"
            code += " # needle" if execution == _NEEDLE else ""
            queued = {"code": code, "name": "alice", "lane": "main", "stop_on_error": True, "call": None, "form": None}
            add(Kind.QUEUED, execution, {**queued, "position": 0, "is_input": True})
            add(Kind.STARTED, execution, {"count": execution, "generation": 1})
            for number in range(_OUTPUTS):
                add(Kind.STREAM, execution, {"name": "stdout", "text": f"{number} of {execution} {'x' * 40}\n"})
            ended = {"outcome": "ok", "reason": None, "duration_s": 0.001, "by": None, "generation": 1}
            add(Kind.FINISHED, execution, ended)
            if len(rows) >= _BATCH:
                store.commit(rows, Snapshot(seq, recovery.as_text()))
                rows.clear()
        add(Kind.HUB_STOPPED, None, {"reason": "stopped"})
        store.commit(rows, Snapshot(seq, recovery.as_text()))


def index(path: Path, events: int) -> None:
    """Index it, as a hub does in its first minute."""
    with contextlib.closing(InputsIndex(path)) as inputs:
        while inputs.catch_up(events):
            pass


@contextlib.contextmanager
def running(name: str) -> Iterator[KernelClient]:
    """A kernel, stopped at the end."""
    with rpyc_kernel.start(name, timeout=_TIMEOUT_S) as kernel:
        try:
            yield kernel
        finally:
            kernel.shutdown(timeout=_TIMEOUT_S)


def measure_starts(rounds: int, events: int) -> Iterator[Figure]:
    """Time starts after a clean stop, and after hub and worker were killed behind 9,000 more events."""
    for how, ends in (("a stop", stop), ("a kill", kill)):
        figures: dict[str, list[float]] = {_NAME: [], "empty": []}
        for _ in range(rounds):
            for name, taken in figures.items():
                with rpyc_kernel.start(name, timeout=_TIMEOUT_S) as kernel:
                    ends(kernel)
                begin = time.perf_counter()
                with rpyc_kernel.start(name, timeout=_TIMEOUT_S) as kernel:
                    taken.append((time.perf_counter() - begin) * 1000)
                    last = kernel.status()["last"]
                    if name == _NAME and last < events:
                        raise RuntimeError(f"a journal of {events} events begins at {last}")
                    if kernel.execute("6 * 7", timeout=_TIMEOUT_S).value != 42:
                        raise RuntimeError("a kernel that has started does not run code")
                    stop(kernel)
        sides = {"ours": figures[_NAME], "an empty kernel": figures["empty"]}
        yield record(f"start after {how}, {events:,} events", "ms", sides, "under 300 ms")


def stop(kernel: KernelClient) -> None:
    """End a kernel well."""
    kernel.shutdown(timeout=_TIMEOUT_S)
    wait_until_gone(kernel)


def kill(kernel: KernelClient) -> None:
    """End a kernel by force, when much has happened since what is unfinished was written down."""
    kernel.execute("for _ in range(9_000): print(flush=True)", timeout=_TIMEOUT_S)
    status = kernel.status()
    for process in ("hub_pid", "worker_pid"):
        os.kill(status[process], signal.SIGKILL)
    wait_until_gone(kernel)


def wait_until_gone(kernel: KernelClient) -> None:
    """Wait until nobody holds its name."""
    deadline = time.monotonic() + _TIMEOUT_S
    while any(info.name == kernel.name for info in rpyc_kernel.kernels()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"kernel {kernel.name} does not end")
        threading.Event().wait(0.01)


def measure_look_ups(kernel: KernelClient, rounds: int, executions: int) -> Iterator[Figure]:
    """Time executions that ended long ago, and searches."""
    finding, missing, searching, inputs = list[float](), list[float](), list[float](), list[float]()
    kernel.execute("pass")
    for number in range(rounds):
        asked = 1 + executions * (number + 1) // (rounds + 2)
        begin = time.perf_counter()
        execution = kernel.execution(asked)
        execution.result(_TIMEOUT_S)
        finding.append((time.perf_counter() - begin) * 1000)
        if not execution.stdout.startswith(f"0 of {asked} ") or execution.stdout.count("\n") != _OUTPUTS:
            raise RuntimeError(f"execution {asked} is told as {execution.stdout[:50]!r}")
        for taken, pattern, there in ((searching, "needle", [_NEEDLE]), (missing, "nowhere at all", [])):
            begin = time.perf_counter()
            found = kernel.history(pattern)
            taken.append((time.perf_counter() - begin) * 1000)
            if [past.execution for past in found] != there:
                raise RuntimeError(f"the history has {pattern!r} in {[past.execution for past in found][:5]}")
        inputs.append(timed(lambda: kernel.history(limit=1)) * 1000)
    looks = (
        ("execution(n)", finding, "under 5 ms"),
        ("history('needle')", searching, "under 50 ms"),
        ("history of what was never there", missing, "under 50 ms"),
    )
    for work, taken, aim in looks:
        yield record(work, "ms", {"ours": taken, "the last input": inputs}, aim)


def measure_crowd(kernel: KernelClient, rounds: int) -> Iterator[Figure]:
    """Time `pass` beside 100 who follow everything, and how fast all of them see 20 MB."""
    alone = time_passes(kernel, 100)
    speeds, beside, meanwhile = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        with followers(kernel) as crowd:
            beside += time_passes(kernel, 100)
            begin = time.time()
            line = f"chr(64) * {_LINE_CHARS} + '\\n'"
            kernel.execute(f"import sys\nfor _ in range({_LINES}): sys.stdout.write({line})", timeout=_TIMEOUT_S)
            while any(process.poll() is None for process in crowd):
                meanwhile += time_passes(kernel, 1)
            told = [process.communicate()[0].split() for process in crowd]
        seen = [int(count) for _, *counts in told for count in counts]
        if seen != [_LINES * _LINE_CHARS] * _PROCESSES * _FOLLOWERS:
            raise RuntimeError(f"of {_PROCESSES * _FOLLOWERS} followers, {len(seen)} saw {min(seen)} to {max(seen)}")
        speeds.append(len(seen) * _LINES * (_LINE_CHARS + 1) / 1e6 / (max(float(end) for end, *_ in told) - begin))
    for work, taken in (("waiting for everything", beside), ("reading what was printed", meanwhile)):
        yield record(f"pass, 100 {work}", "ms", {"ours": taken, "nobody else": alone}, "under 3 ms")
    yield record("20 MB to 100, together", "MB/s", {"ours": speeds}, "over 200 MB/s", more_is_better=True)


def time_passes(kernel: KernelClient, count: int) -> list[float]:
    """Milliseconds that executions of nothing take."""
    return [timed(lambda: kernel.execute("pass", timeout=_TIMEOUT_S)) * 1000 for _ in range(count)]


@contextlib.contextmanager
def followers(kernel: KernelClient) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes with clients that follow everything; none may be refused."""
    command = [sys.executable, "-m", "benchmarks.growth", kernel.name]
    with contextlib.ExitStack() as ended:
        crowd = []
        for _ in range(_PROCESSES):
            process = ended.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            ended.callback(process.kill)
            crowd.append(process)
        for process in crowd:
            if process.stdout is None or process.stdout.readline() != "all are in\n":
                raise RuntimeError("some followers were refused")
        yield crowd


def follow(name: str) -> None:
    """Follow everything with 25 clients, and tell when the last had seen all, and how much of the output each saw."""
    from rpyc.utils.factory import unix_connect

    path = RuntimeFolder(Folders.from_environment().runtime / name).rpyc_socket
    counts, ends = [0] * _FOLLOWERS, [0.0] * _FOLLOWERS
    clients = [unix_connect(str(path)) for _ in range(_FOLLOWERS)]
    cursors = [dict(client.root.hello())["last"] for client in clients]

    def read(number: int) -> None:
        call, cursor = clients[number].root.read, cursors[number]
        while counts[number] < _LINES * _LINE_CHARS:
            cursor, text = call(cursor, _LIMIT, _WAIT_S)
            counts[number] += text.count("@")
        ends[number] = time.time()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(_FOLLOWERS)]
    for thread in threads:
        thread.start()
    print("all are in", flush=True)
    for thread in threads:
        thread.join()
    print(max(ends), *counts)


if __name__ == "__main__":
    follow(sys.argv[1])
