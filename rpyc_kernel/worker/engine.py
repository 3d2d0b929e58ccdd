"""The one interface of all engines: what turns source into effects."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from rpyc_kernel.core.source import Source
from rpyc_kernel.worker.values import Values

if TYPE_CHECKING:  # it costs a start some milliseconds, and is needed when somebody asks
    from rpyc_kernel.core.introspection import CodeState

Emit = Callable[[str, int, dict[str, Any]], None]
"""Publishes an event: kind, execution, payload."""


class Engine(Protocol):
    """Runs code in a namespace.

    Attributes:
        name: which one it is.
        namespace: of user code.
        values: the last values.
    """

    name: str
    namespace: dict[str, Any]
    values: Values

    def start_up(self) -> None:
        """Run what the user wants run before anything else, if that is wanted; on the main thread."""

    def run(
        self, execution: int, code: str, source: Source | None = None, count: int | None = None
    ) -> str | Awaitable[str]:
        """Run code and publish what comes of it; returns its outcome, or an awaitable of it if the code awaits.

        ``count`` is which input it is; None is the one of what nobody would call an input.
        """

    def call(self, execution: int, function: Callable[[], Any]) -> str:
        """Call a function as if it were the last expression of an execution."""

    def report(self, execution: int, error: BaseException) -> str:
        """Publish an exception that no code of the execution's took; returns the outcome."""

    def is_complete(self, code: str) -> CodeState:
        """Say whether code could run as it is; on other threads, while other code runs."""


def find_shell() -> Any:
    """The shell of the engine that has one, IPython's; None if there is none (yet)."""
    package = sys.modules.get("IPython")
    return None if package is None else package.get_ipython()
