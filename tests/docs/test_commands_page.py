"""The pages of commands and of roles are what the tables of commands and channels say."""

from __future__ import annotations

import runpy

from rpyc_kernel.core.commands import COMMANDS
from tests.docs.pages import ROOT, read_page, rows_of, sections_of


def test_the_page_is_up_to_date() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["write_page"]()
    assert read_page("commands.md") == written, "run 'python scripts/reference.py'"


def test_the_table_of_roles_is_up_to_date() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "reference.py"))["write_roles_page"]()
    assert read_page("roles.md") == written, "run 'python scripts/reference.py'"


def test_every_command_has_a_section_with_all_its_parameters() -> None:
    sections = sections_of(read_page("commands.md"))
    told = {name: list(rows_of(sections[name])) for name in COMMANDS}
    assert told == {name: [each.name for each in command.parameters] for name, command in COMMANDS.items()}
