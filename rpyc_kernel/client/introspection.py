"""Introspection of a kernel, also while it runs code: completion, help, variables, tables, surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.client.literals import write_literal
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.introspection import (
    Cells,
    CodeState,
    Completions,
    Definition,
    Inspection,
    Package,
    Page,
    Python,
    Signature,
    Variable,
)
from rpyc_kernel.errors import CallTimeout, WorkerBusy

_TIMEOUT_S = 5.0
_T = TypeVar("_T")


@check_methods
class Introspection:
    """The part of a client that looks into the worker.

    Every method here is *immediate*: the worker answers it beside the code that runs, and nothing is queued. None runs
    code of the objects looked at; what could not be told without that is left out. All raise `WorkerBusy` if the worker
    does not answer in time, most often because a C call holds the interpreter lock.

    A *path* leads to a value, as ``servers[0]['name'].port``; `variables` and `children` give the path of each value.
    """

    _commands: HubConnection

    # ------------------------------------------------------------------ code

    def complete(
        self, code: str, cursor: int | None = None, *, execution: int | None = None, timeout: float = _TIMEOUT_S
    ) -> Completions:
        """Immediate. Return what could stand at ``cursor``, which is the end of the code if None.

        What is there comes first; what the source alone promises is added if it can be read in a fifth of a second.

        Args:
            code: the source, or what is typed at a prompt.
            cursor: in characters.
            execution: whose prompt it is: a debugger's has its commands, and the variables of where it stands.
            timeout: in seconds.
        """
        return self._ask(commands.COMPLETE, code, cursor, execution, timeout_s=timeout)

    def signatures(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> list[Signature]:
        """Immediate. Return how what is called at ``cursor`` wants to be called, perhaps in several ways."""
        return self._ask(commands.SIGNATURES, code, cursor, timeout_s=timeout)

    def inspect(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> Inspection:
        """Immediate. Return type, signature, documentation, source and place of a path, or of what is at ``cursor``.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters.
            timeout: in seconds.
        """
        return self._ask(commands.INSPECT, code, cursor, timeout_s=timeout)

    def definition(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> Definition | None:
        """Immediate. Return where a path, or what is at ``cursor`` in code, is defined; None if that is unknown."""
        return self._ask(commands.DEFINITION, code, cursor, timeout_s=timeout)

    def is_complete(self, code: str, *, timeout: float = _TIMEOUT_S) -> CodeState:
        """Immediate. Return whether code is complete, incomplete or invalid, and the indent of the next line."""
        return self._ask(commands.IS_COMPLETE, code, timeout_s=timeout)

    # ------------------------------------------------------------------ variables

    def variables(self, start: int = 0, count: int = 1000, *, timeout: float = _TIMEOUT_S) -> list[Variable]:
        """Immediate. Return what the user defined, by name; at most 1000 at once."""
        return self._ask(commands.VARIABLES, start, count, timeout_s=timeout)

    def children(self, path: str, start: int = 0, count: int = 100, *, timeout: float = _TIMEOUT_S) -> Page:
        """Immediate. Return a page of what is in a container, or of an object's own attributes; at most 1000.

        Raises:
            NotAvailable: the path leads nowhere, or only by running code.
            RequestError: it is no path.
        """
        return self._ask(commands.CHILDREN, path, start, count, timeout_s=timeout)

    def slice(
        self,
        path: str,
        rows: tuple[int, int] = (0, 50),
        columns: tuple[int, int] = (0, 20),
        *,
        timeout: float = _TIMEOUT_S,
    ) -> Cells:
        """Immediate. Return some cells of a list, dict, array, series or data frame, as text; at most 10,000.

        Args:
            path: of the table.
            rows: the first one, and the one after the last.
            columns: likewise.
            timeout: in seconds.

        Raises:
            NotAvailable: there is nothing at the path, or it was changed while it was read.
            RequestError: it is no table, or the cells are too many.
        """
        return self._ask(commands.CELLS, path, *rows, *columns, timeout_s=timeout)

    def set_variable(self, name: str, value: Any, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable a value: numbers, text, bytes, None, and lists, tuples, dicts and sets of them.

        It happens between two bytecodes of the code that runs, which may have read the old value just before, or may
        overwrite the new one just after. Nothing else sees to that; queue ``name = value`` to wait for its turn.
        The old value may end with this, and then its finalizer runs beside the running code.

        Raises:
            RequestError: the value is none of those, or the name is none that can be set.
            NotPermitted: the session only observes.
        """
        self._ask(commands.SET_VARIABLE, name, write_literal(value), timeout_s=timeout)

    def delete_variable(self, name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Take a variable away; code that runs and reads it later fails with `NameError`.

        Raises:
            NotAvailable: there is none of that name.
            NotPermitted: the session only observes.
        """
        self._ask(commands.DELETE_VARIABLE, name, timeout_s=timeout)

    def rename_variable(self, name: str, new_name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable another name; code that runs sees it for a moment under neither.

        Raises:
            NotAvailable: there is none of that name.
            RequestError: there is one of the new name already.
            NotPermitted: the session only observes.
        """
        self._ask(commands.RENAME_VARIABLE, name, new_name, timeout_s=timeout)

    # ------------------------------------------------------------------ surroundings

    def cwd(self, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Return the worker's current folder."""
        return self._ask(commands.CWD, timeout_s=timeout)

    def set_cwd(self, folder: str, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Go to another folder, and return its full path; running code sees its relative paths change."""
        return self._ask(commands.SET_CWD, folder, timeout_s=timeout)

    def environment(self, *, timeout: float = _TIMEOUT_S) -> dict[str, str]:
        """Immediate. Return the worker's environment variables."""
        return self._ask(commands.ENVIRONMENT, timeout_s=timeout)

    def set_environment(self, name: str, value: str | None, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Set one environment variable, or take it away (None); not safe beside C code that reads them."""
        self._ask(commands.SET_ENVIRONMENT, name, value, timeout_s=timeout)

    def module_path(self, *, timeout: float = _TIMEOUT_S) -> list[str]:
        """Immediate. Return the worker's ``sys.path``."""
        return self._ask(commands.MODULE_PATH, timeout_s=timeout)

    def set_module_path(self, entries: Sequence[str], *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Replace the entries of ``sys.path``; imports that are going on see some of both."""
        self._ask(commands.SET_MODULE_PATH, tuple(entries), timeout_s=timeout)

    def python(self, *, timeout: float = _TIMEOUT_S) -> Python:
        """Immediate. Return version, executable, prefix and so on of the worker's interpreter."""
        return self._ask(commands.PYTHON, timeout_s=timeout)

    def packages(self, *, timeout: float = 30.0) -> list[Package]:
        """Immediate. Return the distributions installed for the worker, by name; reads a file for each."""
        return self._ask(commands.PACKAGES, timeout_s=timeout)

    def _ask(self, command: Command[_T], *arguments: Any, timeout_s: float) -> _T:
        """Ask the worker; raises `WorkerBusy` when no answer comes in time."""
        try:
            answer: _T = self._commands.call(command.name, *arguments, read=reader_of(command), timeout_s=timeout_s)
        except CallTimeout:
            raise WorkerBusy(
                f"the worker did not answer {command.name!r} within {timeout_s:g} s; "
                "most often a C call holds the interpreter lock, and stack() shows which"
            ) from None
        return answer
