"""The page of what front ends are built on is what the docstrings say, and these leave nothing out."""

from __future__ import annotations

import inspect
import runpy

import pytest

from rpyc_kernel import frontend
from tests.docs.pages import ROOT
from tests.docs.sessions import run_session

_SCRIPT = runpy.run_path(str(ROOT / "scripts" / "frontend_page.py"))


def test_the_page_is_up_to_date() -> None:
    assert _SCRIPT["PAGE"].read_text() == _SCRIPT["write_page"](), "run 'python scripts/frontend_page.py'"


@pytest.mark.parametrize("name", [name for name in frontend.__all__ if inspect.isclass(getattr(frontend, name))])
def test_every_field_and_method_says_what_it_is(name: str) -> None:
    members = _SCRIPT["members_of"](getattr(frontend, name))
    assert [member for member, told in members.items() if not told] == []


def test_the_examples_of_docstrings_run_as_shown(demo: None, patience: None) -> None:
    told = {name: inspect.getdoc(getattr(frontend, name)) or "" for name in frontend.__all__ if name != "Change"}
    ran = {name: run_session(text, name, {}) for name, text in told.items()}
    assert {name: wrong for name, (_, wrong) in ran.items() if wrong} == {}
    assert {name for name, (attempted, _) in ran.items() if attempted} >= {
        "Conversation", "Jobs", "LineView", "Plots", "Renderer", "Transcript", "follow", "read_picture", "to_draw",
    }  # fmt: skip
