"""Places where a promise can be broken on purpose, as data: each with the tests that must then fail.

`scripts/mutants` breaks them one at a time and prints those that no test notices. One file holds those of one folder of
the package.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One promise, and how to break it.

    Attributes:
        promise: what users are promised, in one line.
        file: the source file, below the package.
        before: text that stands exactly once in the file.
        after: what to put in its place.
        tests: what must fail then, as pytest names it, below ``tests``.
    """

    promise: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


def load_mutants() -> tuple[Mutant, ...]:
    """Return all mutants, in the order of their files."""
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    return tuple(mutant for name in modules for mutant in importlib.import_module(f"{__name__}.{name}").MUTANTS)
