"""The way of one execution, from request to reply, beside what cannot be left out of it and beside ipykernel."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.against_ipykernel import Ours, Peer, own_folders
from benchmarks.floor import open_bare_chain, open_echo, open_working_chain
from benchmarks.measure import RECORD, timed

_PER_ROUND = 100
_WARM = 50
_ECHO, _CHAIN, _IPYKERNEL = "raw echo", "chain with the same work", "ipykernel"
_OURS = {"plain": "ours, plain", "ipython": "ours, IPython"}
_AIMS = (
    ("plain", _ECHO, 8.0, "at most 8 times a raw echo"),
    ("plain", _CHAIN, 1.5, "at most 1.5 times the chain with the same work"),
    ("plain", _IPYKERNEL, 1 / 8, "8 times as fast as ipykernel"),
    ("ipython", _IPYKERNEL, 1 / 5.5, "5.5 times as fast as ipykernel"),
)


def main(rounds: int = 5) -> list[str]:
    """Print the table; returns which aims were missed."""
    with own_folders(), ExitStack() as stack:
        works: dict[str, Callable[[], object]] = {
            _ECHO: stack.enter_context(open_echo()),
            "bare chain of three processes": stack.enter_context(open_bare_chain()),
            _CHAIN: stack.enter_context(open_working_chain()),
        }
        for engine, name in _OURS.items():
            ours = Ours(f"road-{engine}", engine)
            stack.callback(ours.close)
            works[name] = lambda ours=ours: ours.kernel.execute("pass")
        peer = Peer()
        stack.callback(peer.close)
        works[_IPYKERNEL] = lambda: peer.execute("pass")
        medians, best = _measure(works, rounds)
    print("\nexecute 'pass', from request to reply\n")
    print(f"{'':<34}{'median µs':>12}{'best round':>12}{'times the echo':>16}{'faster than ipykernel':>24}")
    for name, median in medians.items():
        print(
            f"{name:<34}{median:>12.0f}{best[name]:>12.0f}{median / medians[_ECHO]:>16.1f}"
            f"{medians[_IPYKERNEL] / median:>23.1f}x"
        )
    RECORD.add("execute 'pass' to reply", "µs", medians)
    return [
        f"{_OURS[engine]}: {medians[_OURS[engine]] / medians[other]:.2f} times {other}; aim: {words}"
        for engine, other, most, words in _AIMS
        if medians[_OURS[engine]] > most * medians[other]
    ]


def _measure(works: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    figures: dict[str, list[list[float]]] = {name: [] for name in works}
    for number in range(rounds + 1):  # in turns, so that all meet the same weather; the first turn only warms up
        for name, work in works.items():
            times = [timed(work) * 1e6 for _ in range(_PER_ROUND if number else _WARM)]
            if number:
                figures[name].append(times)
    medians = {name: statistics.median(each for turn in turns for each in turn) for name, turns in figures.items()}
    return medians, {name: min(map(statistics.median, turns)) for name, turns in figures.items()}
