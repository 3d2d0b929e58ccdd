"""The page of files names every file that kernels make, and no other."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from rpyc_kernel.system.home import Home
from rpyc_kernel.system.kernel_folder import KernelFolder
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from tests.docs.pages import read_page, rows_of, sections_of

_SECTIONS = sections_of(read_page("files.md"))


@pytest.mark.parametrize(("section", "kind"), [("Home", Home), ("Runtime folder", RuntimeFolder)])
def test_a_folder_holds_the_files_that_are_told(section: str, kind: type[KernelFolder]) -> None:
    told = [_with_numbers(name) for name in rows_of(_SECTIONS[section])]
    earlier = [_with_numbers(name) for name in _SECTIONS["Earlier versions"].split("`")[1::2]]
    shared = Home.MADE if kind is RuntimeFolder else ()
    patterns = [pattern for pattern in kind.MADE if pattern not in shared]
    assert [name for name in told if not kind(Path("anywhere")).made(name)] == []
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in (*told, *earlier))] == []


def _with_numbers(name: str) -> str:
    return name.replace("N", "1").replace("M", "2")
