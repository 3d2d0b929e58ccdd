"""The way of one execution, from request to reply, beside what cannot be left out of it and beside ipykernel."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.against_ipykernel import Ours, Peer, own_folders
from benchmarks.floor import open_bare_chain, open_echo, open_working_chain
from benchmarks.measure import PEER, RECORD, timed

_PER_ROUND = 100
_WARM = 50
_ECHO, _CHAIN = "raw echo", "chain with the same work"
_OURS = {"plain": "ours, plain", "ipython": "ours, IPython"}
_AIMS = {"plain": f"8x, at most 8x {_ECHO}, at most 1.5x {_CHAIN}", "ipython": "5.5x"}


def main(rounds: int = 5) -> None:
    """Print the table."""
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
        works[PEER] = lambda: peer.execute("pass")
        medians, best = _measure(works, rounds)
    print("\nexecute 'pass', from request to reply\n")
    print(f"{'':<34}{'median µs':>12}{'best round':>12}{'times the echo':>16}{'faster than ipykernel':>24}")
    for name, median in medians.items():
        print(
            f"{name:<34}{median:>12.0f}{best[name]:>12.0f}{median / medians[_ECHO]:>16.1f}"
            f"{medians[PEER] / median:>23.1f}x"
        )
    others = {name: median for name, median in medians.items() if name not in _OURS.values()}
    for engine, name in _OURS.items():
        RECORD.add(
            f"execute 'pass' to reply, engine {engine}", "µs", {"ours": medians[name], **others}, aim=_AIMS[engine]
        )


def _measure(works: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    figures: dict[str, list[list[float]]] = {name: [] for name in works}
    for number in range(rounds + 1):  # in turns, so that all meet the same weather; the first turn only warms up
        for name, work in works.items():
            times = [timed(work) * 1e6 for _ in range(_PER_ROUND if number else _WARM)]
            if number:
                figures[name].append(times)
    medians = {name: statistics.median(each for turn in turns for each in turn) for name, turns in figures.items()}
    return medians, {name: min(map(statistics.median, turns)) for name, turns in figures.items()}
