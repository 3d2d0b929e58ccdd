"""What clients of threads do, for event loops. `python scripts/aio_client.py` writes this file."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

# ruff: noqa: E501 - texts of several lines are one here
from rpyc_kernel.aio.connection import LoopConnection
from rpyc_kernel.aio.event_stream import EventStream
from rpyc_kernel.aio.execution import Execution
from rpyc_kernel.aio.threaded import ThreadedBulk, ThreadedObjects
from rpyc_kernel.client import answers
from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.events import MARGIN_S, WAIT_S
from rpyc_kernel.client.execution import Interruption
from rpyc_kernel.client.introspection import Column, Filter, Sort
from rpyc_kernel.client.invitation import Invitation
from rpyc_kernel.client.kernel import Past
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Event, Force, Kind, Lane, Security, Space, State, freeze
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
from rpyc_kernel.core.literals import write_literal
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.core.source import Origin, Program, Source, describe_source
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import (
    BadCode,
    CallTimeout,
    ConnectionFailed,
    KernelDied,
    KernelError,
    NotRunning,
    RequestError,
    WorkerBusy,
)
from rpyc_kernel.settings import LOCAL, ClientSettings, parse_listen
from rpyc_kernel.system.futures import NotDone
from rpyc_kernel.wire.handshake import Identity

_TIMEOUT_S = 5.0
_HUB_S = 1.0
_T = TypeVar("_T")
_QUEUE_PAGE = 1000
_ANSWER_S = 2.0


def _require_code(code: str) -> None:
    require_encodable(code, "the code", BadCode)


@check_methods
class Introspection:
    """The part of a client that looks into the worker; nothing is queued by it."""

    _commands: LoopConnection

    async def complete(
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
        """
        return await self._ask(commands.COMPLETE, code, cursor, execution, timeout_s=timeout)

    async def signatures(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> list[Signature]:
        """Immediate. Find how the callable at ``cursor`` is to be called.

        Args:
            code: the source.
            cursor: in characters; None for the end of the code.
            timeout: in seconds.

        Returns:
            Its signatures, of which there may be several, or none.
        """
        return await self._ask(commands.SIGNATURES, code, cursor, timeout_s=timeout)

    async def inspect(
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
        """
        return await self._ask(commands.INSPECT, code, cursor, *(() if source else (source,)), timeout_s=timeout)

    async def definition(
        self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S
    ) -> Definition | None:
        """Immediate. Find where a path, or the name at ``cursor`` in code, is defined.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters; None: the code is a path.
            timeout: in seconds.

        Returns:
            File, line (from 1) and column (from 0, in characters); None if that is unknown.
        """
        return await self._ask(commands.DEFINITION, code, cursor, timeout_s=timeout)

    async def references(self, code: str, cursor: int | None = None, *, timeout: float = _TIMEOUT_S) -> References:
        """Immediate. Find where a path, or the name at ``cursor`` in code, is used.

        It looks into the inputs that this worker has run, the code itself, and for what is defined in a file into that,
        the user's modules and the files of the worker's folder; for at most two seconds.

        Args:
            code: a path; or with a cursor any code.
            cursor: in characters; None: the code is a path.
            timeout: in seconds.

        Returns:
            The places, and whether they are all.
        """
        return await self._ask(commands.REFERENCES, code, cursor, timeout_s=timeout)

    async def is_complete(self, code: str, *, timeout: float = _TIMEOUT_S) -> CodeState:
        """Immediate. Find whether code could run as it is.

        Args:
            code: the source.
            timeout: in seconds.

        Returns:
            The status ``complete``, ``incomplete`` or ``invalid``, and the indent of the next line of incomplete code.
        """
        return await self._ask(commands.IS_COMPLETE, code, timeout_s=timeout)

    async def variables(self, start: int = 0, count: int = 1000, *, timeout: float = _TIMEOUT_S) -> list[Variable]:
        """Immediate. List the variables that user code has defined, by name.

        Args:
            start: how many to leave out at the beginning.
            count: how many at most, up to 1000.
            timeout: in seconds.
        """
        return await self._ask(commands.VARIABLES, start, count, timeout_s=timeout)

    async def children(self, path: str, start: int = 0, count: int = 100, *, timeout: float = _TIMEOUT_S) -> Page:
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
        """
        return await self._ask(commands.CHILDREN, path, start, count, timeout_s=timeout)

    async def slice(
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
        """
        chosen = (sort, filter) if sort or filter else ()
        try:
            return await self._ask(commands.CELLS, path, *rows, *columns, *chosen, timeout_s=timeout)
        except WorkerBusy as error:
            if not chosen or not isinstance(error.__context__, CallTimeout):
                raise
            raise WorkerBusy(
                f"{path!r} was not sorted and filtered within {show_seconds(timeout)} s; the worker goes on with it, so ask again; if that does not help a C call holds the interpreter lock, and stack() shows which"
            ) from None

    async def set_variable(
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
        """
        cell = () if row is None else (row, column)
        await self._ask(commands.SET_VARIABLE, path, write_literal(value), *cell, timeout_s=timeout)

    async def delete_variable(self, name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Delete a variable; running code that reads it later fails with `NameError`.

        Args:
            name: of the variable.
            timeout: in seconds.

        Raises:
            NotAvailable: there is none of that name.
        """
        await self._ask(commands.DELETE_VARIABLE, name, timeout_s=timeout)

    async def rename_variable(self, name: str, new_name: str, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Give a variable another name; running code sees it for a moment under neither.

        Args:
            name: of the variable.
            new_name: another, which no variable has.
            timeout: in seconds.

        Raises:
            NotAvailable: there is none of that name.
            RequestError: there is one of the new name already.
        """
        await self._ask(commands.RENAME_VARIABLE, name, new_name, timeout_s=timeout)

    async def evaluate(
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
        """
        timeout_s = 4.0 + 4.0 * limit if timeout is None else timeout
        return await self._ask(commands.EVALUATE, tuple(expressions), limit, timeout_s=timeout_s)

    async def cwd(self, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Return the full path of the worker's working directory."""
        return await self._ask(commands.CWD, timeout_s=timeout)

    async def set_cwd(self, folder: str, *, timeout: float = _TIMEOUT_S) -> str:
        """Immediate. Change the worker's working directory; running code sees its relative paths change.

        Args:
            folder: as the worker sees it.
            timeout: in seconds.

        Returns:
            The full path.

        Raises:
            RequestError: it cannot be entered.
        """
        return await self._ask(commands.SET_CWD, folder, timeout_s=timeout)

    async def environment(self, *, timeout: float = _TIMEOUT_S) -> dict[str, str]:
        """Immediate. Return the values of the worker's environment variables, by name."""
        return await self._ask(commands.ENVIRONMENT, timeout_s=timeout)

    async def set_environment(self, name: str, value: str | None, *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Set one environment variable, or remove it; not safe beside C code that reads them.

        Args:
            name: of the variable.
            value: its value, None to remove it.
            timeout: in seconds.

        Raises:
            RequestError: no variable can be called so, or have this value.
        """
        await self._ask(commands.SET_ENVIRONMENT, name, value, timeout_s=timeout)

    async def module_path(self, *, timeout: float = _TIMEOUT_S) -> list[str]:
        """Immediate. Return the entries of the worker's ``sys.path``."""
        return await self._ask(commands.MODULE_PATH, timeout_s=timeout)

    async def set_module_path(self, entries: Sequence[str], *, timeout: float = _TIMEOUT_S) -> None:
        """Immediate. Replace the entries of ``sys.path``; imports that are going on see some of both.

        Args:
            entries: folders and archives, in order.
            timeout: in seconds.
        """
        await self._ask(commands.SET_MODULE_PATH, tuple(entries), timeout_s=timeout)

    async def python(self, *, timeout: float = _TIMEOUT_S) -> Python:
        """Immediate. Return version, executable, prefix, platform, process and engine of the worker's interpreter."""
        return await self._ask(commands.PYTHON, timeout_s=timeout)

    async def packages(self, *, timeout: float = 30.0) -> list[Package]:
        """Immediate. List the distributions installed for the worker, by name; reads a file for each."""
        return await self._ask(commands.PACKAGES, timeout_s=timeout)

    async def _ask(self, command: Command[_T], *arguments: Any, timeout_s: float) -> _T:
        """Ask the worker; raises `WorkerBusy` when it gives no answer in time, `CallTimeout` when the hub does not."""
        try:
            return await self._commands.call(command, *arguments, timeout_s=timeout_s)
        except CallTimeout as late:
            if self._commands.loss:
                raise
            if not await self._is_hub_there():
                raise CallTimeout(
                    f"{late}, and its hub, process {self._commands.hub_pid}, answers nothing else: it is stopped by the system, or cut off from here"
                ) from None
            raise WorkerBusy(
                f"the worker did not answer {command.name!r} within {show_seconds(timeout_s)} s; most often a C call holds the interpreter lock, and stack() shows which"
            ) from None

    async def _is_hub_there(self) -> bool:
        with contextlib.suppress(KernelError):
            await self._commands.call(commands.HELLO, timeout_s=_HUB_S)
            return True
        return False


@check_methods
class Admission:
    """The part of a client by which an owner lets others in, and sends them away."""

    name: str
    _commands: LoopConnection

    async def invite(
        self, role: str, *, name: str = "", expires: float | None = 86400.0, values: bool = False
    ) -> Invitation:
        """Let somebody come in by a key of their own. Only an owner may.

        Args:
            role: the most that its bearer may be: ``owner``, ``editor``, ``asker`` or ``viewer``.
            name: what its bearer is called, whatever it says itself; "" for a name that is made up.
            expires: for how many seconds it holds, by the hub's clock; None until it is revoked.
            values: whether a viewer or an asker may look at values, too: at all that can be reached from a variable.

        Returns:
            The invitation, whose `connect_string` is to be given to whom it is for.

        Raises:
            NotPermitted: this client is no owner.
            RequestError: there is no such role, nobody can be called so, or it cannot be kept.
        """
        return self._read_invitation(await self._commands.call(commands.INVITE, role, name, expires, values))

    async def invitations(self) -> list[Invitation]:
        """List who was invited. Only an owner may.

        Returns:
            The invitations that hold, and those that have ended lately, without their secrets.
        """
        return [self._read_invitation(each) for each in await self._commands.call(commands.INVITATIONS)]

    def _read_invitation(self, told: dict[str, Any]) -> Invitation:
        from rpyc_kernel.client.invitation import read_invitation

        return read_invitation(told, self.name)

    async def revoke(self, invitation: str) -> None:
        """Let an invitation hold no longer, and end what was connected with it, at once. Only an owner may.

        Args:
            invitation: its id.

        Raises:
            RequestError: there is none of this id, or its end cannot be kept.
        """
        await self._commands.call(commands.REVOKE, invitation)

    async def kick(self, session: str) -> None:
        """End the connections of a session. Only an owner may.

        Its client can come back after ten seconds, or at once as another session; to keep it out, `revoke` its
        invitation, whose id such sessions begin with.

        Args:
            session: its id.

        Raises:
            RequestError: nobody is connected as this session, or it is this client's own.
        """
        await self._commands.call(commands.KICK, session)

    async def listen(self, listen: str = LOCAL, *, tls: bool = False, insecure: bool = False) -> dict[str, Any]:
        """Have the kernel listen on one more port, from now on and with every hub to come. Only an owner may.

        What others than its machine can reach speaks TLS. Where it listens in this way already, nothing changes.

        Args:
            listen: ``host`` or ``host:port``.
            tls: speak TLS also where only its own machine can reach the port.
            insecure: speak none, though others can read and change on the way what is said.

        Returns:
            What it is now: ``host``, ``port``, ``security`` (``tls``, ``plain``, ``insecure``), and with TLS the
            ``fingerprint`` of the certificate.

        Raises:
            NotPermitted: this client is no owner.
            NotAvailable: there is no certificate, and what makes one is not installed for the hub.
            RequestError: it cannot listen there.
        """
        host, port = parse_listen(listen)
        if tls and insecure:
            raise RequestError("what is insecure has no TLS; leave one of them out")
        security = Security.TLS if tls else Security.INSECURE if insecure else Security.PLAIN
        return await self._commands.call(commands.LISTEN, host, port, security)

    async def certify(self, invitation: str) -> dict[str, str]:
        """Make a certificate for the bearer of an invitation, who can then come in with stock RPyC. Only an owner may.

        Args:
            invitation: its id.

        Returns:
            ``certificate``, its ``private_key``, and ``server_certificate``, by which the bearer knows the kernel; all
            of them PEM.

        Raises:
            NotPermitted: this client is no owner.
            NotAvailable: what makes certificates is not installed for the hub.
            RequestError: there is no such invitation, or only certificates of somebody else hold.
        """
        return await self._commands.call(commands.CERTIFY, invitation)


@check_methods
class Kernel(Introspection, Admission):
    """The part of a client that runs code, and stops it, and tells what has happened."""

    name: str
    _commands: LoopConnection
    _identity: Identity
    _known: int
    _live: ThreadedObjects
    _bulk: ThreadedBulk
    _settings: ClientSettings
    _submissions: str
    _count: itertools.count[int]
    _timeout_s: float

    async def close(self) -> None:
        """Leave."""
        raise NotImplementedError

    async def _open_stream(self, execution: int, since: int) -> EventStream:
        return EventStream(self._commands, since, execution=execution)

    @property
    def session(self) -> str:
        """The id of this session; give it to `connect` to continue the session."""
        return self._identity.session

    @property
    def client_name(self) -> str:
        """The name by which others see this session."""
        return self._identity.name

    @property
    def role(self) -> str:
        """What this client may do: ``owner``, ``editor`` or ``viewer``."""
        return self._identity.role

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, or lost for good."""
        return self._commands.is_closed

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; one that is lost is made again when something is awaited of it."""
        return self._commands.is_connected

    async def last_stack(self) -> str:
        """The last Python stack of the last worker that died, "" if none could be had."""
        return await self._commands.call(commands.LAST_STACK)

    async def rank(self) -> int | None:
        """Which rank of a job of ``mpirun``, ``srun`` or ``torchrun`` the worker is, from 0; None if it is none.

        `status` has it, too, with how many there are as `world_size`.
        """
        status = await self.status()
        if not status["python"]:
            await self.python()
            status = await self.status()
        rank: int | None = status.get("rank")
        return rank

    async def submit(
        self,
        code: str,
        *,
        stop_on_error: bool = True,
        lane: str = Lane.MAIN,
        file: str | None = None,
        first_line: int = 1,
    ) -> Execution:
        """Queue code and return at once.

        Args:
            code: the source, up to 4,194,304 characters.
            stop_on_error: if this code fails, abort what this session queued behind it.
            lane: ``main``, or ``side`` to run in a thread beside the queue.
            file: the file the code is a part of, which tracebacks and breakpoints then name.
            first_line: the line of the file in which the code begins, from 1.

        Returns:
            The execution, a future of the value of the last expression.

        Raises:
            BadCode: it is too long, or has characters no encoding can carry.
            RequestError: there is no such lane, or the kernel is stopping.
        """
        origin = None if file is None else Origin(file, first_line)
        return await self._submit(code, stop_on_error, lane, None, origin)

    async def run_file(
        self,
        path: str | os.PathLike[str],
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        namespace: str = Space.CURRENT,
        reload: bool = False,
        stop_on_error: bool = True,
    ) -> Execution:
        """Queue a file as a program named ``__main__`` and return at once.

        The worker reads the file when its turn comes. ``sys.argv``, the first entry of ``sys.path`` and the working
        directory are the program's while it runs, and what they were before afterwards.

        Args:
            path: of the file, as the worker sees it; a relative one counts from the program's working directory.
            args: what follows the path in ``sys.argv``.
            cwd: the program's working directory, None for the worker's.
            namespace: ``current`` for the one all clients share, ``fresh`` for one that goes with the program.
            reload: import modules of the user's anew before it runs, if their files have changed since; so that all
                fits together, with those that import from them. What they are is told on stderr. If one cannot be
                imported, the program is not run, and all stay as they were. Objects of old classes stay what they are.
            stop_on_error: if the program fails, abort what this session queued behind it.

        Returns:
            The execution; its value is None.

        Raises:
            RequestError: an argument is wrong; that there is no such file is an error of the execution.
        """
        file = os.fspath(path) if isinstance(path, os.PathLike) else path
        program = Program(file, tuple(args), cwd, namespace, reload)
        return await self._submit(f"# run {shlex.join([file, *args])}", stop_on_error, Lane.MAIN, None, program)

    async def execute(self, code: str, *, timeout: float | None = None, stop_on_error: bool = True) -> Execution:
        """Run code and wait for its end.

        Args:
            code: the source, up to 4,194,304 characters.
            timeout: in seconds; None waits as long as it takes.
            stop_on_error: if this code fails, abort what this session queued behind it.

        Returns:
            The finished execution; its `value` is that of the last expression.

        Raises:
            ExecutionError: the code raised.
            TimeoutError: it goes on; use `submit` to keep hold of it, or `interrupt`.
            KernelDied: the worker died.
            BadCode: it is too long, or has characters no encoding can carry.
            ConnectionLost: the connection is gone; the code may go on.
        """
        _require_code(code)
        begun = time.monotonic()
        execution = Execution(self, 0, keep_output=self._settings.keep_output)
        most_s = WAIT_S + MARGIN_S
        within_s = math.inf if timeout is None else timeout
        limit_s = min(within_s, most_s)
        named = self._name_submission()
        try:
            cursor, events = await self._commands.call(
                commands.RUN, code, stop_on_error, WAIT_S, *named, timeout_s=limit_s, within_s=within_s
            )
        except CallTimeout:
            if limit_s == most_s:
                raise
            raise NotDone(f"not done within {limit_s:g} s; it goes on") from None
        self._known = cursor
        execution._take(events, cursor)
        if execution._end is None:
            await execution._wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - begun)))
        await execution._raise_failure()
        return execution

    async def execution(self, number: int) -> Execution:
        """Take up an execution submitted earlier, by this session or another.

        Args:
            number: the execution's.

        Returns:
            The execution, with everything it has done so far.

        Raises:
            NoSuchExecution: there never was one of this number.
        """
        first = await self._commands.call(commands.FIND, number)
        execution = Execution(self, number, cursor=first - 1, keep_output=self._settings.keep_output)
        await execution._catch_up()
        return execution

    async def enqueue(self, code: str, *, stop_on_error: bool = True) -> int:
        """Queue code and return the number of its execution, for those who follow `events` themselves.

        Args:
            code: as `submit`.
            stop_on_error: as `submit`.

        Returns:
            The number of the execution.

        Raises:
            BadCode: and the others that `submit` raises.
        """
        _require_code(code)
        return await self._commands.call(
            commands.EXECUTE, code, stop_on_error, Lane.MAIN, None, None, True, *self._name_submission()
        )

    async def eval(self, expression: str, *, timeout: float | None = None) -> Any:
        """Evaluate an expression at once, beside the queue.

        Args:
            expression: in the namespace.
            timeout: in seconds, None for the client's own; what takes longer belongs into the queue.

        Returns:
            The value, if it is immutable and plain, else a netref of it.

        Raises:
            BadCode: it has characters no encoding can carry.
            WorkerBusy: no answer came in time; the evaluation may go on.
            Exception: whatever the expression raises.
        """
        _require_code(expression)
        return await self._live.ask(None, "eval", expression, timeout_s=timeout)

    async def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a live object in the worker's main thread, in turn with executions, and wait for its end.

        Args:
            function: a netref of a callable.
            *args: its arguments; plain values are copied, all else goes as a reference.
            **kwargs: likewise.

        Returns:
            What it returns: by value where plain, else a netref.

        Raises:
            RequestError: the function is one of this process.
            ExecutionError: it raised.
        """
        return await (await self.submit_call(function, *args, **kwargs)).result()

    async def fetch_value(self, execution: int, timeout: float | None = None) -> Any:
        """Fetch the value of an execution's last expression from the worker.

        Args:
            execution: its number.
            timeout: in seconds, None for the client's own.

        Returns:
            The value, if it is immutable and plain, else a netref of it.

        Raises:
            NotAvailable: there was none, or the worker no longer holds it.
            WorkerBusy: no answer came in time.
        """
        return await self._live.ask(None, "value", execution, timeout_s=timeout)

    async def submit_call(self, function: Any, *args: Any, **kwargs: Any) -> Execution:
        """Queue the call of a live object for the worker's main thread and return at once.

        Args:
            function: a netref of a callable.
            *args: its arguments; plain values are copied, all else goes as a reference.
            **kwargs: likewise.

        Returns:
            The execution. Its result is that of the call: by value where plain, else a netref.

        Raises:
            RequestError: the function is one of this process.
        """
        from rpyc_kernel.wire.netrefs.classic import require_remote

        require_remote(function)
        token = await self._live.ask(None, "stage", function, args, tuple(kwargs.items()))
        return await self._submit(f"# call of {function!r}"[:200], True, Lane.MAIN, token)

    async def _submit(
        self, code: str, stop_on_error: bool, lane: str, call: str | None, source: Source | None = None
    ) -> Execution:
        _require_code(code)
        source_text = freeze(describe_source(source))
        named = self._name_submission()
        number = await self._commands.call(commands.EXECUTE, code, stop_on_error, lane, call, source_text, True, *named)
        return Execution(self, number, cursor=named[1], keep_output=self._settings.keep_output)

    def _name_submission(self) -> tuple[str, int]:
        """What says of a submission that is asked for twice that it is the same one, and where it can be found."""
        return (f"{self._submissions}-{next(self._count)}", self._known)

    async def push(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float | None = 60.0,
        progress: Callable[[int, int], None] | None = None,
        **more: Any,
    ) -> None:
        """Immediate. Set variables of the namespace to copies of values, all at once.

        Args:
            values: by name; whatever can be pickled. Arrays, bytes and plain tables go at the speed of memory.
            timeout: for how many seconds the kernel may take nothing, or not answer.
            progress: called with the bytes that are through, and all there are.
            **more: further values, where no name is one of these parameters'.

        Raises:
            RequestError: a value cannot be pickled, or cannot be rebuilt in the worker.
            CallTimeout: nothing moved for ``timeout`` seconds.
            ConnectionLost: the worker is gone; what variables hold is unchanged.
        """
        await self._bulk.push({**(values or {}), **more}, timeout, progress)

    async def pull(
        self,
        expression: str,
        *,
        timeout: float | None = 60.0,
        progress: Callable[[int, int], None] | None = None,
        allow_pickle: bool = False,
        max_bytes: int | None = None,
    ) -> Any:
        """Immediate. Evaluate an expression, beside the queue, and return a copy of its value.

        Numbers, text, bytes, arrays, plain tables, and containers of these come as plain data; a table is a
        `pandas.DataFrame`, or where there is no pandas a dict of its columns. The expression can be a slice:
        ``pull("a[1000:2000, :5]")``.

        Args:
            expression: in the namespace.
            timeout: for how many seconds nothing may come.
            progress: called with the bytes that are through, and all there are.
            allow_pickle: take other values as a pickle. To open it runs code that the kernel chooses.
            max_bytes: refuse what is larger.

        Returns:
            The copy, which belongs to this process.

        Raises:
            NotPlain: the value needs ``allow_pickle``.
            ExecutionError: the expression raised.
            RequestError: the value cannot be pickled, is too large, or needs a library that is not here.
            CallTimeout: nothing came for ``timeout`` seconds.
            ConnectionLost: the worker is gone.
        """
        return await self._bulk.pull(expression, timeout, progress, allow_pickle=allow_pickle, max_bytes=max_bytes)

    async def acknowledge(self, seq: int) -> None:
        """Have the kernel remember how far this session has seen its events.

        Args:
            seq: the number of the last event seen.
        """
        await self._commands.call(commands.ACKNOWLEDGE, seq)

    async def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """Find inputs of the past, of all sessions and generations.

        Args:
            pattern: a text that their source contains; "" for all.
            limit: how many at most, the newest, up to 100,000.

        Returns:
            The inputs, oldest first.
        """
        return [Past(*found) for found in await self._commands.call(commands.HISTORY, pattern, limit)]

    async def _follow(
        self, execution: int, cursor: int, wait_s: float, limit_s: float | None = None, within_s: float | None = None
    ) -> tuple[int, list[Event]]:
        answer = await self._commands.call(
            commands.FOLLOW, execution, cursor, wait_s, timeout_s=limit_s, within_s=within_s
        )
        self._known = max(self._known, answer[0])
        return answer

    async def _find_stack(self, generation: int) -> str:
        try:
            return await self.last_stack() if (await self.status())["generation"] <= generation + 1 else ""
        except KernelError:
            return ""

    async def interrupt(
        self, execution: int | None = None, *, force: str = Force.SIGNAL, wait: float = 3.0
    ) -> Interruption:
        """Interrupt one execution, or whatever runs, and see whether it stops.

        Args:
            execution: its number; it is interrupted only if it is the one that runs. None: what runs on the main lane.
            force: ``signal``; ``exception`` where user code has taken SIGINT over; ``terminate`` ends the worker.
            wait: for how many seconds to wait for it to stop; 0 returns at once with ``unanswered``.

        Returns:
            What came of it, which is true if the execution stopped.

        Raises:
            NoSuchExecution: there never was one of this number.
            RequestError: there is no such force.
        """
        last = (await self._commands.hello())["last"]
        try:
            number = await self._commands.call(commands.INTERRUPT, execution, force)
        except NotRunning:
            return Interruption("not-running", execution)
        with contextlib.suppress(ConnectionFailed):
            if wait and await self._sees_end(number, last, wait):
                return Interruption("stopped", number)
        stack = ""
        if wait:
            with contextlib.suppress(WorkerBusy, KernelDied):
                stack = await self.stack()
        return Interruption("unanswered", number, stack)

    async def _sees_end(self, number: int, cursor: int, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        stream = EventStream(self._commands, cursor, execution=number)
        while (left := (deadline - time.monotonic())) > 0:
            events = await stream.read(left, is_eager=False, margin_s=_ANSWER_S)
            if any(event.kind == Kind.FINISHED for event in events):
                return True
        return False

    async def cancel(self, execution: int) -> None:
        """Take a queued execution out of the queue.

        Args:
            execution: its number.

        Raises:
            NotQueued: it runs or has finished.
            NoSuchExecution: there never was one of this number.
        """
        await self._commands.call(commands.CANCEL, execution)

    async def approve(self, execution: int) -> None:
        """Let an execution go that somebody handed in who asks first.

        It takes its place in the queue: before all that was submitted later and still waits.

        Args:
            execution: its number.

        Raises:
            NotAsked: it waits for nobody's approval, or no longer.
            NoSuchExecution: there never was one of this number.
            NotPermitted: this client asks first itself, or only looks on.
        """
        await self._commands.call(commands.APPROVE, execution)

    async def decline(self, execution: int, reason: str = "") -> None:
        """Have an execution that waits for approval end as cancelled.

        Args:
            execution: its number.
            reason: what whoever asked is told; its first thousand characters.

        Raises:
            NotAsked: it waits for nobody's approval, or no longer.
            NoSuchExecution: there never was one of this number.
            NotPermitted: this client asks first itself, or only looks on.
        """
        await self._commands.call(commands.DECLINE, execution, reason)

    async def restart(self, *, timeout: float = 60.0) -> int:
        """Replace the worker and its namespace, and wait until the new one is ready.

        Returns:
            The number of the new generation.

        Raises:
            KernelDied: no worker could be started.
            CallTimeout: it was not ready in time.
        """
        deadline = time.monotonic() + timeout
        stream = EventStream(self._commands, (await self._call(timeout, commands.HELLO))["last"])
        generation = await self._call(timeout, commands.RESTART)
        reason = ""
        while (left := (deadline - time.monotonic())) > 0:
            status = await self.status(timeout=left)
            if status["generation"] >= generation:
                if status["state"] in (State.IDLE, State.BUSY):
                    return generation
                if status["state"] == State.DEAD and reason:
                    raise KernelDied(f"generation {generation} did not start: {reason}", reason, generation)
            events = await stream.read(left, margin_s=_ANSWER_S)
            reason = next((e.reason for e in reversed(events) if e.kind == Kind.WORKER_DIED), reason)
        raise CallTimeout(f"generation {generation} was not ready within {timeout:g} s")

    async def shutdown(self, *, timeout: float = 10.0) -> None:
        """End the kernel, worker and hub, and close this client when they are gone.

        Raises:
            CallTimeout: they are not gone yet; this client is closed all the same.
        """
        await self._call(timeout, commands.SHUTDOWN)
        is_over = await self._commands.wait_until_closed(timeout)
        await self.close()
        if not is_over:
            raise CallTimeout(
                f"kernel {self.name!r} was told to end, but has not within {timeout:g} s; 'rpyc-kernel status {self.name}' shows its processes"
            )

    async def wait_until_closed(self, timeout: float) -> bool:
        """Wait until the hub has ended the connection, the last thing it does when the kernel stops.

        Returns:
            Whether it has.
        """
        return await self._commands.wait_until_closed(timeout)

    async def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return what the kernel is doing; always answers, unless its hub cannot.

        Args:
            timeout: in seconds, None for the client's own.

        Returns:
            Among others `state`, `generation`, `hub_pid`, `worker_pid`, `memory_bytes` (of the worker, about a second
            old), `busy_since` (seconds since the epoch), `running`, `queue` (the first 100, see `queue`),
            `queue_length`, `side`, `prompts` and `sessions`; ``docs/reference/status.md`` has all of them.

        Raises:
            CallTimeout: no answer came in time.
        """
        return await self._call(timeout, commands.STATUS)

    async def queue(self, *, after: int = 0, count: int | None = None) -> list[dict[str, Any]]:
        """List what waits for its turn.

        Args:
            after: leave out the executions up to this number.
            count: how many at most, None for all.

        Returns:
            The executions in order, each with `execution`, `session`, `name`, `count` and the beginning of its `code`.
        """
        found: list[dict[str, Any]] = []
        while count is None or len(found) < count:
            wanted = _QUEUE_PAGE if count is None else min(_QUEUE_PAGE, count - len(found))
            page = await self._commands.call(
                commands.QUEUE, after, wanted, read=partial(answers.read_queue, after=after)
            )
            found += page
            if len(page) < wanted:
                break
            after = page[-1]["execution"]
        return found

    async def is_queued(self, execution: int) -> bool:
        """Whether an execution waits for its turn.

        Args:
            execution: its number.
        """
        return any(item["execution"] == execution for item in await self.queue(after=execution - 1, count=1))

    async def sessions(self) -> list[dict[str, Any]]:
        """List who takes part.

        Returns:
            The sessions, those present first, each with `id`, `name`, `role`, `connections`, `viewers`, what it is
            `doing` with which `execution`, and its `channels`: from where and since when it is connected, and for what;
            ``docs/reference/status.md`` has all of it.
        """
        found: list[dict[str, Any]] = (await self.status())["sessions"]
        return found

    async def stack(self, *, timeout: float = 2.0) -> str:
        """Return every thread's stack in the worker, also while a C call holds the interpreter lock.

        Returns:
            The stacks as text, the innermost call of each first.

        Raises:
            WorkerBusy: none came in time.
        """
        return await self._commands.call(commands.STACK, timeout, timeout_s=timeout + _ANSWER_S)

    async def answer_input(self, text: str | None, execution: int | None = None, *, is_refused: bool = False) -> None:
        """Answer a question of user code.

        Args:
            text: the answer, without a line end; None is end-of-file.
            execution: which one asks; None is the only one that does, or the first.
            is_refused: with None, say that nobody can be asked here, as a notebook that is run by a program does.

        Raises:
            NotAsked: nobody waits for an answer.
        """
        await self._commands.call(commands.ANSWER_INPUT, text, execution, is_refused)

    async def _call(self, timeout_s: float | None, command: Command[_T]) -> _T:
        """Ask the hub, within the client's limit and this one."""
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        return await self._commands.call(command, timeout_s=limit_s)
