"""How the benchmarks time and compare: medians over rounds in which all sides take turns."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

PEER = "ipykernel"
_NOTHING = 1e-12
"""In place of 0, by which nothing can be divided."""
_AIM = re.compile(r"(?P<limit>under|over|at most)? ?(?P<number>[\d.]+)(?P<is_ratio>x)? ?(?P<rest>.*)")


@dataclass(frozen=True)
class Figure:
    """One measured line.

    Attributes:
        suite: the family it belongs to.
        work: what was done.
        unit: of all figures.
        figures: the median of each side, by its name; ours is ``ours``.
        aim: what we want, several with a comma: ``2x`` is twice as good as the last side, ``8x NAME`` as that side,
            ``at most 1.5x NAME`` no more than that, ``under 5 ms`` and ``over 200 MB/s`` are ours alone.
        more_is_better: for throughput; otherwise less is.
        spread: the middle half of our figures, as (low, high), where it is known.
    """

    suite: str
    work: str
    unit: str
    figures: dict[str, float]
    aim: str = ""
    more_is_better: bool = False
    spread: tuple[float, float] | None = None

    @property
    def ours(self) -> float:
        """Our figure."""
        return self.figures["ours"]

    @property
    def peer(self) -> str:
        """The side that ours is held against where no other is named: the last."""
        return list(self.figures)[-1]

    @property
    def is_reached(self) -> bool:
        """Whether our figure is as good as every aim."""
        return all(self._is_reached(each) for each in self.aim.split(", ") if each)

    def ratio(self, side: str = "") -> float:
        """How many times better than a side ours is."""
        ours, other = self.ours or _NOTHING, self.figures[side or self.peer] or _NOTHING
        return ours / other if self.more_is_better else other / ours

    def _is_reached(self, aim: str) -> bool:
        found = _AIM.fullmatch(aim)
        if found is None:
            raise ValueError(f"{self.work}: an aim is no {aim!r}")
        number = float(found["number"])
        if found["is_ratio"]:
            ratio = self.ratio(found["rest"])
            return ratio >= 1 / number if found["limit"] else ratio >= number
        return self.ours > number if found["limit"] == "over" else self.ours < number


class Record:
    """What a run has measured so far, in order; `suite` says for which family the next lines are."""

    def __init__(self) -> None:
        self.suite = ""
        self.figures: list[Figure] = []

    def add(
        self,
        work: str,
        unit: str,
        figures: dict[str, float],
        *,
        aim: str = "",
        more_is_better: bool = False,
        spread: tuple[float, float] | None = None,
    ) -> Figure:
        """Take in a line."""
        self.figures.append(Figure(self.suite, work, unit, figures, aim, more_is_better, spread))
        return self.figures[-1]


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
    name: str = PEER,
) -> Figure:
    """Measure both sides in turns, so that both meet the same weather; each callable returns its figure."""
    figures: dict[str, list[float]] = {"ours": [], name: []}
    for _ in range(rounds):
        for side, measure in zip(figures.values(), (ours, peer), strict=True):
            side.extend(measure() for _ in range(per_round))
    return record(work, unit, figures, aim, more_is_better=more_is_better)


def record(
    work: str, unit: str, figures: dict[str, list[float]], aim: str = "", *, more_is_better: bool = False
) -> Figure:
    """Take in the median of each side, and the middle half of ours."""
    medians = {name: statistics.median(found) for name, found in figures.items()}
    low, _, high = statistics.quantiles(figures["ours"], n=4) if len(figures["ours"]) > 1 else figures["ours"] * 3
    return RECORD.add(work, unit, medians, aim=aim, more_is_better=more_is_better, spread=(low, high))


def report(title: str, rows: Iterable[Figure]) -> None:
    """Print the table."""
    rows = list(rows)
    print(f"\n{title}\n")
    print(f"{'work':<52} {'ours':>10} {'peer':>10} {'unit':<6} {'ratio':>7}  {'middle half of ours':<20} aim")
    for row in rows:
        spread = f"{row.spread[0]:.3g} – {row.spread[1]:.3g}" if row.spread else ""
        peer, ratio = (f"{row.figures[row.peer]:.3g}", f"{row.ratio():.1f}x") if len(row.figures) > 1 else ("", "")
        print(
            f"{row.work:<52} {row.ours:>10.3g} {peer:>10} {row.unit:<6} {ratio:>7}  "
            f"{spread:<20} {row.aim}{'' if row.is_reached else '  MISSED'}"
        )
