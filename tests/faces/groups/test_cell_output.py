"""What is displayed of how far each kernel is: as text, and as a table of the same kernels."""

from __future__ import annotations

import re

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.groups.cell_output import describe_in_full
from rpyc_kernel.faces.groups.lines import Lines
from rpyc_kernel.faces.groups.progress import Progress


def test_the_table_has_the_kernels_that_stand_in_the_text_and_says_how_many_are_left_out() -> None:
    progress = Progress([f"t-{number}" for number in range(120)], Lines(), lambda: 0.0)
    progress.take("t-1", Event(1, 0.0, Kind.FINISHED, 3, "s", {"outcome": "ok", "reason": None}))
    shown = describe_in_full(progress)
    _, *lines, rest = shown["text/plain"].splitlines()
    named = [line.split()[0] for line in lines]
    assert "t-10" in named
    assert "t-1" not in named
    assert re.findall("<b>(t-.*?)</b>", shown["text/html"]) == named
    assert rest == "and 21 more"
    assert rest in shown["text/html"]
