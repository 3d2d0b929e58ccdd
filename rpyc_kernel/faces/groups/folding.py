"""What is equal in many kernels, told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rpyc_kernel.faces.groups.colours import Tags
from rpyc_kernel.faces.groups.lines import Line
from rpyc_kernel.groups.labels import describe, fold_alike, gather, without_numbers


class Folded:
    """Lines that are kept for the end, where what is equal is shown once."""

    def __init__(self) -> None:
        self._kept: dict[str, list[str]] = {}

    def keep(self, lines: Iterable[Line]) -> list[Line]:
        """Keep those that can wait; returns the others."""
        urgent = []
        for line in lines:
            if line.is_urgent:
                urgent.append(line)
            else:
                text = without_numbers(line.text) if line.is_error else line.text
                self._kept.setdefault(line.who, []).append(text)
        return urgent

    def show(self, names: Iterable[str], tags: Tags) -> str:
        """All that was kept: each text below a line that says whose it is, those of the first kernel first."""
        shown = []
        for text, who in gather(("\n".join(self._kept[name]), name) for name in names if name in self._kept).items():
            shown.append(tags.bold(f"--- {describe(who)}{f' ({len(who)})' if len(who) > 1 else ''}") + "\n")
            shown += map(tags.bare, text.split("\n"))
        return "".join(shown)


def tell_failures(reasons: Mapping[str, str], count: int) -> str:
    """Say which of so many kernels have failed, and why."""
    told = "; ".join(f"{describe(names)} ({reason})" for names, reason in fold_alike(reasons))
    return f"{len(reasons)} of {count} did not end well: {told}"
