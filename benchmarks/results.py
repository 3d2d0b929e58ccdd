"""What a run has measured, as a file; and two such runs beside each other.

Machines differ, and one machine differs from hour to hour. So times are compared as multiples of the raw echo that was
measured in the same run, and throughputs likewise; what is no matter of speed is compared as it is.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure
from rpyc_kernel.core.contract import RELEASE

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
_NOTEWORTHY = 0.1
"""Runs of the same code differ by so much."""


def write(file: Path, figures: list[Figure], echo_s: float) -> None:
    """Write a run as JSON."""
    file.write_text(json.dumps(describe(figures, echo_s), indent=1, ensure_ascii=False) + "\n")


def describe(figures: list[Figure], echo_s: float) -> dict[str, Any]:
    """A run: where and when it was, the raw echo in seconds, and all lines."""
    return {
        "release": RELEASE,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "echo_s": echo_s,
        "figures": [asdict(figure) for figure in figures],
    }


def read(file: Path) -> tuple[list[Figure], float]:
    """Read a run.

    Raises:
        SystemExit: the file holds none.
    """
    try:
        told = json.loads(file.read_text())
        return [Figure(**figure) for figure in told["figures"]], float(told["echo_s"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file} holds no run of benchmarks ({error!r}); make one with --json FILE") from None


def compare(before: list[Figure], before_echo_s: float, now: list[Figure], now_echo_s: float) -> list[str]:
    """Our figures of two runs, as lines; more than 1 is better now."""
    earlier = {(figure.suite, figure.work): figure for figure in before}
    lines = [
        f"raw echo: {before_echo_s * 1e6:.0f} µs then, {now_echo_s * 1e6:.0f} µs now; times and throughputs below "
        "are compared as multiples of it",
        f"{'work':<66} {'then':>10} {'now':>10} {'unit':<6} better by",
    ]
    for figure in now:
        old = earlier.get((figure.suite, figure.work))
        for name, value in figure.figures.items():
            if not name.startswith("ours") or old is None or name not in old.figures:
                continue
            gain = _gain(old, old.figures[name] or 1e-12, before_echo_s, value or 1e-12, now_echo_s)
            mark = "" if abs(gain - 1) < _NOTEWORTHY else "  faster" if gain > 1 else "  SLOWER"
            label = f"{figure.suite}: {figure.work}" + (f" ({name})" if name != "ours" else "")
            lines.append(f"{label:<66} {old.figures[name]:>10.3g} {value:>10.3g} {figure.unit:<6} {gain:.2f}x{mark}")
    return lines


def _gain(figure: Figure, before: float, before_echo_s: float, now: float, now_echo_s: float) -> float:
    if figure.more_is_better:
        return (now * now_echo_s) / (before * before_echo_s) if figure.unit.endswith("/s") else now / before
    if figure.unit in _SECONDS:
        return (before / before_echo_s) / (now / now_echo_s)
    return before / now
