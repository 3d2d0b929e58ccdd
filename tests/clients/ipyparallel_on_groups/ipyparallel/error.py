"""Errors by ipyparallel's names, made of those of a group."""

from __future__ import annotations

from collections.abc import Sequence

from rpyc_kernel import ExecutionDropped, ExecutionError, KernelDied


class TaskAborted(Exception):
    """It never ran."""


class AlreadyDisplayedError(Exception):
    """Nothing here raises it."""


class RemoteError(Exception):
    """What the code of one kernel has raised."""

    def __init__(self, ename: str, evalue: str, traceback: str) -> None:
        super().__init__(ename, evalue)
        self.ename, self.evalue, self.traceback = ename, evalue, traceback

    def __str__(self) -> str:
        return f"{self.ename}: {self.evalue}"

    def render_traceback(self) -> list[str]:
        """Its lines."""
        return (self.traceback or str(self)).splitlines()

    def raise_exception(self) -> None:
        """Raise it."""
        raise self


class EngineError(RemoteError):
    """The kernel was lost."""


class CompositeError(RemoteError):
    """What the code of several kernels has raised."""

    tb_limit = 4

    def __init__(self, errors: Sequence[RemoteError]) -> None:
        super().__init__("CompositeError", f"{len(errors)} failed", "")
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))

    def raise_exception(self) -> None:
        """Raise the first."""
        raise self.errors[0]

    def render_traceback(self) -> list[str]:
        """The lines of the first few."""
        lines = [line for error in self.errors[: self.tb_limit] for line in error.render_traceback()]
        more = len(self.errors) - self.tb_limit
        return [*lines, f"... {more} more exceptions ..."] if more > 0 else lines

    def print_traceback(self) -> None:
        """Print them."""
        print("\n".join(self.render_traceback()))


def translate(error: Exception) -> Exception:
    """An error of one kernel by ipyparallel's name."""
    if isinstance(error, ExecutionDropped):
        return TaskAborted(str(error))
    if isinstance(error, KernelDied):
        return EngineError("EngineError", str(error), "")
    if isinstance(error, ExecutionError):
        return RemoteError(error.ename, error.evalue, error.traceback)
    return error
