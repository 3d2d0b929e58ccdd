"""Introspection of a kernel, also while it runs code: completion, help, variables, tables, surroundings."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.literals import write_literal
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, KernelError, WorkerBusy

if TYPE_CHECKING:  # loaded with the first answer
    from rpyc_kernel.core.introspection import (
        Cells,
        CodeState,
        Completions,
        Definition,
        Inspection,
        Package,
        Page,
        Python,
        References,
        Signature,
        Variable,
        Watched,
    )

_TIMEOUT_S = 5.0
_HUB_S = 1.0
"""How long a hub that is there takes at most to say so."""
_T = TypeVar("_T")
Column: TypeAlias = str | int | None
"""A column by its label's text, or by its place from 0; None is what labels the rows."""
Sort: TypeAlias = Sequence[Column | tuple[Column, str]]
Filter: TypeAlias = Sequence[tuple[Column, str] | tuple[Column, str, Any]]


@check_methods
class Introspection:
    """The part of a client that looks into the worker.

    Every method here is *immediate*: the worker answers it beside the code that runs, and nothing is queued. None runs
    code of the objects looked at; what could not be told without that is left out. All raise `WorkerBusy` if the worker
    does not answer within ``timeout`` seconds, most often because a C call holds the interpreter lock, and
    `CallTimeout` where it is the hub that does not; those that change something raise `NotPermitted` to a viewer.

    A *path* leads to a value, as ``servers[0]['name'].port``; `variables` and `children` give the path of each value.
    """

    _commands: HubConnection

    # ------------------------------------------------------------------ code

    def complete(
        self, code: str, cursor: int | None = None, *, execution: int | None = None, timeout: float = _TIMEOUT_S
    ) -> Completions:
        """Immediate. Find what could be typed at ``cursor``.

        What exists in the namespace comes first; what only the source shows is added if it is found within 0.2 s.

        Args:
            code: the source, or what is typed at a prompt.
            cursor: in characters; None for the end of the code.
            execution: whose prompt it is: that of a debugger has its commands, and the variables where it has stopped.
            timeout: in seconds.

        Returns:
            The completions, and which characters of the code they replace.

        Example:
            >>> run = kernel.execute("import os")
            >>> found = kernel.complete("os.path.isf")
            >>> found.matches, found.start, found.end
            (('isfile',), 8, 11)
        """
        return self._ask(commands.COMPLETE, code, cursor, execution, timeout_s=timeout)

    def signatures(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> list[Signature]:
        """Immediate. Find how the callable at ``cursor`` is to be called.

        Args:
            code: the source.
            cursor: in characters; None for the end of the code.
            timeout: in seconds.

        Returns:
            Its signatures, of which there may be several, or none.

        Example:
            >>> signature = kernel.signatures("sorted([3, 1], key=")[0]
            >>> signature.name, signature.parameters[signature.active].name
            ('sorted', 'key')
        """
        return self._ask(commands.SIGNATURES, code, cursor, timeout_s=timeout)

    def inspect(
        self, code: str, cursor: int | None = None, *, source: bool = True, timeout: float = _TIMEOUT_S
    ) -> Inspection:
        """Immediate. Find type, signature, documentation, source and place of a path, or of the name at ``cursor``.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters; None: the code is a path.
            source: whether its source is wanted, too, which takes time to find.
            timeout: in seconds.

        Returns:
            What is known of it; `found` is False where there is nothing.

        Example:
            >>> about = kernel.inspect("len")
            >>> about.found, about.type, about.signature
            (True, 'builtin_function_or_method', '(obj, /)')
        """
        return self._ask(commands.INSPECT, code, cursor, *(() if source else (source,)), timeout_s=timeout)

    def definition(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> Definition | None:
        """Immediate. Find where a path, or the name at ``cursor`` in code, is defined.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters; None: the code is a path.
            timeout: in seconds.

        Returns:
            File, line (from 1) and column (from 0, in characters); None if that is unknown.

        Example:
            >>> run = kernel.execute("def double(number): return 2 * number")
            >>> found = kernel.definition("double")
            >>> found.file == f"<In {run.count}>", found.line
            (True, 1)
        """
        return self._ask(commands.DEFINITION, code, cursor, timeout_s=timeout)

    def references(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> References:
        r"""Immediate. Find where a path, or the name at ``cursor`` in code, is used.

        It looks into the inputs that this worker has run, the code itself, and for what is defined in a file into that,
        the user's modules and the files of the worker's folder; for at most two seconds.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters; None: the code is a path.
            timeout: in seconds.

        Returns:
            The places, and whether they are all.

        Example:
            >>> first = kernel.execute("def triple(number): return 3 * number")
            >>> second = kernel.execute("nine = triple(3)")
            >>> found = kernel.references("triple")
            >>> [(each.file, each.line, each.column) for each in found.items][-1] == (f"<In {second.count}>", 1, 7)
            True
        """
        return self._ask(commands.REFERENCES, code, cursor, timeout_s=timeout)

    def is_complete(self, code: str, *, timeout: float = _TIMEOUT_S) -> CodeState:
        """Immediate. Find whether code could run as it is.

        Args:
            code: the source.
            timeout: in seconds.

        Returns:
            The status ``complete``, ``incomplete`` or ``invalid``, and the indent of the next line of incomplete code.

        Example:
            >>> kernel.is_complete("for number in range(3):")
            CodeState(status='incomplete', indent='    ')
        """
        return self._ask(commands.IS_COMPLETE, code, timeout_s=timeout)

    # ------------------------------------------------------------------ variables

    def variables(self, start: int = 0, count: int = 1000, *, timeout: float = _TIMEOUT_S) -> list[Variable]:
        """Immediate. List the variables that user code has defined, by name.

        Args:
            start: how many to leave out at the beginning.
            count: how many at most, up to 1000.
            timeout: in seconds.

        Example:
            >>> kernel.push(numbers=[3, 1, 2])
            >>> found = next(variable for variable in kernel.variables() if variable.name == "numbers")
            >>> found.type, found.size, found.preview
            ('list', 3, '[3, 1, 2]')
        """
        return self._ask(commands.VARIABLES, start, count, timeout_s=timeout)

    def children(self, path: str, start: int = 0, count: int = 100, *, timeout: float = _TIMEOUT_S) -> Page:
        """Immediate. List what is in a container, or the attributes that an object holds.

        Args:
            path: of the value.
            start: the position of the first one.
            count: how many at most, up to 1000.
            timeout: in seconds.

        Returns:
            A page of them, and how many there are in all.

        Raises:
            NotAvailable: the path leads nowhere, or only by running code.
            RequestError: it is no path.

        Example:
            >>> kernel.push(server={"name": "one", "port": 80})
            >>> [(child.name, child.path, child.preview) for child in kernel.children("server").items]
            [("'name'", "server['name']", "'one'"), ("'port'", "server['port']", '80')]
        """
        return self._ask(commands.CHILDREN, path, start, count, timeout_s=timeout)

    def slice(
        self,
        path: str,
        rows: tuple[int, int] = (0, 50),
        columns: tuple[int, int] = (0, 20),
        *,
        sort: Sort = (),
        filter: Filter = (),
        timeout: float = _TIMEOUT_S,
    ) -> Cells:
        """Immediate. Show some cells of a list, dict, array, series or data frame, as text, sorted and filtered.

        A column is meant by its label's text, as in `Cells.column_labels`, or by its place from 0; None is what labels
        the rows: an index, a dict's keys, places. The worker sorts and filters once for all pages, and again when code
        has begun or ended, or `set_variable` has changed something: the table's values may be others then.

        Args:
            path: of the table.
            rows: the first one, and the one after the last, from 0, of those that pass, as they are sorted.
            columns: likewise; the cells may be 10,000 at most.
            sort: the columns to sort by, each alone or paired with ``"descending"``, the weightiest first. Equal rows
                stay in their order; missing values go last, either way.
            filter: conditions that must all hold: ``(column, operator, value)``, with ``==``, ``!=``, ``<``, ``<=``,
                ``>``, ``>=`` or ``contains``, which looks for a part of the cell's text; or ``(column, "is null")``,
                ``(column, "not null")``. The value is a number, text, bytes, True, False or None; a date is text.
            timeout: in seconds.

        Returns:
            The cells row by row, their labels, how many rows pass and how many there are, how many columns the table
            has, and the place of each row in the table itself.

        Raises:
            NotAvailable: there is nothing at the path, or it was changed while it was read.
            RequestError: it is no table, the cells are too many, or it cannot be sorted or filtered so.

        Example:
            >>> kernel.push(numbers=[30, 10, None, 20])
            >>> cells = kernel.slice(
            ...     "numbers", rows=(0, 2), sort=[("value", "descending")], filter=[("value", "<", 30)]
            ... )
            >>> cells.row_count, cells.total_row_count, cells.rows, cells.positions
            (2, 4, (('20',), ('10',)), (3, 1))
        """
        chosen = (sort, filter) if sort or filter else ()  # a kernel of an earlier release knows neither
        try:
            return self._ask(commands.CELLS, path, *rows, *columns, *chosen, timeout_s=timeout)
        except WorkerBusy as error:
            if not chosen or not isinstance(error.__context__, CallTimeout):
                raise
            raise WorkerBusy(
                f"{path!r} was not sorted and filtered within {show_seconds(timeout)} s; the worker goes on with it, "
                "so ask again; if that does not help a C call holds the interpreter lock, and stack() shows which"
            ) from None

    def set_variable(
        self, path: str, value: Any, *, row: int | None = None, column: Column = 0, timeout: float = _TIMEOUT_S
    ) -> None:
        """Immediate. Give a variable, what a path leads to, or a cell of the table there a value.

        It happens between two bytecodes of the code that runs, which may have read the old value just before, or may
        overwrite the new one just after; queue ``name = value`` to change it in turn with other code. The old value
        may end with this, and then its finalizer runs beside the running code.

        Args:
            path: the variable's name, or what leads to an item of a list or dict, or to an attribute; with ``row``,
                what leads to a table.
            value: numbers, text, bytes, None, and lists, tuples, dicts and sets of them; what does not fit the column
                of an array or data frame is refused.
            row: of the cell, its place in the table itself, as `Cells.positions` tells it.
            column: of the cell, its label's text, or its place from 0.
            timeout: in seconds.

        Raises:
            NotAvailable: the path leads nowhere, or only by running code.
            RequestError: the value is none of those or does not fit, or there is nothing that can be set.

        Example:
            >>> kernel.set_variable("limit", [1, 2.5, None])
            >>> kernel.set_variable("limit[1]", 3)
            >>> kernel.set_variable("limit", "last", row=2)
            >>> kernel.eval("tuple(limit)")
            (1, 3, 'last')
        """
        cell = () if row is None else (row, column)  # a kernel of an earlier release knows no cells
        self._ask(commands.SET_VARIABLE, path, write_literal(value), *cell, timeout_s=timeout)

    def delete_variable(self, name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Delete a variable; running code that reads it later fails with `NameError`.

        Args:
            name: of the variable.
            timeout: in seconds.

        Raises:
            NotAvailable: there is none of that name.

        Example:
            >>> kernel.set_variable("limit", 1)
            >>> kernel.delete_variable("limit")
            >>> "limit" in kernel.namespace
            False
        """
        self._ask(commands.DELETE_VARIABLE, name, timeout_s=timeout)

    def rename_variable(self, name: str, new_name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable another name; running code sees it for a moment under neither.

        Args:
            name: of the variable.
            new_name: another, which no variable has.
            timeout: in seconds.

        Raises:
            NotAvailable: there is none of that name.
            RequestError: there is one of the new name already.

        Example:
            >>> kernel.set_variable("lower", 1)
            >>> kernel.rename_variable("lower", "lower_limit")
            >>> kernel.eval("lower_limit")
            1
            >>> kernel.delete_variable("lower_limit")
        """
        self._ask(commands.RENAME_VARIABLE, name, new_name, timeout_s=timeout)

    def evaluate(
        self, expressions: Sequence[str], *, limit: float = 1.0, timeout: float | None = None
    ) -> list[Watched]:
        """Immediate. Evaluate expressions in the namespace, each for itself, beside the code that runs.

        Unlike the other methods here it runs code: what the expressions change is changed. One that raises, or does not
        come back, has that told as its `error`, and the others their values.

        Args:
            expressions: of Python, up to 10,000.
            limit: for how many seconds each may take, from 0.01 to 60. Then KeyboardInterrupt is raised in it. All
                together may take four times as long; those that are left then say so.
            timeout: in seconds; None for as long as they may take, and 4 s more.

        Returns:
            What each is now, in order.

        Raises:
            NotPermitted: to viewers, and to who asks first.

        Example:
            >>> kernel.push(numbers=[3, 1, 2])
            >>> for watched in kernel.evaluate(["len(numbers)", "numbers[7]"]):
            ...     print(watched.expression, "=", watched.preview or watched.error)
            len(numbers) = 3
            numbers[7] = IndexError: list index out of range
        """
        timeout_s = 4.0 + 4.0 * limit if timeout is None else timeout
        return self._ask(commands.EVALUATE, tuple(expressions), limit, timeout_s=timeout_s)

    # ------------------------------------------------------------------ surroundings

    def cwd(self, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Return the full path of the worker's working directory.

        Example:
            >>> kernel.cwd() == kernel.eval("__import__('os').getcwd()")
            True
        """
        return self._ask(commands.CWD, timeout_s=timeout)

    def set_cwd(self, folder: str, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Change the worker's working directory; running code sees its relative paths change.

        Args:
            folder: as the worker sees it.
            timeout: in seconds.

        Returns:
            The full path.

        Raises:
            RequestError: it cannot be entered.

        Example:
            >>> before = kernel.cwd()
            >>> kernel.set_cwd("/")
            '/'
            >>> kernel.set_cwd(before) == before
            True
        """
        return self._ask(commands.SET_CWD, folder, timeout_s=timeout)

    def environment(self, *, timeout: float = _TIMEOUT_S) -> dict[str, str]:
        """Immediate. Return the values of the worker's environment variables, by name.

        Example:
            >>> "PATH" in kernel.environment()
            True
        """
        return self._ask(commands.ENVIRONMENT, timeout_s=timeout)

    def set_environment(self, name: str, value: str | None, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Set one environment variable, or remove it; not safe beside C code that reads them.

        Args:
            name: of the variable.
            value: its value, None to remove it.
            timeout: in seconds.

        Raises:
            RequestError: no variable can be called so, or have this value.

        Example:
            >>> kernel.set_environment("COLOUR", "green")
            >>> kernel.environment()["COLOUR"]
            'green'
            >>> kernel.set_environment("COLOUR", None)
        """
        self._ask(commands.SET_ENVIRONMENT, name, value, timeout_s=timeout)

    def module_path(self, *, timeout: float = _TIMEOUT_S) -> list[str]:
        """Immediate. Return the entries of the worker's ``sys.path``.

        Example:
            >>> kernel.module_path()[0]
            ''
        """
        return self._ask(commands.MODULE_PATH, timeout_s=timeout)

    def set_module_path(self, entries: Sequence[str], *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Replace the entries of ``sys.path``; imports that are going on see some of both.

        Args:
            entries: folders and archives, in order.
            timeout: in seconds.

        Example:
            >>> before = kernel.module_path()
            >>> kernel.set_module_path([*before, "/opt/modules"])
            >>> kernel.module_path()[-1]
            '/opt/modules'
            >>> kernel.set_module_path(before)
        """
        self._ask(commands.SET_MODULE_PATH, tuple(entries), timeout_s=timeout)

    def python(self, *, timeout: float = _TIMEOUT_S) -> Python:
        """Immediate. Return version, executable, prefix, platform, process and engine of the worker's interpreter.

        Example:
            >>> python = kernel.python()
            >>> python.implementation, python.pid == kernel.status()["worker_pid"]
            ('CPython', True)
        """
        return self._ask(commands.PYTHON, timeout_s=timeout)

    def packages(self, *, timeout: float = 30.0) -> list[Package]:
        """Immediate. List the distributions installed for the worker, by name; reads a file for each.

        Example:
            >>> "rpyc" in {package.name for package in kernel.packages()}
            True
        """
        return self._ask(commands.PACKAGES, timeout_s=timeout)

    def _ask(self, command: Command[_T], *arguments: Any, timeout_s: float) -> _T:
        """Ask the worker; raises `WorkerBusy` when it gives no answer in time, `CallTimeout` when the hub does not."""
        try:
            return self._commands.call(command, *arguments, timeout_s=timeout_s)
        except CallTimeout as late:
            if self._commands.loss:
                raise
            if not self._is_hub_there():
                raise CallTimeout(
                    f"{late}, and its hub, process {self._commands.hub_pid}, answers nothing else: it is stopped by "
                    "the system, or cut off from here"
                ) from None
            raise WorkerBusy(
                f"the worker did not answer {command.name!r} within {show_seconds(timeout_s)} s; "
                "most often a C call holds the interpreter lock, and stack() shows which"
            ) from None

    def _is_hub_there(self) -> bool:
        with contextlib.suppress(KernelError):
            self._commands.call(commands.HELLO, timeout_s=_HUB_S)
            return True
        return False
