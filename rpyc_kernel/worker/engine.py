"""What engines publish by, and where the shell of one is found that has one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Emit = Callable[[str, int, dict[str, Any]], None]
"""Publishes an event: kind, execution, payload."""


def find_shell() -> Any:
    """The shell of the engine that has one, IPython's; None if there is none (yet)."""
    package = sys.modules.get("IPython")
    return None if package is None else package.get_ipython()
