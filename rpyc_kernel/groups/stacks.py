"""What many kernels do right now, from their stacks: what is equal stands once, with who has it.

Stacks are equal that go through the same functions, files and lines: two kernels that wait in one function at two
lines may be just what holds up all others. Addresses and thread ids do not count, nor where Python and its packages
are installed, nor the number of an input, which each kernel counts by itself. The kernel's own frames and threads are
left out, so that what is seen is what the program does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.groups.labels import describe, fold_alike, gather, without_numbers

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-fA-F]+.*:$|^Stack \(most recent call first\):$", re.MULTILINE)
_FRAME = re.compile(r'^  File "?(.*?)"?, line ([0-9]+|\?\?\?) in (.*)$|^  (\.\.\.)$', re.MULTILINE)
_INSTALLED = re.compile(r"^.*/(?:site-packages|dist-packages)/")
_PYTHON = re.compile(r"^.*/lib(?:64)?/python3\.[0-9]+t?/")
_KERNEL = re.compile(r"(?:^|/)rpyc_kernel/(?:\w+\.py|(?:core|system|wire|hub|worker|client)/.*)$")
_AROUND_USERS = "_attributed"
"""How the functions of the kernel's end that stand on the stacks of the user's own threads."""
_ENTRY = re.compile(
    r"^(?:<frozen runpy>|(?:runpy|threading|contextlib|selectors)\.py|(?:asyncio|concurrent/futures|IPython/core)/.*)$"
)
"""What leads from the start of a thread, or from the kernel, to the user's code."""
_SERVING = re.compile(
    r"^(?:(?:rpyc|jedi|parso|IPython|traitlets|debugpy|json|re)/|(?:socket|queue|os|weakref|pickle)\.py)"
)
"""What the threads of the kernel call."""
_NOTHING = "no code of the user's: idle, or what it runs awaits something"


class Frame(NamedTuple):
    """One call on a stack.

    Attributes:
        function: its name; ``...`` stands for outer calls of a very deep stack, which were not told.
        file: its source: as it is, but from the library's folder on for what belongs to Python or is installed, and
            ``<In>`` for an input, whatever its number.
        line: the line that it is at, 0 where that is unknown.
    """

    function: str
    file: str
    line: int


