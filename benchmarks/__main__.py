"""``scripts/bench [SUITE...]``: run benchmarks beside their peers; print medians, ratios and which aims were missed.

``--json`` keeps a run, ``--compare`` sets this one beside it, ``--plot`` draws each family and writes a page.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    against_ipykernel,
    clients,
    daily,
    editors,
    faces,
    groups,
    growth,
    gui,
    introspection,
    jupyter_sharing,
    jupyter_speed,
    many_kernels,
    memory,
    objects,
    remote,
    results,
    road,
)
from benchmarks.floor import measure_echo_s
from benchmarks.measure import RECORD

SUITES: dict[str, Callable[..., list[str] | None]] = {
    "road": road.main,
    "kernel": against_ipykernel.main,
    "clients": clients.main,
    "introspection": introspection.main,
    "objects": objects.main,
    "remote": remote.main,
    "jupyter": jupyter_speed.main,
    "sharing": jupyter_sharing.main,
    "daily": daily.main,
    "faces": faces.main,
    "editors": editors.main,
    "gui": gui.main,
    "memory": memory.main,
    "growth": growth.main,
    "group": groups.main,
    "many_kernels": many_kernels.main,
}


def main() -> int:
    """Run the suites that were named, or all; the exit status is 1 if an aim was missed and that matters."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="which to run; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measurement is repeated")
    parser.add_argument("--strict", action="store_true", help="end with status 1 if an aim was missed")
    parser.add_argument("--events", type=int, default=growth.EVENTS, help="how long the journal of 'growth' is")
    parser.add_argument("--kernels", type=int, default=groups.KERNELS, help="how many 'group' has, and each peer")
    parser.add_argument("--idle", type=int, default=groups.IDLE, help="up to how many idle kernels 'group' starts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument("--read", type=Path, metavar="FILE", help="take an earlier run's --json in place of measuring")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="set it beside an earlier run's --json")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw a picture of each family, and a page of all")
    arguments = parser.parse_args()
    before = results.Run.read(arguments.compare) if arguments.compare else None
    # Its kernels end with it, by the `with` and `finally` that hold them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    missed: list[str] = []
    if arguments.read:
        run = results.Run.read(arguments.read)
    else:
        echo_s = measure_echo_s()
        options = {
            "growth": {"events": arguments.events},
            "group": {"kernels": arguments.kernels, "idle": arguments.idle},
        }
        for name in arguments.suites or SUITES:
            RECORD.suite = name
            try:
                missed += [f"{name}: {what}" for what in SUITES[name](arguments.rounds, **options.get(name, {})) or ()]
            except Exception as error:  # noqa: BLE001 - the other families are worth having
                traceback.print_exc()
                missed.append(f"{name}: {error!r}")
        run = results.Run(RECORD.figures, min(echo_s, measure_echo_s()))
    print(f"\nraw echo of 96 bytes over TCP, between two processes: {run.echo_s * 1e6:.0f} µs")
    if arguments.json:
        run.write(arguments.json)
    if before:
        print("", *results.compare(before, run), sep="\n")
    if arguments.plot:
        from benchmarks import plots  # only here: drawing needs matplotlib

        print("", *plots.draw(run, arguments.plot), results.write_page(run, arguments.plot), sep="\n")
    missed += [
        f"{each.suite}: {each.work}: {each.ours:.3g} {each.unit}, {each.ratio():.2f}x {each.peer}; aim: {each.aim}"
        for each in run.figures
        if not each.is_reached
    ]
    if missed:
        print("\nmissed:", *missed, sep="\n  ")
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
