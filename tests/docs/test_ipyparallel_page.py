"""The page that maps ipyparallel's names to ours: every name of theirs has a row, and what stands beside it runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipyparallel
from traitlets import HasTraits

import rpyc_kernel
from rpyc_kernel.faces.groups.magics import GroupMagics
from tests.docs.pages import ROOT

_PAGE = (ROOT / "docs" / "ipyparallel.md").read_text()
_CODE = re.compile(r"`([^`]+)`")
_CLASSES = {"view": ipyparallel.DirectView, "client": ipyparallel.Client, "result": ipyparallel.AsyncResult}


def _rows() -> Iterator[tuple[list[str], list[str]]]:
    table = _PAGE.partition("| ipyparallel | here |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        theirs, ours, _ = (cell.strip() for cell in line.split("|")[1:4])
        yield _CODE.findall(theirs), _CODE.findall(ours)


def test_every_public_name_of_theirs_has_a_row_and_no_other() -> None:
    told = [name for theirs, _ in _rows() for name in theirs]
    of_traits = {*dir(HasTraits)}
    names = {
        f"{prefix}.{name}"
        for prefix, kind in _CLASSES.items()
        for name in dir(kind)
        if not name.startswith("_") and name not in of_traits
    }
    assert sorted(told) == sorted(names)


def test_what_stands_beside_a_name_runs(folders: object, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("x = 1\n")
    rpyc_kernel.group("train-{0..1}", start=True, engine="ipython").close()
    names: dict[str, Any] = {"rpyc_kernel": rpyc_kernel, "f": lambda number: 2 * number, "script": str(script)}
    for _, ours in _rows():
        for code in ours:
            if code.startswith("%"):
                assert "group" in GroupMagics.magics["line"], code
            else:
                exec(code, names)
    names["group"].close()
