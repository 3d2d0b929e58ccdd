"""Every test and every source file that a page names is there."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_TEST_FILE = re.compile(r"\btest_\w+\.py\b")
_SOURCE_FILE = re.compile(r"`((?:\w+/)+(?:\w+\.py)?)`")


def test_every_test_file_that_a_page_names_exists() -> None:
    there = {path.name for path in (_ROOT / "tests").rglob("test_*.py")}
    named = {
        (page.name, name)
        for page in sorted((_ROOT / "docs").rglob("*.md"))
        for name in _TEST_FILE.findall(page.read_text())
    }
    assert named
    assert {(page, name) for page, name in named if name not in there} == set()


def test_every_source_file_that_a_page_names_exists() -> None:
    pages = [*(_ROOT / "docs").rglob("*.md"), _ROOT / "README.md", _ROOT / "CONTRIBUTING.md"]
    named = {(page.name, name) for page in pages for name in _SOURCE_FILE.findall(page.read_text())}
    assert named
    roots = (_ROOT, _ROOT / "rpyc_kernel")
    assert {(page, name) for page, name in named if not any((root / name).exists() for root in roots)} == set()
