"""The pages of the reference as their tests read them: sections, and what the rows of their tables begin with."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.MULTILINE)


def read_page(name: str) -> str:
    """The text of a page of the reference."""
    return (REFERENCE / name).read_text()


def sections_of(page: str) -> dict[str, str]:
    """The text of each section by its heading, without the backticks."""
    _, *parts = _HEADING.split(page)
    return {heading.strip("`"): text for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells behind the first one, by what stands there in backticks, of all rows that begin so."""
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in _ROW.findall(text)}
