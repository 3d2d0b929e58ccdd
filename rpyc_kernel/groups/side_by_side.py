"""Variables of many kernels beside each other: what is the same everywhere is shown once, what differs by who has it.

Values are the same as far as can be seen without running code of theirs: by type, size, dtype and preview, which has
the first few items. Two long arrays that begin alike count as the same.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rpyc_kernel.core.introspection import Variable
from rpyc_kernel.core.text_columns import cut, fill, measure
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.groups.labels import describe

ASKED: Final = 1000
"""How many variables a kernel is asked for: of one that has so many there may be more."""


class Row(Frozen):
    """What the kernels have under one name.

    Attributes:
        name: of the variable.
        variables: by the label of the kernel; None where it has none of that name.
    """

    name: str
    variables: Mapping[str, Variable | None]

    @property
    def is_same(self) -> bool:
        """Whether all have it, and it looks the same."""
        return len(set(self.variables.values())) == 1

    @property
    def missing(self) -> tuple[str, ...]:
        """The labels of those that do not have it."""
        return tuple(label for label, variable in self.variables.items() if variable is None)

    def fold(self) -> list[tuple[Variable | None, tuple[str, ...]]]:
        """Each that is different, with the labels of those that have it; that of the first kernel first, None last."""
        labels: dict[Variable | None, list[str]] = {}
        for label, variable in self.variables.items():
            labels.setdefault(variable, []).append(label)
        return [(each, tuple(labels[each])) for each in sorted(labels, key=lambda each: each is None)]


class SideBySide(Frozen):
    """The variables of many kernels; `str` shows them as they fit a terminal's width.

    Attributes:
        names: of the kernels: their labels, in order.
        rows: by the variables' names; one for each name that any of them has.
        is_whole: False if some kernel has more variables than it was asked for: then the last names are left out.
    """

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    is_whole: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        """What the kernels have under a name; KeyError where none has it."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def __str__(self) -> str:
        return self.to_text(shutil.get_terminal_size().columns - 1)

    __repr__ = __str__

    @property
    def differing(self) -> tuple[Row, ...]:
        """What is not everywhere, or not the same."""
        return tuple(row for row in self.rows if not row.is_same)

    def to_dict(self) -> dict[str, dict[str, dict[str, Any] | None]]:
        """Plain data that can be written as JSON, by variables' names and kernels' labels.

        That is the fields of the variable, or None where it is missing.
        """
        return {
            row.name: {label: asdict(each) if each is not None else None for label, each in row.variables.items()}
            for row in self.rows
        }

    def to_text(self, columns: int) -> str:
        """Text for people, no line of which takes more columns than that.

        ``*`` marks what differs, ``-`` what some do not have.
        """
        lines = [line for row in self.rows for line in _list_lines(row)]
        most = max(8, columns // 5)  # the values have the rest
        widths = [min(most, max(map(measure, texts))) for texts in zip(*lines, strict=True)][:-1]
        filled = ([*map(fill, line, widths), line[-1]] for line in lines)
        whole = [*("  ".join(texts).rstrip() for texts in filled), *self._summarise()]
        return "\n".join(cut(line, columns) for line in whole)

    def _summarise(self) -> list[str]:
        count = len(self.names)
        told = f"{len(self.rows)} variables of {count} kernel{'s' if count != 1 else ''}"
        if differing := len(self.differing):
            told += f"; {differing} differ (*) or are not everywhere (-)"
        return [told, *([] if self.is_whole else ["there are more than were asked for; these are the first by name"])]


def place_side_by_side(variables: Mapping[str, Sequence[Variable]]) -> SideBySide:
    """Put the variables of kernels beside each other.

    Args:
        variables: by the label of the kernel, as `KernelClient.variables` gives them: by name, `ASKED` at most.
    """
    found = {label: {each.name: each for each in own} for label, own in variables.items()}
    ends = [own[-1].name for own in variables.values() if len(own) >= ASKED]
    names = sorted({name for own in found.values() for name in own})
    known = [name for name in names if name <= min(ends)] if ends else names
    rows = (Row(name, {label: own.get(name) for label, own in found.items()}) for name in known)
    return SideBySide(tuple(variables), tuple(rows), not ends)


def _list_lines(row: Row) -> Iterator[tuple[str, str, str, str, str]]:
    """Mark and name, kernels, type, size and value, once for each that is different."""
    name = f"{'-' if row.missing else ' ' if row.is_same else '*'} {_clean(row.name)}"
    for variable, labels in row.fold():
        who = "" if row.is_same else _clean(describe(labels))
        if variable is None:
            yield name, who, "", "", "(missing)"
        else:
            yield name, who, _clean(variable.type), variable.extent, _clean(variable.preview)
        name = ""


def _clean(text: str) -> str:
    """What a terminal would obey is written out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
