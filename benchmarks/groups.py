"""Groups of kernels beside ipyparallel's views and Dask's client, with as many engines, in one run."""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy
import psutil

import rpyc_kernel
from benchmarks import group_sides
from benchmarks.against_ipykernel import own_folders
from benchmarks.group_sides import BALANCED, DASK, DIRECT_VIEW, PATIENCE_S, Holding, Side
from benchmarks.measure import RECORD, Figure, record, report, timed

KERNELS = 16
IDLE = 100
_STARTS = 3
_CALLS = 20
_MB = 64
_VALUES = range(1000)
_IDLE_STEPS = 10
_IDLE_S = 3.0
_IDLE_LOOKS = 3
_SETTLE_S = 2.0
_STARTER = "ipcluster"


def main(rounds: int = 5, kernels: int = KERNELS, idle: int = IDLE) -> None:
    """Print the tables."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("ipyparallel", "distributed"))
    print(f"{kernels} kernels, engines or workers; {versions}; {os.cpu_count()} processors")
    with own_folders():
        try:
            rows = [measure_starts(min(rounds, _STARTS), kernels)]
            with ExitStack() as stack:
                sides = {
                    "ours": stack.enter_context(group_sides.ours(kernels)),
                    DIRECT_VIEW: stack.enter_context(group_sides.with_ipyparallel(kernels)),
                }
                rows += measure_cost(sides, kernels)
                rows += [measure_execute(sides, rounds, number) for number in sorted({1, 4, kernels})]
                rows += measure_push(sides, rounds, kernels)
                rows.append(measure_map(sides, rounds))
            group_sides.end_all()
            rows.append(measure_dask(rounds, kernels))
            report(f"{kernels} kernels (ours) beside as many engines of ipyparallel and workers of Dask (peer)", rows)
            report(f"up to {idle} idle kernels", measure_idle(idle))
        finally:
            group_sides.end_all()


def measure_starts(rounds: int, count: int) -> Figure:
    """Time until each has run something, and ours end before theirs begin."""
    figures: dict[str, list[float]] = {"ours": [], _STARTER: []}
    for _ in range(rounds):
        for taken, start in zip(figures.values(), (group_sides.ours, group_sides.with_ipyparallel), strict=True):
            begin = time.perf_counter()
            with start(count):
                taken.append(time.perf_counter() - begin)
            group_sides.end_all()
    return record(f"start of {count}, until each has answered", "s", figures, f"1x {_STARTER}")


def measure_cost(sides: dict[str, Side], count: int) -> Iterator[Figure]:
    """What one engine costs that does nothing, with its share of what is there for all."""
    time.sleep(_SETTLE_S)
    before = {name: Holding.of(side.processes()) for name, side in sides.items()}
    time.sleep(_IDLE_S)
    after = {name: Holding.of(side.processes()) for name, side in sides.items()}
    memory = {name: each.memory_mb / count for name, each in after.items()}
    yield RECORD.add("one that is idle: memory", "MB", memory)
    burnt = {name: (after[name].processor_s - each.processor_s) / _IDLE_S for name, each in before.items()}
    yield RECORD.add("one that is idle: processor", "ms/s", {name: each * 1e3 / count for name, each in burnt.items()})


def measure_execute(sides: dict[str, Side], rounds: int, count: int) -> Figure:
    """Time ``pass`` in the first so many."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            figures[name] += [timed(lambda side=side: side.execute(count)) * 1e3 for _ in range(_CALLS)]
    return record(f'execute("pass") on {count}', "ms", figures, f"3x {DIRECT_VIEW}" if count > 4 else "")


