"""Many names, said shortly: `train-{0..30} train-{32..63}` is 63 of them, in patterns that `group` takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

_NUMBER = re.compile(r"([0-9]+)")
_INPUT = re.compile(r"<In \d+>")
_MAX_SHOWN = 6
_K = TypeVar("_K")
_Name = tuple[str, ...]
"""The pieces of a name: text and numbers by turns; the numbers from some place on may be patterns."""


def shorten(names: Iterable[str]) -> list[str]:
    """The patterns that stand for these names, each once: where names differ in a number alone, a range has them.

    Example:
        >>> shorten(["train-0", "train-1", "train-2", "train-4", "gpu"])
        ['train-{0..2}', 'train-4', 'gpu']
    """
    items: list[_Name] = [tuple(_NUMBER.split(name)) for name in dict.fromkeys(names)]
    for place in reversed(range(1, max(map(len, items), default=0), 2)):
        items = _join_at(place, items)
    return ["".join(item) for item in items]


def describe(names: Sequence[str]) -> str:
    """The same as text for people, which names some of them where they are too different for a line.

    Example:
        >>> describe(["train-0", "train-1", "gpu"])
        'train-{0..1} gpu'
    """
    patterns = shorten(names)
    if len(patterns) <= _MAX_SHOWN + 1:  # to say that there is one more takes as much room
        return " ".join(patterns)
    return f"{' '.join(patterns[:_MAX_SHOWN])} … ({len(patterns) - _MAX_SHOWN} more such)"


def without_numbers(text: str) -> str:
    """The same without the numbers of inputs, which are others in each kernel: so what is equal looks equal.

    Example:
        >>> without_numbers('  File "<In 22>", line 1')
        '  File "<In>", line 1'
    """
    return _INPUT.sub("<In>", text)


def gather(pairs: Iterable[tuple[_K, str]]) -> dict[_K, list[str]]:
    """Each different thing once, with whose it is, in the order of the first who has it.

    Example:
        >>> gather([("idle", "b"), ("busy", "a"), ("idle", "c")])
        {'idle': ['b', 'c'], 'busy': ['a']}
    """
    gathered: dict[_K, list[str]] = {}
    for key, name in pairs:
        gathered.setdefault(key, []).append(name)
    return gathered


def fold_alike(texts: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """What is said of kernels, once where it differs in their names and the numbers of inputs alone.

    Example:
        >>> fold_alike({"t-0": "kernel 't-0' is gone", "t-1": "kernel 't-1' is gone", "t-2": "kernel 't-2' is busy"})
        [(['t-0', 't-1'], 'it is gone'), (['t-2'], "kernel 't-2' is busy")]
    """
    alike = gather((without_numbers(text.replace(f"kernel {name!r}", "it")), name) for name, text in texts.items())
    return [(names, text if len(names) > 1 else texts[names[0]]) for text, names in alike.items()]


def _join_at(place: int, items: list[_Name]) -> list[_Name]:
    """Join what differs in the number at this place alone; names without one stay."""
    alike: dict[tuple[_Name, _Name], list[_Name]] = {}
    for item in items:
        alike.setdefault((item[:place], item[place + 1 :]), []).append(item[place : place + 1])
    return [
        (*before, *number, *after)
        for (before, after), numbers in alike.items()
        for number in (_ranges([text for (text,) in numbers]) if all(numbers) else numbers)
    ]


def _ranges(numbers: list[str]) -> list[_Name]:
    runs: list[list[str]] = []
    for number in sorted(numbers, key=lambda number: (len(number), int(number))):
        if runs and number == _after(runs[-1][0], runs[-1][-1]):
            runs[-1].append(number)
        else:
            runs.append([number])
    return [(run[0] if len(run) == 1 else f"{{{run[0]}..{run[-1]}}}",) for run in runs]


def _after(first: str, number: str) -> str:
    """What follows in a range that begins with the first: with zeros in front where that has them."""
    width = len(first) if first.startswith("0") else 0
    return str(int(number) + 1).zfill(width)
