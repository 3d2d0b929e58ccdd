"""What is equal in many kernels, told once, and names of many kernels in few words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")
_FEWEST = 3
"""So many in a row are told by the first and the last."""


def fold(texts: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """Each text once, with whose it is, in the order of the first who has it."""
    found: dict[str, list[str]] = {}
    for who, text in texts.items():
        found.setdefault(text, []).append(who)
    return [(names, text) for text, names in found.items()]


def name_all(names: Iterable[str]) -> str:
    """Name kernels in a line; those that differ by a number alone as a pattern that means them.

    Example:
        >>> from rpyc_kernel.faces.groups.folding import name_all
        >>> name_all(["train-1", "train-2", "train-3", "web"])
        'train-{1..3}, web'
    """
    runs: list[tuple[str, str, str, str]] = []  # before, first, last, after
    for name in names:
        found = _NUMBERED.fullmatch(name)
        before, number, after = found.groups() if found else (name, "", "")
        if runs and number and (runs[-1][0], runs[-1][3]) == (before, after) and _follows(runs[-1][2], number):
            runs[-1] = (before, runs[-1][1], number, after)
        else:
            runs.append((before, number, number, after))
    return ", ".join(word for run in runs for word in _tell_run(*run))


def _follows(last: str, number: str) -> bool:
    width = len(last) if last.startswith("0") else 0
    return str(int(last) + 1).zfill(width) == number if last else False


def _tell_run(before: str, first: str, last: str, after: str) -> list[str]:
    count = int(last) - int(first) + 1 if first else 1
    if count < _FEWEST:
        return [f"{before}{number}{after}" for number in dict.fromkeys((first, last))]
    return [f"{before}{{{first}..{last}}}{after}"]
