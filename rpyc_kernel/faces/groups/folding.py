"""What is equal in many kernels, told once."""

from __future__ import annotations

from collections.abc import Mapping

from rpyc_kernel.groups.labels import describe


def fold(texts: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """Each text once, with whose it is, in the order of the first who has it."""
    found: dict[str, list[str]] = {}
    for who, text in texts.items():
        found.setdefault(text, []).append(who)
    return [(names, text) for text, names in found.items()]


def tell_failures(reasons: Mapping[str, str], count: int) -> str:
    """Say which of so many kernels have failed, and why."""
    told = "; ".join(f"{describe(names)} ({reason})" for names, reason in fold(reasons))
    return f"{len(reasons)} of {count} did not end well: {told}"
