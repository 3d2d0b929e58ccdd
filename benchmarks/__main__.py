"""``scripts/bench [SUITE...] [--rounds N] [--strict]``: run benchmarks and print medians and ratios."""

from __future__ import annotations

import argparse
import sys

from benchmarks import against_ipykernel, daily, introspection, jupyter_sharing, jupyter_speed, memory, objects

SUITES = {
    "kernel": against_ipykernel.main,
    "introspection": introspection.main,
    "objects": objects.main,
    "jupyter": jupyter_speed.main,
    "sharing": jupyter_sharing.main,
    "daily": daily.main,
    "memory": memory.main,
}


def main() -> int:
    """Run the suites that were named, or all; the exit status is 1 if an aim was missed and that matters."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="which to run; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measurement is repeated")
    parser.add_argument("--strict", action="store_true", help="end with status 1 if an aim was missed")
    arguments = parser.parse_args()
    missed = [f"{name}: {what}" for name in arguments.suites or SUITES for what in SUITES[name](arguments.rounds)]
    if missed:
        print("\nmissed:", *missed, sep="\n  ")
    return 1 if missed and arguments.strict else 0


if __name__ == "__main__":
    sys.exit(main())
