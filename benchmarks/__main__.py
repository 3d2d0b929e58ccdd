"""``scripts/bench [SUITE...] [--rounds N]``: run benchmarks and print medians and ratios."""

from __future__ import annotations

import argparse

from benchmarks import against_ipykernel, introspection, jupyter_sharing, jupyter_speed, objects

SUITES = {
    "kernel": against_ipykernel.main,
    "introspection": introspection.main,
    "objects": objects.main,
    "jupyter": jupyter_speed.main,
    "sharing": jupyter_sharing.main,
}


def main() -> None:
    """Run the suites that were named, or all."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="which to run; all if none is named")
    parser.add_argument("--rounds", type=int, default=5, help="how often each measurement is repeated")
    arguments = parser.parse_args()
    for name in arguments.suites or SUITES:
        SUITES[name](arguments.rounds)


if __name__ == "__main__":
    main()
