"""Ten thousand kernels behind a gateway: what each part of it costs, and what breaks first.

Units are measured on a real kernel, on the hub's own journal and handshake, and on `gateway`, a prototype to which ten
thousand simulated hubs connect by real sockets. Decision 45 says what follows from them.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import RECORD
from rpyc_kernel.core.contract import Role
from rpyc_kernel.core.payloads import encode_payload
from rpyc_kernel.hub.journal.store import Row, Store
from rpyc_kernel.wire.handshake import COMMANDS, Identity, greet_client, greet_hub
from rpyc_kernel.wire.keys import Grant, Key

KERNELS = 10_000
USUAL_LIMIT = 1024
WATCHERS, CLIENTS = 10, 50
BEAT_S = 5.0
PER_HOUR = 60
"""How often a kernel of the model runs something in an hour."""
_PASSES, _HANDSHAKES, _COMMITS = 200, 300, 300
_STEP_S, _FIRST_RATE, _MAX_RATE, _MAX_WATCHERS = 2.0, 100, 51_200, 2560
_LATE_S = 1.0
_PATIENCE_S = 120.0
_HOUR_S, _DAY_S = 3600, 86_400
_COLUMNS = """\
                                               processor: gateway      share of one processor   memory
                      half within  99 % within           for each   gateway  held up     hubs  gateway"""
"""Held up: for that share of the time, the gateway could have run, and other programs had the processors."""


class Unit(NamedTuple):
    """What one execution brings with it, on a real kernel."""

    request: int
    reply: int
    events: list[list[Any]]


def main(_rounds: int = 1, kernels: int = KERNELS) -> None:
    """Print all of it."""
    with own_folders():
        unit = measure_kernel()
    measure_handshake()
    with tempfile.TemporaryDirectory(prefix="rk-many-") as folder:
        stored = measure_store(Path(folder), unit)
        print(f"\nthe gateway: {kernels:,} hubs that connect at once, by real sockets\n")
        few = measure_limit(Path(folder), unit)
        with running(Path(folder) / "all.sqlite", unit, 0) as (gateway, hubs):
            memory, beat_s, entry = measure_crowd(gateway, hubs, kernels)
            costs = measure_ramp(gateway, hubs, kernels)
        measure_return(Path(folder), unit, kernels)
    model(kernels, few, memory, beat_s, entry, stored, costs)


def tell(what: str, value: float, unit: str) -> None:
    """Print a line, and keep it."""
    RECORD.add(what, unit, {"ours": value})
    print(f"{what:<68} {value:>12,.{0 if abs(value) >= 100 or value == int(value) else 2}f} {unit}", flush=True)


# ---------------------------------------------------------------------- units


def measure_kernel() -> Unit:
    """What a kernel takes when it is idle, and what an execution says."""
    print("a real kernel, plain engine\n")
    with rpyc_kernel.start("unit", engine="plain", timeout=_PATIENCE_S) as kernel:
        try:
            kernel.execute("pass")
            status = kernel.status()
            for process in ("hub", "worker"):
                tell(
                    f"memory of its {process}, idle",
                    psutil.Process(status[f"{process}_pid"]).memory_info().rss / 1e6,
                    "MB",
                )
            with counting(kernel) as (client, counts):
                client.execute("pass")
                before = [*counts]
                for _ in range(_PASSES):
                    client.execute("pass")
                request, reply = ((now - then) // _PASSES for now, then in zip(counts, before, strict=True))
                last = client.status()["last_execution"]
            events = [
                [event.seq, event.time, event.kind, event.execution, event.session, encode_payload(event.payload)]
                for event in kernel.events(since=0, follow=False)
                if event.execution == last
            ]
        finally:
            kernel.shutdown()
    tell("execute('pass'): bytes to the hub", request, "B")
    tell("execute('pass'): bytes from the hub", reply, "B")
    tell("execute('pass'): events", len(events), "")
    tell("execute('pass'): bytes of its events, as JSON", len(json.dumps(events)), "B")
    return Unit(request, reply, events)


@contextlib.contextmanager
def counting(kernel: rpyc_kernel.KernelClient) -> Iterator[tuple[rpyc_kernel.KernelClient, list[int]]]:
    """A client of the kernel, and how many bytes have gone to the hub and come from it."""
    folder = Path(kernel.status()["runtime_folder"])
    there = json.loads((folder / "kernel.json").read_text())
    counts = [0, 0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_pass_on, args=(listener, (there["host"], there["port"]), counts), daemon=True).start()
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "kernel.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps({**there, "unix": "", "port": listener.getsockname()[1]}))
            with rpyc_kernel.connect(file, timeout=_PATIENCE_S) as client:
                yield client, counts


def _pass_on(listener: socket.socket, to: tuple[str, int], counts: list[int]) -> None:
    with contextlib.suppress(OSError):  # the listener is closed at the end
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(to)
            for which, source, target in ((0, near, far), (1, far, near)):
                threading.Thread(target=_pump, args=(which, source, target, counts), daemon=True).start()


def _pump(which: int, source: socket.socket, target: socket.socket, counts: list[int]) -> None:
    with contextlib.suppress(OSError), source, target:
        while data := source.recv(65_536):
            counts[which] += len(data)
            target.sendall(data)


def measure_handshake() -> None:
    """What the door of a hub takes to let somebody in, by the project's own handshake, without TLS."""
    key, taken = Key(bytes(32)), list[float]()
    for _ in range(_HANDSHAKES):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            client = threading.Thread(target=greet_hub, args=(theirs, key, COMMANDS, Identity(name="hub"), _PATIENCE_S))
            client.start()
            begin = time.thread_time()
            greet_client(ours, lambda _: (key, Grant(role=Role.OWNER)), "session", _PATIENCE_S)
            taken.append(time.thread_time() - begin)
            client.join()
    tell("processor at the door for a handshake", statistics.median(taken) * 1e6, "µs")


