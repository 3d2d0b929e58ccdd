"""The page of states is what its script draws of the tables."""

from __future__ import annotations

import runpy
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "scripts" / "states_page.py"


def test_the_page_of_states_is_up_to_date() -> None:
    script = runpy.run_path(str(_SCRIPT))
    assert script["PAGE"].read_text(encoding="utf-8") == script["draw"](), "run scripts/states_page.py"
