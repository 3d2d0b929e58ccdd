"""A picture of each family of benchmarks: every line's sides as bars, as multiples of ours."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from benchmarks.measure import Figure
from benchmarks.results import Run

matplotlib.use("svg")
from matplotlib import pyplot

_OURS = "#2a6f97"
_OTHERS = ("#b0b7bf", "#d9a441", "#8d99ae", "#c97b63", "#7f9f7f")


def draw(run: Run, folder: Path) -> list[Path]:
    """Draw each family that has something to compare; returns the files."""
    matplotlib.rcParams.update({"svg.hashsalt": "rpyc_kernel", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    families = {
        suite: [each for each in figures if len(each.figures) > 1 and all(value > 0 for value in each.figures.values())]
        for suite, figures in run.families.items()
    }
    return [_draw_family(lines, folder / f"{suite}.svg") for suite, lines in families.items() if lines]


def _draw_family(lines: list[Figure], file: Path) -> Path:
    sides = list(dict.fromkeys(side for line in lines for side in line.figures))
    height = 0.22 * sum(len(line.figures) for line in lines) + 0.2 * len(lines) + 0.9
    picture, axes = pyplot.subplots(figsize=(8.5, height))
    place, ticks = 0.0, []
    for line in lines:
        first = place
        for side, value in line.figures.items():
            colour = _OURS if side == "ours" else _OTHERS[sides.index(side) % len(_OTHERS)]
            axes.barh(place, value / line.ours, height=0.85, color=colour)
            label = f"{side}: {value:,.3g} {line.unit}" if value < 1000 else f"{side}: {value:,.0f} {line.unit}"
            axes.text(value / line.ours * 1.05, place, label, va="center", fontsize=7)
            place += 1.0
        ticks.append(((first + place - 1) / 2, f"{line.work}\n({'more' if line.more_is_better else 'less'} is better)"))
        place += 0.9
    axes.set_yticks([tick for tick, _ in ticks], [label for _, label in ticks])
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.axvline(1.0, color=_OURS, linewidth=0.6)
    axes.set_xlabel("times ours")
    axes.spines[["top", "right"]].set_visible(False)
    picture.tight_layout()
    picture.savefig(file, metadata={"Date": None})
    pyplot.close(picture)
    return file
