"""Every Python session in the README and the guides does what it says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [page for page in (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))) if ">>> " in page.read_text()]
_FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_as_shown(page: Path, folders: object) -> None:
    sessions = "".join(block for block in _FENCE.findall(page.read_text()) if ">>> " in block)
    examples = doctest.DocTestParser().get_doctest(sessions, {}, page.name, str(page), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    result = runner.run(examples, out=said.append)
    assert result.attempted > 5
    assert not result.failed, "".join(said)
