"""The page of event loops holds in trio as it does in asyncio, and its reference leaves nothing out."""

from __future__ import annotations

import functools
import runpy

import anyio
import pytest

from tests.docs.pages import ROOT
from tests.docs.sessions import run_session, sessions_of


def test_the_reference_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "aio_page.py"))
    assert script["PAGE"].read_text() == script["write_page"](), "run 'python scripts/aio_client.py'"


@pytest.mark.usefixtures("folders", "patience")
def test_the_examples_run_in_trio_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 0.01)
    monkeypatch.setattr(anyio, "run", functools.partial(anyio.run, backend="trio"))
    attempted, wrong = run_session(sessions_of((ROOT / "docs" / "async.md").read_text()), "async.md", {})
    assert attempted > 10
    assert not wrong, wrong
