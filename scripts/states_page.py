"""Draws docs/reference/states.md from the tables by which the hub decides: python scripts/states_page.py"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel.core.kernel_state import EXECUTION, LIFECYCLE, LIFECYCLES, OTHERS, PLACES, QUEUED, Mark, Refusal  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "states.md"
_INTRODUCTION = """# States

What the hub decides, it decides by these tables: `scripts/states_page.py` draws this page from
`rpyc_kernel/core/kernel_state.py`, where they stand. A row is an event of `rpyc_kernel/core/events.py`, a column is
what there was when it came, and a cell is what may be afterwards.

| cell | means |
|---|---|
| names of states | one of these follows |
| `·` | it stays as it was |
| ignored | it comes too late: nothing happens, and nobody is told |
| *an error* | whoever asked gets it, and nothing changes |
| never | it cannot come; a hub to which it does is at fault, says so in its log and ends |
"""
_KERNEL = """
## The kernel

[`status()["state"]`](status.md) is `busy` where this is `idle` and code runs on the main lane.

"""
_EXECUTION = """
## An execution

`unknown` is a number that was never given out. An event that names an execution says so of that one, and any other
event of every execution. How one has finished, its [event](events.md#finished) says.

"""
_OTHERS = """
Where an event names an execution, the others that run go on. Those that are queued may become:

"""


def draw() -> str:
    """Return the page."""
    others = {kind: {QUEUED: cell} for kind, cell in OTHERS.items()}
    return "".join(
        [
            _INTRODUCTION,
            _KERNEL,
            _draw_table(LIFECYCLE, LIFECYCLES),
            _EXECUTION,
            _draw_table(EXECUTION, PLACES),
            _OTHERS,
            _draw_table(others, (QUEUED,)),
        ]
    )


def _draw_table(table: dict, columns: tuple[str, ...]) -> str:
    lines = [f"| event | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for kind, row in table.items():
        lines.append(f"| `{kind.__name__}` | {' | '.join(_draw_cell(row[column], column) for column in columns)} |")
    return "\n".join(lines) + "\n"


def _draw_cell(cell: object, before: str) -> str:
    match cell:
        case Refusal(error, _):
            return f"*{error.__name__}*"
        case Mark():
            return str(cell.value)
        case (after,) if after == before:
            return "`·`"
        case _:
            return ", ".join(f"`{after}`" for after in cell)


if __name__ == "__main__":
    PAGE.write_text(draw(), encoding="utf-8")
