"""How the benchmarks time and compare: medians over rounds in which both sides take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """One line of the report.

    Attributes:
        work: what was done.
        unit: of both figures.
        ours: our median.
        peer: the peer's median.
        aim: what ratio we want, in words.
        more_is_better: for throughput; otherwise less is.
        spread: the middle half of our figures, as (low, high).
    """

    work: str
    unit: str
    ours: float
    peer: float
    aim: str
    more_is_better: bool = False
    spread: tuple[float, float] = (0.0, 0.0)

    @property
    def is_reached(self) -> bool:
        """Whether our figures are as good as the aim: ``2x``, ``under 5 ms``, several with a comma, or none."""
        return all(
            self.ours < float(each.split()[1]) if each.startswith("under ") else self.ratio >= float(each.rstrip("x"))
            for each in filter(None, self.aim.split(", "))
        )

    @property
    def ratio(self) -> float:
        """How many times better ours is."""
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


@dataclass(frozen=True)
class Figure:
    """One measured line, as it goes into files and plots.

    Attributes:
        suite: the family it belongs to.
        work: what was done.
        unit: of all figures.
        figures: the median of each side, by its name; ours is ``ours`` or begins so.
        aim: what we want, in words.
        more_is_better: for throughput.
    """

    suite: str
    work: str
    unit: str
    figures: dict[str, float]
    aim: str = ""
    more_is_better: bool = False


class Record:
    """What a run has measured so far, in order; `suite` says for which family the next lines are."""

    def __init__(self) -> None:
        self.suite = ""
        self.figures: list[Figure] = []

    def add(
        self, work: str, unit: str, figures: dict[str, float], *, aim: str = "", more_is_better: bool = False
    ) -> None:
        """Take in a line."""
        self.figures.append(Figure(self.suite, work, unit, figures, aim, more_is_better))


RECORD = Record()
"""Of this run of the command."""


def timed(work: Callable[[], object]) -> float:
    """Seconds that one piece of work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(
    work: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    rounds: int,
    unit: str,
    aim: str,
    more_is_better: bool = False,
    per_round: int = 1,
) -> Comparison:
    """Measure both sides in turns, so that both meet the same weather; each callable returns its figure."""
    figures: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, measure in zip(figures, (ours, peer), strict=True):
            side.extend(measure() for _ in range(per_round))
    low, _, high = statistics.quantiles(figures[0], n=4) if len(figures[0]) > 1 else (figures[0] * 3)
    return Comparison(
        work,
        unit,
        statistics.median(figures[0]),
        statistics.median(figures[1]),
        aim,
        more_is_better,
        (low, high),
    )


def report(title: str, rows: list[Comparison]) -> list[str]:
    """Print the table; returns which aims were missed."""
    print(f"\n{title}\n")
    print(f"{'work':<44} {'ours':>10} {'peer':>10} {'unit':<6} {'ratio':>7}  {'middle half of ours':<20} aim")
    for row in rows:
        RECORD.add(
            row.work, row.unit, {"ours": row.ours, "peer": row.peer}, aim=row.aim, more_is_better=row.more_is_better
        )
        spread = f"{row.spread[0]:.3g} – {row.spread[1]:.3g}"
        print(
            f"{row.work:<44} {row.ours:>10.3g} {row.peer:>10.3g} {row.unit:<6} {row.ratio:>6.1f}x  {spread:<20} "
            f"{row.aim}{'' if row.is_reached else '  MISSED'}"
        )
    return [f"{row.work}: {row.ratio:.1f}x; aim: {row.aim}" for row in rows if not row.is_reached]
