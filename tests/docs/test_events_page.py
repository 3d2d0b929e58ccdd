"""The page of events names every kind and every field that is recorded."""

from __future__ import annotations

import pytest

from rpyc_kernel.core.contract import FIELDS, Kind
from tests.docs.pages import read_page, rows_of, sections_of

_KINDS = sorted(value for name, value in vars(Kind).items() if name.isupper())
_SECTIONS = sections_of(read_page("events.md"))


def test_every_kind_of_event_is_in_the_table_of_kinds() -> None:
    assert sorted(_names_in_kinds()) == _KINDS


@pytest.mark.parametrize("kind", _KINDS)
def test_a_kind_of_event_has_a_section_with_all_its_fields(kind: str) -> None:
    assert set(FIELDS[kind]) <= rows_of(_SECTIONS[kind]).keys()


def _names_in_kinds() -> list[str]:
    return [name.partition("]")[0].strip("[`") for name in _first_cells(_SECTIONS["Kinds"])]


def _first_cells(text: str) -> list[str]:
    return [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| [")]
