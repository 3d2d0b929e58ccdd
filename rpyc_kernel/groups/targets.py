"""Which kernels somebody means who names many at once: braces as shells have them, and patterns of names.

    ssh://gpu{1..8}/train      eight addresses; also {01..12}, {8..1..2}, {a..e}, {a,b}, several in one, one in another
    train-*                    those of this machine that run and have such a name; also ? and […]

A brace has to be a list or a range: elsewhere shells take it as it is, but no kernel's name has one, so it is a slip.
What stands behind the ``#`` of a connect string is never looked at, and never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final, TypeAlias

from rpyc_kernel.client.address import is_place
from rpyc_kernel.client.connect_string import shown_of
from rpyc_kernel.errors import NoSuchKernel, RequestError

Target: TypeAlias = "str | os.PathLike[str]"

MAX_TARGETS: Final = 10_000
_MAX_BRACES: Final = 50
_RANGE: Final = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.(-?[0-9]{1,18}))?")
_LETTERS: Final = re.compile(r"(?=[a-z]..[a-z]|[A-Z]..[A-Z])(.)\.\.(.)(?:\.\.(-?[0-9]{1,18}))?")
_NUMBERS: Final = re.compile(r"([0-9]+)")


def expand(
    targets: Target | Iterable[Target], names: Callable[[], Iterable[str]], *, only_running: bool = True
) -> list[str]:
    """Write out all that is meant, in order.

    Args:
        targets: names, addresses and patterns of them, or one. A path object is the path of a connection file, whatever
            is in it.
        names: gives the names of the kernels that run on this machine; asked once, where a pattern is one of names.
        only_running: False where ``names`` gives those that are stopped, too.

    Returns:
        Names and addresses, each once: a pattern of names takes no kernel again that was named before, nor one that is
        named after it. A name or address that is itself there twice is a mistake.

    Raises:
        RequestError: there is none, one twice, more than 10,000 in all, or one that cannot be understood.
        NoSuchKernel: a pattern of names that no kernel has.

    Example:
        >>> expand("ssh://gpu{1..3}/train", list)
        ['ssh://gpu1/train', 'ssh://gpu2/train', 'ssh://gpu3/train']
        >>> expand(["train-*"], lambda: ["train-10", "train-2", "web"])
        ['train-2', 'train-10']
    """
    written = list(islice(_write_out(targets), MAX_TARGETS + 1))
    if len(written) > MAX_TARGETS:
        raise RequestError(
            f"these are more than {MAX_TARGETS:,} kernels, with {_shown(written[-1])}; name fewer for one group"
        )
    if not written:
        raise RequestError("a group needs at least one kernel; name it, or a pattern of names")
    _refuse_twins(written)
    if not any(map(_is_pattern, written)):
        return written
    known, named = sorted(set(names()), key=_naturally), {each for each in written if not _is_pattern(each)}
    found: dict[str, None] = {}
    for each in written:
        if _is_pattern(each):
            found.update(dict.fromkeys(name for name in _matching(each, known, only_running) if name not in named))
        else:
            found[each] = None
    return list(found)


def _write_out(targets: Target | Iterable[Target]) -> Iterator[str]:
    """The targets with all that braces stand for, as they are needed: they may be very many."""
    for target in [targets] if isinstance(targets, (str, os.PathLike)) else _iterate(targets):
        if isinstance(target, str):
            place, mark, secret = target.partition("#")
            if place.count("{") > _MAX_BRACES:
                raise RequestError(f"{place[:60]!r}… has more than {_MAX_BRACES} braces; name fewer kernels in one")
            yield from (each + mark + secret for each in _open_braces(place, place))
        else:
            yield _path_of(target)


def _path_of(target: object) -> str:
    if isinstance(target, os.PathLike) and isinstance(path := os.fspath(target), str):
        return path
    raise _no_target(target)


def _iterate(targets: object) -> Iterator[Any]:
    if isinstance(targets, Iterable) and not isinstance(targets, (bytes, bytearray)):
        return iter(targets)
    raise _no_target(targets)


def _no_target(target: object) -> RequestError:
    return RequestError(f"a kernel is named by text: a name, an address or a pattern; not by {type(target).__name__}")


def _refuse_twins(written: list[str]) -> None:
    seen: set[str] = set()
    for each in written:
        if each in seen:
            raise RequestError(f"{_shown(each)} is named twice; a group has each kernel once")
        seen.add(each)


def _shown(target: str) -> str:
    return repr(shown_of(target))


# ---------------------------------------------------------------------- braces


def _open_braces(text: str, whole: str) -> Iterator[str]:
    head, brace, _ = text.partition("{")
    if "}" in head:
        raise _bad_brace(whole, "one '}' has no '{' before it")
    if not brace:
        yield text
        return
    parts, rest = _split_brace(text, len(head) + 1, whole)
    for middle in _alternatives(parts, whole):
        for tail in _open_braces(rest, whole):
            yield head + middle + tail


def _split_brace(text: str, start: int, whole: str) -> tuple[list[str], str]:
    """What stands between the commas of the brace that opens before ``start``, and what stands behind it."""
    parts, depth, begin = [], 1, start
    for at in range(start, len(text)):
        letter = text[at]
        depth += (letter == "{") - (letter == "}")
        if depth == 0 or (depth == 1 and letter == ","):
            parts.append(text[begin:at])
            begin = at + 1
        if depth == 0:
            return parts, text[at + 1 :]
    raise _bad_brace(whole, "one '{' has no '}' behind it")


def _alternatives(parts: list[str], whole: str) -> Iterable[str]:
    if len(parts) > 1:
        return (each for part in parts for each in _open_braces(part, whole))
    if numbers := _RANGE.fullmatch(parts[0]):
        first, last, step = numbers.groups()
        width = max(len(first), len(last)) if _is_padded(first) or _is_padded(last) else 0
        return (f"{number:0{width}}" for number in _count(int(first), int(last), step))
    if letters := _LETTERS.fullmatch(parts[0]):
        first, last, step = letters.groups()
        return map(chr, _count(ord(first), ord(last), step))
    raise _bad_brace(whole, f"{{{parts[0]}}} is neither a list, as {{a,b}}, nor a range, as {{1..8}}")


def _is_padded(number: str) -> bool:
    digits = number.lstrip("-")
    return len(digits) > 1 and digits[0] == "0"


def _count(first: int, last: int, step: str | None) -> range:
    """As shells count: in the direction of the end, whatever the sign of the step; 0 is 1."""
    size = abs(int(step or 1)) or 1
    return range(first, last + 1, size) if first <= last else range(first, last - 1, -size)


def _bad_brace(whole: str, why: str) -> RequestError:
    return RequestError(
        f"{whole!r} cannot be written out: {why}; give the path of a connection file that has braces as a pathlib.Path"
        if is_place(whole) and "://" not in whole
        else f"{whole!r} cannot be written out: {why}"
    )


# ---------------------------------------------------------------------- patterns of names


def _is_pattern(target: str) -> bool:
    """Whether this is a pattern of names; RequestError for one of addresses, which nobody can look through."""
    place = shown_of(target)
    if "://" in place and "*" in place:
        raise RequestError(
            f"{place!r}: only the names of kernels that run on this machine can have patterns; write the others out, "
            "as ssh://host/train-{1..4}"
        )
    return not is_place(target) and "#" not in target and any(letter in target for letter in "*?[")


def _matching(pattern: str, known: list[str], only_running: bool) -> list[str]:
    if found := [name for name in known if fnmatchcase(name, pattern)]:
        return found
    few = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    which, run, runs = ("that runs ", "run", "runs") if only_running else ("", "are there", "is there")
    raise NoSuchKernel(
        f"no kernel {which}on this machine has a name like {pattern!r}; "
        + (f"these {run}: {few}" if known else f"none {runs}; start one with 'rpyc-kernel start'")
    )


def _naturally(name: str) -> tuple[list[str | int], str]:
    """Sort by this, so that train-2 stands before train-10."""
    parts = _NUMBERS.split(name)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], name
