"""Every link from one page to another leads somewhere, and no line of a page is longer than it may be."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import ROOT

_PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changes/*.md")]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2[ ]*$", re.DOTALL | re.MULTILINE)
_MAX_CHARS = 120


def test_the_links_of_all_pages_lead_somewhere() -> None:
    links = [(page, link) for page in _PAGES for link in _LINK.findall(page.read_text()) if "://" not in link]
    assert [(page.name, link) for page, link in links if not _leads_somewhere(page, link)] == []


def test_the_lines_of_all_pages_are_short() -> None:
    lines = [(page.name, line) for page in _PAGES for line in _CODE.sub("", page.read_text()).splitlines()]
    text = [(name, _LINK.sub("]", line)) for name, line in lines if not line.lstrip().startswith("|")]
    assert [(name, line) for name, line in text if len(line) > _MAX_CHARS] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors_of(target))


def _anchors_of(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    titles = _HEADING.findall(_CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
