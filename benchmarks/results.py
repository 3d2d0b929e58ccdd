"""What a run has measured, as a file and as a page; and two such runs beside each other.

Machines differ, and one machine differs from hour to hour. So times are compared as multiples of the raw echo that was
measured in the same run, and throughputs likewise; what is no matter of speed is compared as it is.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Figure
from rpyc_kernel.core.contract import RELEASE

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
_NOTEWORTHY = 0.1
"""Runs of the same code differ by so much."""
_PEERS = ("ipykernel", "jupyter_client", "rpyc", "ipyparallel", "distributed")


@dataclass(frozen=True)
class Run:
    """All lines of a run, where and when it was, and the raw echo in seconds."""

    figures: list[Figure]
    echo_s: float
    release: str = RELEASE
    python: str = field(default_factory=platform.python_version)
    machine: str = field(
        default_factory=lambda: f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    )
    time: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    peers: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _PEERS})

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, file: Path) -> Run:
        """Read one that was written.

        Raises:
            SystemExit: the file holds none.
        """
        try:
            values = json.loads(file.read_text())
            figures = [
                Figure(**{**figure, "spread": figure["spread"] and tuple(figure["spread"])})
                for figure in values.pop("figures")
            ]
            return cls(figures=figures, **values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SystemExit(f"{file} holds no run of benchmarks ({error!r}); make one with --json FILE") from None

    @property
    def families(self) -> dict[str, list[Figure]]:
        """Its lines by suite."""
        families: dict[str, list[Figure]] = {}
        for figure in self.figures:
            families.setdefault(figure.suite, []).append(figure)
        return families


def compare(before: Run, now: Run) -> list[str]:
    """Our figures of two runs, as lines; more than 1 is better now."""
    earlier = {(figure.suite, figure.work): figure for figure in before.figures}
    lines = [
        f"raw echo: {before.echo_s * 1e6:.0f} µs then, {now.echo_s * 1e6:.0f} µs now; times and throughputs below "
        "are compared as multiples of it",
        f"{'work':<66} {'then':>10} {'now':>10} {'unit':<6} better by",
    ]
    for figure in now.figures:
        if (old := earlier.get((figure.suite, figure.work))) is not None:
            gain = _gain(figure, old.ours or 1e-12, before.echo_s, figure.ours or 1e-12, now.echo_s)
            mark = "" if abs(gain - 1) < _NOTEWORTHY else "  faster" if gain > 1 else "  SLOWER"
            label = f"{figure.suite}: {figure.work}"
            lines.append(f"{label:<66} {old.ours:>10.3g} {figure.ours:>10.3g} {figure.unit:<6} {gain:.2f}x{mark}")
    return lines


def _gain(figure: Figure, before: float, before_echo_s: float, now: float, now_echo_s: float) -> float:
    if figure.more_is_better:
        return (now * now_echo_s) / (before * before_echo_s) if figure.unit.endswith("/s") else now / before
    if figure.unit in _SECONDS:
        return (before / before_echo_s) / (now / now_echo_s)
    return before / now


def write_page(run: Run, folder: Path) -> Path:
    """Write the run as a page, with the pictures that stand in the same folder; returns the file."""
    peers = ", ".join(f"{name} {release}" for name, release in run.peers.items())
    lines = [
        "# What was measured",
        "",
        "One run of `scripts/bench`, drawn by the command itself:",
        "`scripts/bench --json run.json --plot docs/performance`.",
        f"{run.time[:10]}, {run.machine}, Python {run.python}; {peers}.",
        f"A raw echo of 96 bytes between two processes took {run.echo_s * 1e6:.0f} µs. Figures are medians of rounds",
        "in which all sides take turns. [Speed](../speed.md) says what they mean, and why some aims are missed.",
    ]
    for suite, figures in run.families.items():
        lines += ["", f"## {suite}", "", "| work | ours | beside | ours is better by | aim |", "|---|---|---|---|---|"]
        lines += [_row(figure) for figure in figures]
        if (folder / f"{suite}.svg").exists():
            lines += ["", f"![{suite}: each side as a multiple of ours]({suite}.svg)"]
    page = folder / "README.md"
    page.write_text("\n".join(lines) + "\n")
    return page


def _row(figure: Figure) -> str:
    others = [side for side in figure.figures if side != "ours"]
    beside = "<br>".join(f"{side}: {_amount(figure.figures[side], figure.unit)}" for side in others)
    times = "<br>".join(f"{figure.ratio(side):.2g} ×" for side in others)
    aim = figure.aim.replace("x", " ×") + ("" if figure.is_reached else " **missed**")
    return f"| {figure.work} | {_amount(figure.ours, figure.unit)} | {beside} | {times} | {aim} |"


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}".strip() if value >= 100 else f"{value:.3g} {unit}".strip()
