"""The README names what can be installed, and every page."""

from __future__ import annotations

import re

from tests.docs.pages import REFERENCE, ROOT, rows_of

_README = (ROOT / "README.md").read_text()
_FOR_DEVELOPERS = {"dev", "clients", "bench"}


def test_every_extra_for_users_is_told() -> None:
    declared = (
        (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    )
    extras = set(re.findall(r"^(\w+) = \[", declared, re.MULTILINE)) - _FOR_DEVELOPERS
    assert extras
    assert extras <= rows_of(_README).keys()


def test_every_page_is_listed() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *REFERENCE.glob("*.md")]
    assert [page.name for page in pages if f"({page.relative_to(ROOT)})" not in _README] == []