def measure_push(sides: dict[str, Side], rounds: int, count: int) -> Iterator[Figure]:
    """Time a large array to all, and see what all processes hold more when each has read it, this one included."""
    value = numpy.arange(_MB * 1_000_000 // 8, dtype=float)
    for side in sides.values():  # has each load what it takes
        side.push(value[:1000])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    memory: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            processes = [*side.processes(), psutil.Process()]
            before = Holding.of(processes)
            seconds[name].append(timed(lambda side=side: side.push(value)) * 1e3)
            side.run("pushed.sum()")  # what nobody has touched yet is in nobody's memory
            memory[name].append(Holding.of(processes).memory_mb - before.memory_mb)
            side.run("del pushed")
    yield record(f"push of {_MB} MB to {count}", "ms", seconds, f"2x {DIRECT_VIEW}")
    yield record(f"push of {_MB} MB to {count}: memory", "MB", memory, f"under {1.25 * _MB:g} MB")


def measure_map(sides: dict[str, Side], rounds: int) -> Figure:
    """How many small calls a second are done."""
    maps = {name: each for side in sides.values() for name, each in side.maps.items()}
    for each in maps.values():
        _rate(each)  # the first has each load what it takes
    figures: dict[str, list[float]] = {name: [] for name in ("ours", BALANCED, DIRECT_VIEW)}
    for _ in range(rounds):
        for name, each in maps.items():
            figures[name].append(_rate(each))
    return record(f"map of {len(_VALUES):,} small calls, in chunks", "calls/s", figures, more_is_better=True)


def measure_dask(rounds: int, count: int) -> Figure:
    """The same by Dask, its tasks in our kernels, and in its own workers; one after the other, twice."""
    figures: dict[str, list[float]] = {"ours": [], DASK: []}
    for _ in range(2):
        with group_sides.with_dask(count) as client:
            figures[DASK] += _rates_by_dask(client, rounds)
        with (
            group_sides.with_dask(1, count) as client,  # they have only to hold the places of kernels
            rpyc_kernel.fleet(client, count, engine="ipython", timeout=PATIENCE_S) as fleet,
            fleet.dask() as inside,
        ):
            figures["ours"] += _rates_by_dask(inside, rounds)
    work = f"map of {len(_VALUES):,} small calls, by Dask"
    return record(work, "calls/s", figures, f"0.9x {DASK}", more_is_better=True)


def _rates_by_dask(client: object, rounds: int) -> list[float]:
    def call(function: Callable[[int], int], values: range) -> list[int]:
        return group_sides.call_by_dask(client, function, values)

    _rate(call)  # see `measure_map`
    return [_rate(call) for _ in range(rounds)]


def _rate(call: Callable[[Callable[[int], int], range], list[int]]) -> float:
    def double(number: int) -> int:
        return 2 * number

    double.__module__ = "__main__"  # of no module that the others could load: so it travels itself
    begin = time.perf_counter()
    results = call(double, _VALUES)
    rate = len(_VALUES) / (time.perf_counter() - begin)
    if list(results) != [2 * number for number in _VALUES]:
        raise RuntimeError("a map has wrong results")
    return rate


def measure_idle(most: int) -> Iterator[Figure]:
    """What so many idle kernels cost, a step at a time, as a line through it, and how far that is from straight."""
    counts = sorted({max(1, most * step // _IDLE_STEPS) for step in range(1, _IDLE_STEPS + 1)})
    found: dict[str, list[float]] = {}
    started = 0
    for count in counts:
        begin = time.perf_counter()
        with group_sides.kernels(count) as group:
            group.execute("pass", timeout=PATIENCE_S)
            found.setdefault("start, ms", []).append((time.perf_counter() - begin) * 1e3 / (count - started))
            started = count
            for name, value in _look(group).items():
                found.setdefault(name, []).append(value)
    _print_idle(counts, found)
    for name in ("memory, MB", "processor, ms/s", "descriptors", 'execute("pass"), ms', "status(), ms"):
        what, _, unit = name.partition(", ")
        slope, offset, residue = fit(counts, found[name])
        print(f"  {name}: {slope:.3g} a kernel, and {offset:.3g}; at most {residue:.1f} % from that line")
        yield RECORD.add(f"a further idle kernel: {what}", unit, {"ours": slope})
        yield RECORD.add(f"up to {most} idle kernels, {what}: off the line", "%", {"ours": residue}, aim="under 10 %")


def _look(group: rpyc_kernel.Group) -> dict[str, float]:
    time.sleep(_SETTLE_S)
    processes = group_sides.processes_of(group)
    looks = [Holding.of(processes)]
    for _ in range(_IDLE_LOOKS):
        time.sleep(_IDLE_S)
        looks.append(Holding.of(processes))
    after = looks[-1]
    # The least: what else runs on the machine can only add to it, as it empties the caches.
    least_s = min(late.processor_s - early.processor_s for early, late in itertools.pairwise(looks))
    return {
        "memory, MB": after.memory_mb,
        "processor, ms/s": least_s * 1e3 / _IDLE_S,
        "processes": len(processes),
        "threads": after.threads,
        "descriptors": after.descriptors,
        "descriptors here": psutil.Process().num_fds(),
        'execute("pass"), ms': statistics.median(timed(lambda: group.execute("pass")) * 1e3 for _ in range(_CALLS)),
        "status(), ms": statistics.median(timed(group.status) * 1e3 for _ in range(_CALLS)),
    }


def fit(counts: list[int], values: list[float]) -> tuple[float, float, float]:
    """A straight line through what was found: slope, offset, and the largest residue in percent of the last value."""
    if len(counts) < 2:
        return values[0] / counts[0], 0.0, 0.0
    slope, offset = (float(each) for each in numpy.polyfit(counts, values, 1))
    residues = [abs(value - slope * count - offset) for count, value in zip(counts, values, strict=True)]
    return slope, offset, 100 * max(residues) / (abs(values[-1]) or 1.0)


def _print_idle(counts: list[int], found: dict[str, list[float]]) -> None:
    print(f"\n{'idle kernels':<22}" + "".join(f"{count:>9}" for count in counts))
    for name, values in found.items():
        print(f"{name:<22}" + "".join(f"{value:>9.4g}" for value in values))
    most = counts[-1]
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    here = found["descriptors here"][-1] / most
    memory = psutil.virtual_memory().total / 1e6
    print(
        f"\nwhat ends it here: {descriptors:,} descriptors for the process with the group, {here:.1f} a kernel: "
        f"{int(descriptors / here):,} kernels; {memory:,.0f} MB of memory, {found['memory, MB'][-1] / most:.0f} "
        f"a kernel: {int(memory * most / found['memory, MB'][-1]):,}; {_most_threads():,} threads, "
        f"{found['threads'][-1] / most:.1f} a kernel: {int(_most_threads() * most / found['threads'][-1]):,}\n"
    )


def _most_threads() -> int:
    """Of all users, in this machine or container."""
    limits = [int(Path("/proc/sys/kernel/pid_max").read_text()), resource.getrlimit(resource.RLIMIT_NPROC)[0]]
    return min(limit for limit in limits if limit != resource.RLIM_INFINITY)
