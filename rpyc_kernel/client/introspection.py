"""Introspection of a kernel, also while it runs code: completion, help, variables, tables, surroundings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from rpyc_kernel.client.answers import read_json
from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.client.literals import write_literal
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
    read_found,
)
from rpyc_kernel.errors import CallTimeout, WorkerBusy

_TIMEOUT_S = 5.0
_Found = TypeVar("_Found")


def _read_list(kind: type[_Found], told: list[dict[str, Any]]) -> list[_Found]:
    return [read_found(kind, each) for each in told]


def _read_definition(told: dict[str, Any] | None) -> Definition | None:
    return None if told is None else read_found(Definition, told)


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
        found: Completions = self._ask_worker(
            "complete", code, cursor, execution, read=partial(read_found, Completions), timeout_s=timeout
        )
        return found

    def signatures(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> list[Signature]:
        """Immediate. Return how what is called at ``cursor`` wants to be called, perhaps in several ways."""
        found: list[Signature] = self._ask_worker(
            "signatures", code, cursor, read=partial(_read_list, Signature), timeout_s=timeout
        )
        return found

    def inspect(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> Inspection:
        """Immediate. Return type, signature, documentation, source and place of a path, or of what is at ``cursor``.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters.
            timeout: in seconds.
        """
        found: Inspection = self._ask_worker(
            "inspect", code, cursor, read=partial(read_found, Inspection), timeout_s=timeout
        )
        return found

    def definition(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> Definition | None:
        """Immediate. Return where a path, or what is at ``cursor`` in code, is defined; None if that is unknown."""
        found: Definition | None = self._ask_worker(
            "definition", code, cursor, read=_read_definition, timeout_s=timeout
        )
        return found

    def is_complete(self, code: str, *, timeout: float = _TIMEOUT_S) -> CodeState:
        """Immediate. Return whether code is complete, incomplete or invalid, and the indent of the next line."""
        found: CodeState = self._ask_worker("is_complete", code, read=partial(read_found, CodeState), timeout_s=timeout)
        return found

    # ------------------------------------------------------------------ variables

    def variables(self, start: int = 0, count: int = 1000, *, timeout: float = _TIMEOUT_S) -> list[Variable]:
        """Immediate. Return what the user defined, by name; at most 1000 at once."""
        found: list[Variable] = self._ask_worker(
            "variables", start, count, read=partial(_read_list, Variable), timeout_s=timeout
        )
        return found

    def children(self, path: str, start: int = 0, count: int = 100, *, timeout: float = _TIMEOUT_S) -> Page:
        """Immediate. Return a page of what is in a container, or of an object's own attributes; at most 1000.

        Raises:
            NotAvailable: the path leads nowhere, or only by running code.
            RequestError: it is no path.
        """
        found: Page = self._ask_worker(
            "children", path, start, count, read=partial(read_found, Page), timeout_s=timeout
        )
        return found

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
        found: Cells = self._ask_worker(
            "cells", path, *rows, *columns, read=partial(read_found, Cells), timeout_s=timeout
        )
        return found

    def set_variable(self, name: str, value: Any, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable a value: numbers, text, bytes, None, and lists, tuples, dicts and sets of them.

        It happens between two bytecodes of the code that runs, which may have read the old value just before, or may
        overwrite the new one just after. Nothing else sees to that; queue ``name = value`` to wait for its turn.
        The old value may end with this, and then its finalizer runs beside the running code.

        Raises:
            RequestError: the value is none of those, or the name is none that can be set.
            NotPermitted: the session only observes.
        """
        self._ask_worker("set_variable", name, write_literal(value), timeout_s=timeout)

    def delete_variable(self, name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Take a variable away; code that runs and reads it later fails with `NameError`.

        Raises:
            NotAvailable: there is none of that name.
            NotPermitted: the session only observes.
        """
        self._ask_worker("delete_variable", name, timeout_s=timeout)

    def rename_variable(self, name: str, new_name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable another name; code that runs sees it for a moment under neither.

        Raises:
            NotAvailable: there is none of that name.
            RequestError: there is one of the new name already.
            NotPermitted: the session only observes.
        """
        self._ask_worker("rename_variable", name, new_name, timeout_s=timeout)

    # ------------------------------------------------------------------ surroundings

    def cwd(self, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Return the worker's current folder."""
        return str(self._ask_worker("cwd", timeout_s=timeout))

    def set_cwd(self, folder: str, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Go to another folder, and return its full path; running code sees its relative paths change."""
        return str(self._ask_worker("set_cwd", folder, timeout_s=timeout))

    def environment(self, *, timeout: float = _TIMEOUT_S) -> dict[str, str]:
        """Immediate. Return the worker's environment variables."""
        return dict(self._ask_worker("environment", read=dict, timeout_s=timeout))

    def set_environment(self, name: str, value: str | None, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Set one environment variable, or take it away (None); not safe beside C code that reads them."""
        self._ask_worker("set_environment", name, value, timeout_s=timeout)

    def module_path(self, *, timeout: float = _TIMEOUT_S) -> list[str]:
        """Immediate. Return the worker's ``sys.path``."""
        return list(self._ask_worker("module_path", read=list, timeout_s=timeout))

    def set_module_path(self, entries: Sequence[str], *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Replace the entries of ``sys.path``; imports that are going on see some of both."""
        self._ask_worker("set_module_path", tuple(entries), timeout_s=timeout)

    def python(self, *, timeout: float = _TIMEOUT_S) -> Python:
        """Immediate. Return version, executable, prefix and so on of the worker's interpreter."""
        found: Python = self._ask_worker("python", read=partial(read_found, Python), timeout_s=timeout)
        return found

    def packages(self, *, timeout: float = 30.0) -> list[Package]:
        """Immediate. Return the distributions installed for the worker, by name; reads a file for each."""
        found: list[Package] = self._ask_worker("packages", read=partial(_read_list, Package), timeout_s=timeout)
        return found

    def _ask_worker(
        self, method: str, *arguments: Any, read: Callable[[Any], Any] = lambda found: found, timeout_s: float
    ) -> Any:
        """Ask the worker, and return what ``read`` makes of it; raises `WorkerBusy` when no answer comes in time."""
        try:
            return self._commands.call(
                method, *arguments, read=lambda answer: read(read_json(answer)), timeout_s=timeout_s
            )
        except CallTimeout:
            raise WorkerBusy(
                f"the worker did not answer {method!r} within {timeout_s:g} s; "
                "most often a C call holds the interpreter lock, and stack() shows which"
            ) from None
