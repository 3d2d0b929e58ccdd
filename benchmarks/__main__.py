"""``scripts/bench [SUITE...]``: run benchmarks beside their peers; print medians, ratios and which aims were missed.

``--json`` keeps a run, ``--compare`` sets this one beside it, ``--plot`` draws each family.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    against_ipykernel,
    daily,
    growth,
    introspection,
    jupyter_sharing,
    jupyter_speed,
    memory,
    objects,
    results,
    road,
)
from benchmarks.floor import measure_echo_s
from benchmarks.measure import RECORD

SUITES: dict[str, Callable[..., list[str]]] = {
    "road": road.main,
    "kernel": against_ipykernel.main,
    "introspection": introspection.main,
    "objects": objects.main,
    "jupyter": jupyter_speed.main,
    "sharing": jupyter_sharing.main,
    "daily": daily.main,
    "memory": memory.main,
    "growth": growth.main,
}


def main() -> int:
    """Run the suites that were named, or all; the exit status is 1 if an aim was missed and that matters."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="which to run; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measurement is repeated")
    parser.add_argument("--strict", action="store_true", help="end with status 1 if an aim was missed")
    parser.add_argument("--events", type=int, default=growth.EVENTS, help="how long the journal of 'growth' is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="set it beside an earlier run's --json")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw a picture of each family")
    arguments = parser.parse_args()
    before = results.read(arguments.compare) if arguments.compare else None
    # Its kernels end with it, by the `with` and `finally` that hold them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    echo_s = measure_echo_s()
    missed: list[str] = []
    for name in arguments.suites or SUITES:
        RECORD.suite = name
        options = {"events": arguments.events} if name == "growth" else {}
        missed += [f"{name}: {what}" for what in SUITES[name](arguments.rounds, **options)]
    echo_s = min(echo_s, measure_echo_s())
    print(f"\nraw echo of 96 bytes over TCP, between two processes: {echo_s * 1e6:.0f} µs")
    if arguments.json:
        results.write(arguments.json, RECORD.figures, echo_s)
    if before:
        print("", *results.compare(*before, RECORD.figures, echo_s), sep="\n")
    if arguments.plot:
        from benchmarks import plots  # only here: drawing needs matplotlib

        print("", *plots.draw(RECORD.figures, arguments.plot), sep="\n")
    if missed:
        print("\nmissed:", *missed, sep="\n  ")
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
