"""What the ipython engine understands beyond Python: magics, and shell lines."""

from __future__ import annotations

import re

from rpyc_kernel.core.looking import Completion
from rpyc_kernel.worker.engines import find_shell
from rpyc_kernel.worker.looking.files import list_files

ENGINE = "ipython"
_MAGIC = re.compile(r"^\s*(%{0,2}[^\W\d]?\w*)\Z")
_LINE = re.compile(r"^\s*(?:!|%(?:cd|run|load|ls|cat|pycat|edit|writefile|save)\s)(?:.*\s)?([^\s]*)\Z")


def complete(line: str) -> tuple[str, list[Completion]] | None:
    """What could end the line, and the prefix it has to have; None for a line of Python."""
    if found := _LINE.match(line):
        return found[1], list_files(found[1])
    found = _MAGIC.match(line)
    if found is None or not found[1].startswith("%"):
        return None
    return found[1], [Completion(name, "magic") for name in _list_magics(is_cell=found[1].startswith("%%"))]


def _list_magics(*, is_cell: bool) -> list[str]:
    shell = find_shell()
    if shell is None:
        return []
    found = shell.magics_manager.lsmagic()
    cell = [f"%%{name}" for name in [*found["cell"]]]
    return cell if is_cell else [*cell, *(f"%{name}" for name in [*found["line"]])]