def measure_store(folder: Path, unit: Unit) -> float:
    """How many events the hub's journal takes in a second, by how many come together; bytes of an execution."""
    print("\none journal store: the hub's own, on this disk\n")
    number = 0
    for gathered in (1, 10, 100, 1000):
        path = folder / f"store-{gathered}.sqlite"
        with contextlib.closing(Store(path)) as store:
            begin, commits = time.process_time(), max(10, _COMMITS // gathered)
            for _ in range(commits):
                rows: list[Row] = []
                for event in unit.events * gathered:
                    number += 1
                    rows.append((number, *event[1:6], None, None))
                store.commit(rows)
            took = time.process_time() - begin
        count = commits * gathered * len(unit.events)
        tell(f"events in a second of a processor, {gathered} executions in a commit", count / took, "/s")
    stored = path.stat().st_size / count * len(unit.events)
    tell("bytes of an execution in its file", stored, "B")
    return stored


# ---------------------------------------------------------------------- the gateway, by real sockets


class Program:
    """One that is asked by lines on its standard input."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> Any:
        """Its next line."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, **command: object) -> Any:
        """Say something, and have the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


class Gateway(Program):
    """The prototype, in a process of its own."""

    def __init__(self, journal: Path, limit: int, port: int = 0) -> None:
        super().__init__("gateway", journal, limit, port)
        self.port = int(self.read())

    def talk(self, message: dict[str, Any]) -> tuple[Any, int, socket.socket]:
        """Say something on a connection of its own; the answer, its bytes, and the connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_S)
        sock.sendall(json.dumps(message).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            data += sock.recv(1 << 20)
        return json.loads(data), len(data), sock

    def waited_s(self) -> float:
        """For how long it could have run, and others had the processors; see the kernel's sched-stats.txt."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    def stats(self) -> dict[str, Any]:
        """What there is, and what it has cost so far."""
        found, _, sock = self.talk({"stats": 1})
        sock.close()
        return dict(found)


@contextlib.contextmanager
def running(journal: Path, unit: Unit, limit: int) -> Iterator[tuple[Gateway, Program]]:
    """A gateway, and simulated hubs that know where it is."""
    gateway = Gateway(journal, limit)
    settings = {"port": gateway.port, "request": unit.request, "reply": unit.reply, "events": unit.events}
    hubs = Program("simulated_hubs", json.dumps(settings))
    try:
        yield gateway, hubs
    finally:
        hubs.end()
        gateway.end()


def measure_limit(folder: Path, unit: Unit) -> int:
    """How many hubs a gateway has that nobody gave more descriptors than usual."""
    with running(folder / "few.sqlite", unit, USUAL_LIMIT) as (gateway, hubs):
        watch, _, sock = gateway.talk({"watch": 1})
        hubs.ask(connect=2 * USUAL_LIMIT)
        sock.settimeout(2.0)
        seen = 0
        with sock, contextlib.suppress(TimeoutError):
            while data := sock.recv(1 << 20):
                seen += data.count(b"\n")
    few = len(watch) + seen
    tell(f"of {2 * USUAL_LIMIT:,} hubs, registered with the usual {USUAL_LIMIT:,} descriptors", few, "")
    return few


def measure_crowd(gateway: Gateway, hubs: Program, kernels: int) -> tuple[float, float, float]:
    """What idle hubs cost: memory, descriptors, their signs of life; and the directory."""
    before = gateway.stats()
    began = hubs.ask(connect=kernels)
    after = settle(gateway, kernels)
    memory = (after["memory"] - before["memory"]) / kernels
    tell("hubs that are registered", after["hubs"], "")
    tell("until all are, who connect at once", began["seconds"], "s")
    tell("processor for that", after["cpu_s"] - before["cpu_s"], "s")
    tell("descriptors", after["descriptors"], "")
    tell("memory of the gateway for an idle hub, with its entry", memory / 1e3, "kB")
    before, begin = gateway.stats(), time.perf_counter()
    entries, size, sock = gateway.talk({"watch": 1})
    listing_s = time.perf_counter() - begin
    sock.close()
    listing_cpu_s = gateway.stats()["cpu_s"] - before["cpu_s"]
    assert len(entries) == kernels, f"{len(entries)} entries"
    tell("an entry of the directory, as JSON", size / kernels, "B")
    tell("list all of them: time", listing_s * 1e3, "ms")
    tell("list all of them: processor of the gateway", listing_cpu_s * 1e3, "ms")
    tell("list all of them: bytes", size / 1e6, "MB")
    before = gateway.stats()
    sent = hubs.ask(beat=_STEP_S, every=BEAT_S)["sent"]
    beat_s = (gateway.stats()["cpu_s"] - before["cpu_s"]) / sent
    tell("processor for a sign of life", beat_s * 1e6, "µs")
    tell(f"the same of all, every {BEAT_S:.0f} s: of one processor", 100 * beat_s * kernels / BEAT_S, "%")
    return memory, beat_s, size / kernels


def settle(gateway: Gateway, kernels: int) -> dict[str, Any]:
    """Wait until all hubs are registered, or no more come."""
    last, found = -1, gateway.stats()
    while found["hubs"] < kernels and found["hubs"] != last:
        last = found["hubs"]
        threading.Event().wait(0.5)
        found = gateway.stats()
    return found


def measure_ramp(gateway: Gateway, hubs: Program, kernels: int) -> dict[str, float]:
    """More and more executions, and then watchers, until answers come late; what an execution costs, by part."""
    print(
        f"\nthe same with {CLIENTS} clients, whose executions go by the relay, {WATCHERS} who watch the directory,\n"
        f"and all events to the store: twice as many executions each time, for {_STEP_S:.0f} s each\n\n{_COLUMNS}"
    )
    hubs.ask(clients=CLIENTS)
    costs: dict[str, float] = {}
    with watching(gateway, WATCHERS):
        rate = float(_FIRST_RATE)
        while rate <= _MAX_RATE and (parts := step(gateway, hubs, rate, f"{rate:,.0f} a second")):
            costs = parts
            rate *= 2
    print("\nby part, in the last step that was not late\n")
    for name, cost in costs.items():
        tell(f"processor for an execution: {name}", cost * 1e6, "µs")
    tell("executions a second that one processor bears by this", 1 / sum(costs.values()), "/s")
    rate = kernels * PER_HOUR / _HOUR_S
    print(f"\n{rate:,.0f} executions a second, and four times as many who watch each time\n\n{_COLUMNS}")
    count = WATCHERS
    while count <= _MAX_WATCHERS:
        with watching(gateway, count):
            if not step(gateway, hubs, rate, f"{count:,} who watch"):
                break
        count *= 4
    return costs


def step(gateway: Gateway, hubs: Program, rate: float, what: str) -> dict[str, float]:
    """Some time at one rate: print how it went. What each part has taken of an execution; nothing if it was late."""
    before, waited_s, begin = gateway.stats(), gateway.waited_s(), time.monotonic()
    found = hubs.ask(rate=rate, seconds=_STEP_S)
    after = gateway.stats()
    sent, delays = found["sent"], found["delays"] or [_PATIENCE_S]
    half, most = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
    whole = (after["cpu_s"] - before["cpu_s"]) / sent
    taken_s = time.monotonic() - begin
    held_up_s = gateway.waited_s() - waited_s
    print(
        f"{what:<18} {half * 1e3:>11,.1f} ms {most * 1e3:>9,.1f} ms {whole * 1e6:>15,.0f} µs "
        f"{whole * sent / taken_s:>9.0%} {held_up_s / taken_s:>8.0%} {found['cpu_s'] / taken_s:>8.0%} "
        f"{after['memory'] / 1e6:>5,.0f} MB",
        flush=True,
    )
    if most > _LATE_S or len(found["delays"]) < sent:
        return {}
    parts = {name: (cost - before["cost_s"][name]) / sent for name, cost in after["cost_s"].items()}
    return {**parts, "reading and waking": whole - sum(parts.values())}


@contextlib.contextmanager
def watching(gateway: Gateway, count: int) -> Iterator[None]:
    """Some who watch the directory, and read what they are told."""
    is_over = threading.Event()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for _ in range(count):
            selector.register(opened.enter_context(gateway.talk({"watch": 0})[2]), selectors.EVENT_READ)

        def read() -> None:
            while not is_over.is_set():
                for key, _ in selector.select(0.1):
                    key.fileobj.recv(1 << 20)  # type: ignore[union-attr]

        reading = threading.Thread(target=read)
        reading.start()
        try:
            yield
        finally:
            is_over.set()
            reading.join()


def measure_return(folder: Path, unit: Unit, kernels: int) -> None:
    """A gateway that was killed and is there again: until all hubs are."""
    print("\na gateway that is killed, and started again\n")
    path = folder / "again.sqlite"
    with running(path, unit, 0) as (gateway, hubs):
        hubs.ask(connect=kernels)
        settle(gateway, kernels)
        gateway.end()
        full = _overflows()
        begin = time.perf_counter()
        again = Gateway(path, 0, gateway.port)
        try:
            hubs.ask(connect=kernels)
            found = settle(again, kernels)
            tell(f"until {found['hubs']:,} hubs are back, who come at once", time.perf_counter() - begin, "s")
            tell("processor of the gateway for that", found["cpu_s"], "s")
            tell("connections that found the queue at the door full", _overflows() - full, "")
        finally:
            again.end()


def _overflows() -> int:
    """How often the system has had no room for a connection that nobody had accepted yet."""
    names, values = (line.split() for line in Path("/proc/net/netstat").read_text().splitlines()[:2])
    return int(values[names.index("ListenOverflows")])


# ---------------------------------------------------------------------- what follows


def model(
    kernels: int, few: int, memory: float, beat_s: float, entry: float, stored: float, costs: dict[str, float]
) -> None:
    """What the units come to, by how many kernels there are, and how many each part would bear."""
    rate, idle, whole = PER_HOUR / _HOUR_S, beat_s / BEAT_S, sum(costs.values())
    print(
        f"\none gateway on one processor, where each kernel runs {PER_HOUR} executions an hour that print nothing\n\n"
        "  kernels   processor   signs of life   memory MB   descriptors   a listing MB   journal GB a day"
    )
    for count in (100, 1_000, kernels, 10 * kernels):
        print(
            f"{count:>9,} {count * (idle + rate * whole):>11.1%} {count * idle:>15.1%} {count * memory / 1e6:>11,.1f} "
            f"{count:>13,} {count * entry / 1e6:>14,.1f} {count * rate * _DAY_S * stored / 1e9:>18,.1f}"
        )
    print("\nhow many kernels that is, where it does nothing else\n")
    bears: dict[str, float] = {f"{name}, of executions": 1 / (rate * cost) for name, cost in costs.items()}
    bears |= {
        "the usual limit of descriptors": few,
        "signs of life": 1 / idle,
        "all of it": 1 / (idle + rate * whole),
    }
    more = costs["watching"] * (10 - 1)
    bears[f"all of it, with {10 * WATCHERS} who watch"] = 1 / (idle + rate * (whole + more))
    for name, borne in sorted(bears.items(), key=lambda each: each[1]):
        tell(name, borne, "")


if __name__ == "__main__":
    main()
