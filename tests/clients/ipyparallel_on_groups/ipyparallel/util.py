"""Marks on functions that ipyparallel needs, and a group does not: what a function did not bring it finds there."""

from __future__ import annotations

from typing import Any


def interactive(function: Any) -> Any:
    """It is as if it had been defined in the kernel, as all are."""
    return function