@dataclass(frozen=True)
class FoldedStack:
    """One stack, and who has it.

    Attributes:
        frames: its calls, the outermost first, without the kernel's own. Empty for a main thread that runs no code of
            the user's: it is idle, or what it runs awaits something.
        names: the kernels that have it, in the order of the group; a kernel stands here as often as threads of it do.
    """

    frames: tuple[Frame, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class FoldedStacks:
    """The stacks of many kernels; as text, a tree: what all have, and where they part, with who goes where.

    Attributes:
        main: those of the main threads, what most have first. Each kernel that answered is in one of them.
        threads: those of the user's other threads, in the same way.
        errors: why there is none of others: {name: error}.
    """

    main: tuple[FoldedStack, ...] = ()
    threads: tuple[FoldedStack, ...] = ()
    errors: Mapping[str, Exception] = field(default_factory=dict)

    def __str__(self) -> str:
        short = _short_files(frame.file for stack in (*self.main, *self.threads) for frame in stack.frames)
        parts = [[*_tree(self.main, short)] if self.main else []]
        parts.append(["other threads", *_tree(self.threads, short)] if self.threads else [])
        reasons = fold_alike({name: str(error) for name, error in self.errors.items()})
        parts.append([f"no stack of {describe(names)}: {reason}" for names, reason in reasons])
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    __repr__ = __str__


def fold(stacks: Mapping[str, str], errors: Mapping[str, Exception] | None = None) -> FoldedStacks:
    r"""Fold the stacks of many kernels.

    Args:
        stacks: what `KernelClient.stack` gave, by the kernel's name.
        errors: why others gave none.

    Returns:
        What they do. A text without the stack of a main thread is told among the errors.

    Example:
        >>> text = 'Thread 0x00007f (most recent call first):\n  File "train.py", line 7 in step\n'
        >>> print(fold({"train-0": text, "train-1": text, "train-2": text.replace("7 in step", "3 in load")}))
        3: train-{0..2}
          ├─ 2: train-{0..1}
          │    step (train.py:7)
          └─ 1: train-2
               load (train.py:3)
    """
    mains: list[tuple[tuple[Frame, ...], str]] = []
    others: list[tuple[tuple[Frame, ...], str]] = []
    failed = dict(errors or {})
    for name, text in stacks.items():
        *threads, main = [*_threads_in(text)] or [()]
        if not main or main[0].function == "_bootstrap":  # the main thread comes last
            threads, main = [*threads, main], ()
            failed[name] = WorkerBusy("what it told of its stacks has no main thread")
        else:
            mains.append((_of_user(main), name))
        others += [(_of_user(thread) or thread[-1:], name) for thread in threads if thread and not _is_own(thread)]
    return FoldedStacks(_fold(mains), _fold(others), failed)


def _fold(stacks: list[tuple[tuple[Frame, ...], str]]) -> tuple[FoldedStack, ...]:
    found = [FoldedStack(frames, tuple(names)) for frames, names in gather(stacks).items()]
    return tuple(sorted(found, key=lambda stack: -len(stack.names)))


# ---------------------------------------------------------------------- reading


def _threads_in(text: str) -> Iterator[tuple[Frame, ...]]:
    """The stacks in what a fault handler wrote (CPython's ``Python/traceback.c``), the outermost call first."""
    for part in _THREAD.split(text)[1:]:
        frames = [
            Frame(function or dots, _place(file), int(line) if line.isdigit() else 0)
            for file, line, function, dots in _FRAME.findall(part)
        ]
        yield tuple(reversed(frames))


def _place(file: str) -> str:
    return without_numbers(_PYTHON.sub("", _INSTALLED.sub("", file)))


def _is_entry(frame: Frame) -> bool:
    return _ENTRY.search(frame.file) is not None


def _is_kernels(frame: Frame) -> bool:
    return _KERNEL.search(frame.file) is not None


def _is_own(thread: Sequence[Frame]) -> bool:
    """Whether it is a thread of the kernel's, which does nothing of the user's."""
    ours = [frame for frame in thread if _is_kernels(frame)]
    return any(not frame.function.endswith(_AROUND_USERS) for frame in ours) and all(
        _is_kernels(frame) or _is_entry(frame) or _SERVING.search(frame.file) for frame in thread
    )


def _of_user(thread: Sequence[Frame]) -> tuple[Frame, ...]:
    """What is left without the kernel's frames, and those that lead from there to the user's.

    Where user code has called the kernel, that call is the last frame.
    """
    kept: list[Frame] = []
    is_ours = True
    last = None  # what the user's code has called of ours
    for frame in thread:
        if _is_kernels(frame) or (is_ours and _is_entry(frame)):
            last = None if not kept else last if is_ours else frame
            is_ours = True
        else:
            kept.append(frame)
            is_ours, last = False, None
    return (*kept, last) if last else tuple(kept)


# ---------------------------------------------------------------------- showing


def _tree(stacks: Sequence[FoldedStack], short: Mapping[str, str]) -> Iterator[str]:
    yield _who(_names_of(stacks))
    yield from _branch(stacks, 0, "  ", short)


def _branch(stacks: Sequence[FoldedStack], depth: int, margin: str, short: Mapping[str, str]) -> Iterator[str]:
    """What these stacks have in common from this depth on, and then who goes where."""
    ways = _ways(stacks, depth)
    while len(ways) == 1 and (frame := next(iter(ways))) is not None:
        yield margin + _show(frame, short)
        depth += 1
        ways = _ways(stacks, depth)
    if len(ways) == 1:
        if not depth:
            yield margin + _NOTHING
        return
    for index, (frame, parted) in enumerate(ways.items()):
        is_last = index == len(ways) - 1
        yield f"{margin}{'└' if is_last else '├'}─ {_who(_names_of(parted))}"
        below = f"{margin}{' ' if is_last else '│'}    "
        if frame is None:
            yield below + ("goes no further" if depth else _NOTHING)
        else:
            yield from _branch(parted, depth, below, short)


def _ways(stacks: Sequence[FoldedStack], depth: int) -> dict[Frame | None, list[FoldedStack]]:
    """The calls at this depth, None where there is none; what most do first."""
    ways: dict[Frame | None, list[FoldedStack]] = {}
    for stack in stacks:
        ways.setdefault(stack.frames[depth] if depth < len(stack.frames) else None, []).append(stack)
    return dict(sorted(ways.items(), key=lambda way: -len(_names_of(way[1]))))


def _names_of(stacks: Sequence[FoldedStack]) -> list[str]:
    return [name for stack in stacks for name in stack.names]


def _who(names: Sequence[str]) -> str:
    kernels = [*dict.fromkeys(names)]
    threads = f" ({len(names)} threads)" if len(names) > len(kernels) else ""
    return f"{len(kernels)}: {describe(kernels)}{threads}"


def _show(frame: Frame, short: Mapping[str, str]) -> str:
    if not frame.file:
        return frame.function
    return f"{frame.function} ({short[frame.file]}:{frame.line or '?'})"


def _short_files(files: Iterable[str]) -> dict[str, str]:
    """As much of the end of each path as tells it from the others."""
    short: dict[str, str] = {}
    parts = {file: file.split("/") for file in files}
    for count in range(1, max(map(len, parts.values()), default=0) + 1):
        ends = gather(("/".join(pieces[-count:]), file) for file, pieces in parts.items() if file not in short)
        short.update((alike[0], end) for end, alike in ends.items() if len(alike) == 1)
    return short
