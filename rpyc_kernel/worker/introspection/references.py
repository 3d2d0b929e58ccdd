"""Where a name is used: in the code that is asked about, in the inputs that ran, and in the user's files.

jedi says what a name means. What an input defines is used by inputs alone, as files do not see the namespace; what a
file defines is looked for also there, in the user's modules, and in the files of the folder that the worker is in.
"""

from __future__ import annotations

import itertools
import os
import stat
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rpyc_kernel.core.introspection import MAX_REFERENCES, Reference, References
from rpyc_kernel.system.originals import time
from rpyc_kernel.worker.introspection.inputs import Module, join_inputs
from rpyc_kernel.worker.introspection.source_analysis import MAX_CODE_CHARS, SourceAnalyzer, open_file
from rpyc_kernel.worker.static_access import clean, own_dict
from rpyc_kernel.worker.user_frames import hidden

_BUDGET_S: Final = 2.0
_SPARE_S: Final = 1.0
"""What one step of jedi may take beyond that."""
_MAX_FILES: Final = 2000
_MAX_FILE_BYTES: Final = 500_000
_LEFT_OUT: Final = ("site-packages", "dist-packages", "node_modules", "__pycache__", "venv")
_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep
_MAX_TEXT: Final = 200

_Place = tuple[str, int, int]
"""A file, a line and a column."""


class ReferenceFinder:
    """Finds references.

    Args:
        static: has jedi.
        budget_s: for how long to look.
    """

    def __init__(self, static: SourceAnalyzer, budget_s: float = _BUDGET_S) -> None:
        self._static = static
        self._budget_s = budget_s

    def find(self, code: str, cursor: int | None) -> References:
        """Return where what a path leads to, or what stands at the cursor in code, is used."""
        module = join_inputs(code, MAX_CODE_CHARS)
        place = len(module.text) - len(code) + (len(code.rstrip()) if cursor is None else cursor)
        search = _Search(module, os.getcwd(), self._budget_s, is_path=cursor is None)
        found: References | None = self._static.read(module.text, place, search, self._budget_s + _SPARE_S)
        return found or References("", (), is_whole=False)


@dataclass(frozen=True)
class _Search:
    """What is asked of jedi."""

    module: Module
    folder: str
    budget_s: float
    is_path: bool

    def __call__(self, script: Any, line: int, column: int) -> References:
        deadline = time.monotonic() + self.budget_s
        targets = script.goto(line, column, follow_imports=True)
        if not targets:
            return References("")
        name = targets[0].name
        found = {_place(each): each for each in script.get_references(line, column, scope="file")}
        wanted = {_place(each) for each in targets}
        is_whole = self.module.is_whole
        if any(file for file, _, _ in wanted):
            found |= {_place(each): each for each in targets if each.line}
            try:
                _collect(script, name, wanted, found, deadline)
                self._look_into_files(name, wanted, found, deadline)
            except TimeoutError:
                is_whole = False
        items = sorted(self._describe(found), key=self._order)
        return References(clean(name), tuple(items[:MAX_REFERENCES]), is_whole and len(items) <= MAX_REFERENCES)

    def _look_into_files(self, name: str, wanted: set[_Place], found: dict[_Place, Any], deadline: float) -> None:
        """Add what files have; raises TimeoutError where there are too many."""
        defining = [file for file, _, _ in wanted if file]
        for count, file in enumerate(_list_files(self.folder, defining, deadline)):
            if count >= _MAX_FILES or len(found) > MAX_REFERENCES:
                raise TimeoutError
            if name in (text := _read(file)):
                _collect(open_file(text, file), name, wanted, found, deadline)

    def _describe(self, found: dict[_Place, Any]) -> Iterator[Reference]:
        for (path, line, column), each in found.items():
            file, number = (path, line) if path else self.module.locate(line)
            if self.is_path and not path and not file:
                continue  # the path that was asked for is no use of it
            text = clean(each.get_line_code().strip()[:_MAX_TEXT])
            yield Reference(clean(file), number, column, text, bool(each.is_definition()))

    def _order(self, item: Reference) -> tuple[int, str, int, int]:
        """Inputs in the order in which they ran, then the code that is asked about, then files."""
        is_of_module = item.file in self.module.files
        return (
            self.module.files.index(item.file) if is_of_module else len(self.module.files),
            item.file,
            item.line,
            item.column,
        )


def _place(name: Any) -> _Place:
    return str(name.module_path or ""), name.line or 0, name.column or 0


def _collect(script: Any, name: str, wanted: set[_Place], found: dict[_Place, Any], deadline: float) -> None:
    """Add where a source has the name and means what is wanted."""
    for each in script.get_names(all_scopes=True, definitions=True, references=True):
        if each.name == name:
            _check_time(deadline)
            if _leads_to(each, wanted):
                found.setdefault(_place(each), each)


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError


def _leads_to(name: Any, wanted: set[_Place]) -> bool:
    return _place(name) in wanted or any(_place(each) in wanted for each in name.goto(follow_imports=True))


def _list_files(folder: str, defining: list[str], deadline: float) -> Iterator[str]:
    """The user's files: what defines it, the modules that are loaded, and what is in the folder; each once."""
    seen = set()
    for file in itertools.chain(defining, _list_modules(), _walk(folder, deadline)):
        _check_time(deadline)
        if file not in seen and not _is_library(file):
            seen.add(file)
            yield file


def _list_modules() -> Iterator[str]:
    for module in [*sys.modules.values()]:
        if type(module) is types.ModuleType:
            file = own_dict(module).get("__file__")
            if type(file) is str and file.endswith(".py"):
                yield file


def _walk(folder: str, deadline: float) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        _check_time(deadline)  # there may be many folders without any
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in _LEFT_OUT)
        yield from (os.path.join(root, each) for each in sorted(files) if each.endswith(".py"))


def _is_library(file: str) -> bool:
    return file.startswith((_LIBRARY, "<", *hidden())) or not {*file.split(os.sep)}.isdisjoint(_LEFT_OUT)


def _read(file: str) -> str:
    """The text of a file, "" where it cannot be read, would be waited for, or is too long to be by a person."""
    try:
        found = os.stat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_FILE_BYTES:
            return ""
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except (OSError, ValueError):
        return ""
