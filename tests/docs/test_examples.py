"""Every Python session in the README and the guides does what it says."""

from __future__ import annotations

from pathlib import Path

import dask
import pytest

from tests.docs.pages import ROOT
from tests.docs.sessions import run_session, sessions_of

_PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if ">>> " in page.read_text()]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_as_shown(page: Path, folders: object, patience: None, tmp_path: Path) -> None:
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        attempted, wrong = run_session(sessions_of(page.read_text()), page.name, {})
    assert attempted > 5
    assert not wrong, wrong
