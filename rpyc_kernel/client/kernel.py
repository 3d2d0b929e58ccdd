"""A connected client of one kernel: the object that programs hold."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import math
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rpyc_kernel.client import answers
from rpyc_kernel.client.address import Address
from rpyc_kernel.client.admission import Admission
from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.bulk import Bulk
from rpyc_kernel.client.events import MARGIN_S, WAIT_S, EventStream, Watch
from rpyc_kernel.client.execution import Execution, Interruption
from rpyc_kernel.client.hub_connection import HubConnection, KeptCall
from rpyc_kernel.client.introspection import Introspection
from rpyc_kernel.client.live_objects import LiveObjects
from rpyc_kernel.client.namespace import Namespace
from rpyc_kernel.client.notifier import Notifier
from rpyc_kernel.client.returning import CLOSED, Attempts, come_back
from rpyc_kernel.client.watching import Watching, refuse_malformed
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Event, Force, Kind, Lane, Space, State, freeze
from rpyc_kernel.core.seconds import LONGEST_S
from rpyc_kernel.core.source import Origin, Program, Source, describe_source
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import (
    BadCode,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    KernelDied,
    KernelError,
    NoSuchKernel,
    NotRunning,
    WorkerBusy,
)
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import KEEP_OUTPUT, RECONNECT_S, ClientSettings
from rpyc_kernel.system.futures import Latch, NotDone
from rpyc_kernel.system.originals import socket
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.handshake import Identity

if TYPE_CHECKING:  # each of these takes as long to load as all the rest, and is loaded when it is first used
    from rpyc_kernel.client.debugger import Debugger
    from rpyc_kernel.client.lazy import Evaluator, LazyNames
    from rpyc_kernel.core.introspection import Watched
    from rpyc_kernel.wire.debug_adapter import DebugChannel
    from rpyc_kernel.wire.netrefs.classic import WorkerConnection

_T = TypeVar("_T")
_DEBUGGER_START_S = 30.0
_QUEUE_PAGE = 1000
_ANSWER_S = 2.0
"""How much longer than the hub was told to wait its answer may take."""


class Past(Frozen):
    """One input of the past.

    Attributes:
        seq: the number of the event.
        execution: the number of the execution.
        time: seconds since the epoch.
        name: who submitted it.
        code: the source.

    Example:
        >>> run = kernel.execute("answer = 6 * 7")
        >>> past = kernel.history("answer = 6")[-1]
        >>> past.execution == run.id, past.code
        (True, 'answer = 6 * 7')
    """

    seq: int
    execution: int
    time: float
    name: str
    code: str


@check_methods
class KernelClient(Introspection, Admission):
    """A client of a kernel. Leaving it, by `close` or ``with``, leaves the kernel running.

    Who calls also reads the answer. Ctrl-C at any moment leaves the connection usable. Every call waits at most
    ``timeout`` seconds, or what it says itself. A connection that is lost is made again while something is awaited of
    it, for at most ``reconnect`` seconds: executions and events go on where they were. What must not be asked twice,
    such as `interrupt`, raises `ConnectionLost` where its answer is lost. So does everything when the kernel has
    stopped, or is not reached in that time. What the connection's role does not allow raises `NotPermitted`. There is
    a thread only for what is to go on by itself: while a connection is made again, once somebody is to be called back,
    and for live objects.

    Args:
        address: where the hub is.
        session: the session to continue, None for a new one.
        name: how to be shown to others.
        role: ``owner``, ``editor``, ``asker`` or ``viewer``, None for the most that the key gives.
        joins: False only looks: nobody is told of this client, and no session is shown as present.
        timeout: in seconds.
        silence: for how many seconds the kernel's hub may be silent while something is awaited of it, before the
            connection counts as lost.
        keep_output: how much of what an execution prints and shows it keeps in memory, in characters. The rest is read
            again from the kernel's journal when it is asked for.
        reconnect: for how many seconds a lost connection is made again, as the same session; 0 for not at all.
        on_loss: called with what there is to say when the connection is lost, and with "" when it is there again, on
            another thread.

    Attributes:
        name: the kernel's name.
        last_seen: the number of the last event that an earlier client of this session acknowledged, None without one.
        came_first: whether no other client had this session when this one joined.

    Example:
        >>> with rpyc_kernel.connect("demo") as client:
        ...     client.execute("6 * 7").value
        42
    """

    def __init__(
        self,
        address: Address,
        *,
        session: str | None = None,
        name: str | None = None,
        role: str | None = None,
        joins: bool = True,
        timeout: float = 10.0,
        silence: float = 20.0,
        keep_output: int = KEEP_OUTPUT,
        reconnect: float = RECONNECT_S,
        on_loss: Callable[[str], None] | None = None,
    ) -> None:
        self._address = address
        self._timeout_s = timeout = min(timeout, LONGEST_S)
        self._settings = ClientSettings(timeout, min(silence, LONGEST_S), keep_output, min(reconnect, LONGEST_S))
        self._readers: set[HubConnection] = set()
        self._closing = Latch()
        self._on_loss = on_loss
        self._submissions, self._count = os.urandom(6).hex(), itertools.count(1)
        identity = Identity(session or "", name or "", role or "", socket.gethostname())
        # Both serve all calls; who joins is told to everybody.
        channel = handshake.COMMANDS if joins else handshake.EVENTS
        self._commands = HubConnection(address, channel, identity, self._settings, on_loss)
        try:
            self._identity = self._commands.identity
            hello = self._commands.hello()
            self.name: str = hello["kernel"]
            if address.name not in ("", self.name):
                raise NoSuchKernel(f"the kernel at {address.shown} is called {self.name!r}, and not {address.name!r}")
            self.last_seen: int | None = hello["cursor"]
            self.came_first: bool = hello["came_first"]
            returns = partial(getattr, self._commands, "returns")
            self._live = LiveObjects(self._enter, self._settings, partial(self._commands.start, timeout_s=0), returns)
            self._bulk = Bulk(self._enter, lambda: self._commands.hub_pid, timeout, returns)
            self._notifier = Notifier(self._open_notices)
            self._known = hello["last"]  # events up to here were there before what is submitted from now on
        except BaseException:
            self._commands.close()
            raise

    def __enter__(self) -> KernelClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "connected"
        return f"<KernelClient of {self._address.shown}, session {self.session} ({state})>"

    # ------------------------------------------------------------------ who

    @property
    def session(self) -> str:
        """The id of this session; give it to `connect` to continue the session.

        Example:
            >>> with rpyc_kernel.connect("demo", session=kernel.session) as same:
            ...     same.session == kernel.session
            True
        """
        return self._identity.session

    @property
    def client_name(self) -> str:
        """The name by which others see this session.

        Example:
            >>> with rpyc_kernel.connect("demo", name="alice") as client:
            ...     client.client_name
            'alice'
        """
        return self._identity.name

    @property
    def role(self) -> str:
        """What this client may do: ``owner``, ``editor`` or ``viewer``.

        Example:
            >>> with rpyc_kernel.connect("demo", role="viewer") as client:
            ...     client.role
            'viewer'
        """
        return self._identity.role

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, or lost for good.

        Example:
            >>> client = rpyc_kernel.connect("demo")
            >>> client.close()
            >>> client.is_closed
            True
        """
        return self._commands.is_closed

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; one that is lost is made again when something is awaited of it.

        Example:
            >>> kernel.is_connected
            True
        """
        return self._commands.is_connected

    def fileno(self) -> int:
        """The descriptor that can be read when an answer has come, for loops that wait for several things.

        Example:
            >>> kernel.fileno() >= 0
            True
        """
        return self._commands.fileno()

    @property
    def last_stack(self) -> str:
        """The last Python stack of the last worker that died, "" if none could be had.

        Example:
            >>> isinstance(kernel.last_stack, str)
            True
        """
        return self._commands.call(commands.LAST_STACK)

    @property
    def rank(self) -> int | None:
        """Which rank of a job of ``mpirun``, ``srun`` or ``torchrun`` the worker is, from 0; None if it is none.

        `status` has it, too, with how many there are as `world_size`.

        Example:
            >>> kernel.rank is None
            True
        """
        status = self.status()
        if not status["python"]:
            self.python()  # which waits for the first worker: it says so when it is there
            status = self.status()
        rank: int | None = status.get("rank")
        return rank

    # ------------------------------------------------------------------ running code

    def submit(
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

        Example:
            >>> job = kernel.submit("print('begun'); 6 * 7")
            >>> job.result(timeout=30), job.stdout.strip()
            (42, 'begun')
        """
        origin = None if file is None else Origin(file, first_line)
        return self._submit(code, stop_on_error, lane, None, origin)

    def run_file(
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

        Example:
            >>> import tempfile
            >>> with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            ...     written = file.write("import sys; print('hello', *sys.argv[1:])")
            ...     file.flush()
            ...     run = kernel.run_file(file.name, ["world"], namespace="fresh")
            ...     run.result(timeout=30)
            >>> run.stdout.strip()
            'hello world'
        """
        file = os.fspath(path) if isinstance(path, os.PathLike) else path
        program = Program(file, tuple(args), cwd, namespace, reload)
        return self._submit(f"# run {shlex.join([file, *args])}", stop_on_error, Lane.MAIN, None, program)

    def execute(self, code: str, *, timeout: float | None = None, stop_on_error: bool = True) -> Execution:
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

        Example:
            >>> run = kernel.execute("print('hello'); 6 * 7")
            >>> run.stdout.strip(), run.value
            ('hello', 42)
        """
        _require_code(code)
        begun = time.monotonic()
        execution = Execution(self, 0, keep_output=self._settings.keep_output)
        most_s = WAIT_S + MARGIN_S
        within_s = math.inf if timeout is None else timeout
        limit_s = min(within_s, most_s)
        named = self._name_submission()
        try:
            cursor, events = self._commands.call(
                commands.RUN, code, stop_on_error, WAIT_S, *named, timeout_s=limit_s, within_s=within_s
            )
        except CallTimeout:
            if limit_s == most_s:
                raise
            raise NotDone(f"not done within {limit_s:g} s; it goes on") from None
        self._known = cursor
        execution._take(events, cursor)
        if execution._end is None:
            execution._wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - begun)))
        execution._raise_failure()
        return execution

    def execution(self, number: int) -> Execution:
        """Take up an execution submitted earlier, by this session or another.

        Args:
            number: the execution's.

        Returns:
            The execution, with everything it has done so far.

        Raises:
            NoSuchExecution: there never was one of this number.

        Example:
            >>> number = kernel.enqueue("print('from afar')")
            >>> run = kernel.execution(number)
            >>> run.result(timeout=30)
            >>> run.stdout.strip()
            'from afar'
        """
        first = self._commands.call(commands.FIND, number)
        execution = Execution(self, number, cursor=first - 1, keep_output=self._settings.keep_output)
        execution._catch_up()
        return execution

    def enqueue(self, code: str, *, stop_on_error: bool = True) -> int:
        """Queue code and return the number of its execution, for those who follow `events` themselves.

        Args:
            code: as `submit`.
            stop_on_error: as `submit`.

        Returns:
            The number of the execution.

        Raises:
            BadCode: and the others that `submit` raises.

        Example:
            >>> number = kernel.enqueue("'done'")
            >>> [event.kind for event in kernel.events(execution=number)]
            ['queued', 'started', 'result', 'finished']
        """
        _require_code(code)
        return self._commands.call(
            commands.EXECUTE, code, stop_on_error, Lane.MAIN, None, None, True, *self._name_submission()
        )

    def hand_in(
        self,
        code: str,
        *,
        stop_on_error: bool = True,
        lane: str = Lane.MAIN,
        call: str | None = None,
        file: str | None = None,
        is_input: bool = True,
    ) -> KeptCall:
        """Queue code without waiting for its number, which the future has; else like `enqueue`.

        The answer is there when somebody reads: whoever waits for it, or for another one, or asks `is_closed` when
        `fileno` can be read.

        Args:
            code: the source, or what to show of a call.
            stop_on_error: as `submit`.
            lane: as `submit`.
            call: what the worker is to call instead.
            file: as `submit`.
            is_input: whether a person would call it an input, which is counted.

        Returns:
            A future of the number of the execution. Where the connection is lost before that has come, it is asked for
            again until `ask_no_more`, and the code is queued once.

        Example:
            >>> number = kernel.hand_in("1 + 1").result(timeout=30)
            >>> kernel.execution(number).result(timeout=30)
            2
        """
        _require_code(code)
        source = None if file is None else freeze(describe_source(Origin(file)))
        named = self._name_submission()
        return self._commands.start(commands.EXECUTE, code, stop_on_error, lane, call, source, is_input, *named)

    def begin(self, command: Command[_T], *arguments: Any) -> KeptCall:
        """Give a command of the table without waiting for its answer, for loops that wait for several things.

        The answer is there when somebody reads: whoever waits for it, or for another one, or calls `read_ready` when
        `fileno` can be read. Callbacks of the future run there, and must not wait for this client.

        Args:
            command: one of `rpyc_kernel.core.commands`.
            *arguments: what it takes, as it crosses the wire; those left out at the end are its defaults.

        Returns:
            A future of the answer as it came, of which `rpyc_kernel.client.answers.reader_of` makes what clients get.
            Code without a token is given one, so that it is queued once, whatever becomes of the connection.

        Raises:
            RequestError: an argument is nothing that crosses by value.
            ConnectionFailed: the command could not be sent.

        Example:
            >>> from rpyc_kernel.core import commands
            >>> kernel.begin(commands.CWD).result(timeout=30) != ""
            True
        """
        names = [each.name for each in command.parameters]
        if "token" in names:
            place = names.index("token")
            filled = [*arguments, *(each.default for each in command.parameters[len(arguments) :])]
            if not filled[place]:
                arguments = (*filled[:place], *self._name_submission())
        return self._commands.start(command, *arguments)

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """Complete the calls that were begun and whose answers have come; never waits.

        Args:
            waited_s: for how long the loop has waited for them in vain.

        Returns:
            Whether there is a connection.

        Example:
            >>> kernel.read_ready()
            True
        """
        return self._commands.read_ready(waited_s)

    def eval(self, expression: str, *, timeout: float | None = None) -> Any:
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

        Example:
            >>> kernel.eval("6 * 7")
            42
        """
        _require_code(expression)
        return self._live.ask(None, "eval", expression, timeout_s=timeout)

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
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

        Example:
            >>> kernel.call(kernel.objects.builtins.divmod, 17, 5)
            (3, 2)
        """
        return self.submit_call(function, *args, **kwargs).result()

    def fetch_value(self, execution: int, timeout: float | None = None) -> Any:
        """Fetch the value of an execution's last expression from the worker.

        Args:
            execution: its number.
            timeout: in seconds, None for the client's own.

        Returns:
            The value, if it is immutable and plain, else a netref of it.

        Raises:
            NotAvailable: there was none, or the worker no longer holds it.
            WorkerBusy: no answer came in time.

        Example:
            >>> run = kernel.execute("[1, 2, 3]")
            >>> kernel.fetch_value(run.id)
            [1, 2, 3]
        """
        return self._live.ask(None, "value", execution, timeout_s=timeout)

    def submit_call(self, function: Any, *args: Any, **kwargs: Any) -> Execution:
        """Queue the call of a live object for the worker's main thread and return at once.

        Args:
            function: a netref of a callable.
            *args: its arguments; plain values are copied, all else goes as a reference.
            **kwargs: likewise.

        Returns:
            The execution. Its result is that of the call: by value where plain, else a netref.

        Raises:
            RequestError: the function is one of this process.

        Example:
            >>> kernel.submit_call(kernel.objects.builtins.divmod, 17, 5).result(timeout=30)
            (3, 2)
        """
        from rpyc_kernel.wire.netrefs.classic import require_remote

        require_remote(function)
        token = self._live.ask(None, "stage", function, args, tuple(kwargs.items()))
        return self._submit(f"# call of {function!r}"[:200], True, Lane.MAIN, token)

    def call_beside(self, function: Any, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Call a live object beside the queue, in the thread of this client's objects connection; return at once.

        Args:
            function: a netref of a callable.
            *args: its arguments; plain values are copied, all else goes as a reference.
            **kwargs: likewise.

        Returns:
            A future of the result, which can also be awaited. Cancelling it drops the result; the call itself goes on.

        Raises:
            RequestError: it is no live object.
            ConnectionLost: the worker it belongs to is gone.

        Example:
            >>> kernel.call_beside(kernel.objects.builtins.divmod, 17, 5).result(timeout=30)
            (3, 2)
        """
        from rpyc_kernel.wire.netrefs.classic import begin_call

        return begin_call(function, *args, **kwargs)

    def _submit(
        self, code: str, stop_on_error: bool, lane: str, call: str | None, source: Source | None = None
    ) -> Execution:
        _require_code(code)
        source_text = freeze(describe_source(source))
        named = self._name_submission()
        number = self._commands.call(commands.EXECUTE, code, stop_on_error, lane, call, source_text, True, *named)
        return Execution(self, number, cursor=named[1], keep_output=self._settings.keep_output)

    def _name_submission(self) -> tuple[str, int]:
        """What says of a submission that is asked for twice that it is the same one, and where it can be found."""
        return f"{self._submissions}-{next(self._count)}", self._known

    # ------------------------------------------------------------------ live objects

    @property
    def objects(self) -> WorkerConnection:
        """The RPyC connection to the worker, made when first used and again after it broke.

        What is asked through it takes as long as it takes, for the objects are the user's; see `rpyc.timed` for a
        limit. Where neither worker nor hub give a sign of life, it is given up like any other connection.

        Example:
            >>> kernel.objects.modules.math.factorial(5)
            120
        """
        return self._live.connect()

    @property
    def namespace(self) -> Namespace:
        """The namespace as a mapping of live objects.

        Example:
            >>> kernel.namespace["answer"] = 42
            >>> kernel.namespace.answer
            42
        """
        return Namespace(self._live.ask)

    @property
    def lazy(self) -> LazyNames:
        """The names of the namespace, and the builtins, as lazy values: a chain of steps takes one round trip.

        What is done to them is recorded; ``get()``, ``netref()`` and ``pull()`` have it done, at once and beside the
        queue, and give a value, a live object or a copy. See `Lazy`.

        Example:
            >>> kernel.push(words=["one", "two", "three"])
            >>> kernel.lazy.words[2].upper().replace("E", "3").get()
            'THR33'
        """
        from rpyc_kernel.client.lazy import LazyNames

        return LazyNames(self._evaluator)

    @property
    def _evaluator(self) -> Evaluator:
        from rpyc_kernel.client.lazy_evaluator import LiveEvaluator

        # The same one for all threads, also those that are the first at once: chains of two do not mix.
        made: Evaluator = vars(self).setdefault("_made_evaluator", LiveEvaluator(self._live.ask, self._bulk))
        return made

    def debugger(self) -> Debugger:
        r"""Open the worker's debugger: breakpoints by file and line, code run up to them, stacks, values and steps.

        There is one at a time. It stops in files, in inputs, and in code that was submitted with a file name.

        Returns:
            The debugger; `with` closes it, and what is stopped goes on.

        Raises:
            RequestError: the kernel's Python has no debugpy, or somebody debugs already.
            ConnectionLost: the worker is gone.

        Example:
            >>> run = kernel.execute("def double(number):\n    return 2 * number")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("double(4)")
            ...     debugger.evaluate("number").value
            '4'
        """
        from rpyc_kernel.client.debugger import Debugger

        return Debugger(self, self.open_debugger())

    def open_debugger(self) -> DebugChannel:
        """Open the worker's debugger as a channel of the Debug Adapter Protocol; `debugger` has methods for it.

        It stops in code that was submitted with a file name. Closing it lets everything run on. `status` has as
        ``debugger`` what the paths of the sources begin with that it keeps by ``dumpCell``, "" where it has no debugpy.

        Returns:
            The channel: `send` and `receive` take and give messages as dicts.

        Raises:
            RequestError: there is no debugpy, or somebody debugs already.
            ConnectionLost: the worker is gone.

        Example:
            >>> debugger = kernel.open_debugger()
            >>> debugger.send({"type": "request", "seq": 1, "command": "initialize", "arguments": {"adapterID": ""}})
            >>> debugger.receive()["type"] in ("event", "response")
            True
            >>> debugger.close()
        """
        from rpyc_kernel.wire.debug_adapter import DebugChannel

        channel = DebugChannel(self._enter(handshake.DEBUGGER, self._timeout_s))
        try:
            channel.wait_until_ready(_DEBUGGER_START_S)
        except BaseException:
            channel.close()
            raise
        return channel

    # ------------------------------------------------------------------ copies of large values

    def push(
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

        Example:
            >>> kernel.push(weights=[0.5, 0.25], labels={"x": b"raw"})
            >>> kernel.eval("weights[1], labels['x']")
            (0.25, b'raw')
        """
        self._bulk.push({**(values or {}), **more}, timeout, progress)

    def pull(
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

        Example:
            >>> kernel.push(numbers=list(range(1000)))
            >>> kernel.pull("numbers[10:13]")
            [10, 11, 12]
        """
        return self._bulk.pull(expression, timeout, progress, allow_pickle=allow_pickle, max_bytes=max_bytes)

    # ------------------------------------------------------------------ events

    def events(self, since: int | None = 0, *, follow: bool = True, execution: int | None = None) -> Iterator[Event]:
        """Yield what happened and what happens, from a cursor.

        Args:
            since: the number of the last event already seen; 0 begins with the first event ever, None continues where
                this session left off, and remembers in the kernel how far it got.
            follow: go on as things happen, until the kernel stops; else end with what has happened by now.
            execution: only what belongs to the execution of this number, up to its end.

        Yields:
            The events, in the order of their numbers.

        Raises:
            NoSuchExecution: there never was an execution of this number.

        Example:
            >>> run = kernel.execute("print('to be kept')")
            >>> [event.kind for event in kernel.events(execution=run.id) if event.kind != "stream"]
            ['queued', 'started', 'finished']
        """
        acknowledge = since is None
        reader = self._open_events()
        self._readers.add(reader)
        try:
            cursor = int(reader.hello()["cursor"] or 0) if since is None else since
            if execution is None:
                stream = EventStream(reader, cursor, acknowledge=acknowledge)
            else:
                stream = EventStream.of_execution(reader, execution, cursor)
            for batch in stream.follow() if follow else stream.read_all():
                yield from batch
        finally:
            self._readers.discard(reader)
            reader.close()

    def watch(self, since: int, *, execution: int | None = None, on_loss: Callable[[str], None] | None = None) -> Watch:
        """Read events in a loop that waits for other things, too.

        Args:
            since: the number of the last event already seen.
            execution: only what belongs to the execution of this number, up to its end.
            on_loss: as of `connect`, for this watch.

        Returns:
            The watch, for whose `fileno` the loop waits, which changes when its connection is made again; it is to be
            closed.

        Raises:
            ConnectionFailed: the kernel cannot be reached.

        Example:
            >>> import select
            >>> last = kernel.status()["last"]
            >>> watch = kernel.watch(last)
            >>> run = kernel.execute("1")
            >>> len(select.select([watch], [], [], 30)[0])
            1
            >>> watch.read_ready()
            True
            >>> watch.take()[0].seq == last + 1
            True
            >>> watch.close()
        """
        connection = self._open_events(on_loss)
        try:
            return Watch(connection, since) if execution is None else Watch.of_execution(connection, execution, since)
        except BaseException:
            connection.close()
            raise

    def watch_expressions(self, expressions: Sequence[str], *, limit: float = 1.0) -> Iterator[list[Watched]]:
        """Yield what expressions are now, and again after executions that have changed them, whoever's these were.

        They are evaluated as by `evaluate`, once for all executions that have ended meanwhile. Nothing is yielded where
        nothing has changed. While the worker answers nothing they are asked for again. Another generation counts as a
        change; what `set_variable` and code that still runs do is seen with the end of the next execution.

        Args:
            expressions: of Python, up to 10,000.
            limit: as of `evaluate`.

        Yields:
            Type, preview and error of each, in order, until the kernel stops.

        Raises:
            NotPermitted: to viewers, and to who asks first.

        Example:
            >>> kernel.push(numbers=[3])
            >>> watching = kernel.watch_expressions(["len(numbers)", "numbers[1]"])
            >>> [watched.preview or watched.error for watched in next(watching)]
            ['1', 'IndexError: list index out of range']
            >>> run = kernel.execute("numbers.append(5)")
            >>> [watched.preview for watched in next(watching)]
            ['2', '5']
            >>> watching.close()
        """
        yield from self._watch(expressions, limit, Watching(expressions, limit))

    def wait(self, expression: str, *, timeout: float | None = None, limit: float = 1.0) -> Watched:
        """Wait until an expression is true, which is looked at now and after each execution, whoever's that is.

        One that raises, as its names are not there yet, is not true.

        Args:
            expression: of Python; evaluated as by `evaluate`.
            timeout: in seconds; None waits as long as it takes.
            limit: as of `evaluate`.

        Returns:
            What it is.

        Raises:
            TimeoutError: it is not true yet; the message says what it is.
            RequestError: it is no expression.
            NotPermitted: to viewers, and to who asks first.
            ConnectionLost: the kernel has stopped.

        Example:
            >>> run = kernel.submit("import time; time.sleep(0.1); is_ready = [1]")
            >>> kernel.wait("is_ready", timeout=30).preview
            '[1]'
        """
        watching = Watching([expression], limit, math.inf if timeout is None else timeout)
        for (watched,) in self._watch([expression], limit, watching):
            if watched.is_true:
                return watched
            refuse_malformed(watched)
        raise ConnectionLost(f"kernel {self.name!r} has stopped before {expression!r} was true")

    def _watch(self, expressions: Sequence[str], limit: float, watching: Watching) -> Iterator[list[Watched]]:
        stream = EventStream(self._commands, self._commands.hello()["last"])
        while not watching.has_ended:
            if watching.is_due:
                with contextlib.suppress(WorkerBusy, KernelDied):  # it is asked again
                    found = self.evaluate(expressions, limit=limit, timeout=watching.asking_s())
                    if watching.is_news(found):
                        yield found
            watching.take(stream.read(watching.waiting_s(), within_s=math.inf))

    def acknowledge(self, seq: int) -> None:
        """Have the kernel remember how far this session has seen its events.

        Args:
            seq: the number of the last event seen.

        Example:
            >>> kernel.acknowledge(2)
            >>> with rpyc_kernel.connect("demo", session=kernel.session) as same:
            ...     same.last_seen
            2
        """
        self._commands.call(commands.ACKNOWLEDGE, seq)

    def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """Find inputs of the past, of all sessions and generations.

        Args:
            pattern: a text that their source contains; "" for all.
            limit: how many at most, the newest, up to 100,000.

        Returns:
            The inputs, oldest first.

        Example:
            >>> run = kernel.execute("total = sum(range(4))")
            >>> kernel.history("sum(range", limit=1)[0].code
            'total = sum(range(4))'
        """
        return [Past(*found) for found in self._commands.call(commands.HISTORY, pattern, limit)]

    def _follow(
        self, execution: int, cursor: int, wait_s: float, limit_s: float | None = None, within_s: float | None = None
    ) -> tuple[int, list[Event]]:
        answer = self._commands.call(commands.FOLLOW, execution, cursor, wait_s, timeout_s=limit_s, within_s=within_s)
        self._known = max(self._known, answer[0])
        return answer

    def _read_execution(
        self, execution: int, since: int, *, waits: bool, limit_s: float | None = None
    ) -> Iterator[Event]:
        stream = EventStream(self._commands, since, execution=execution)
        for batch in stream.follow(limit_s) if waits else stream.read_all():
            yield from batch

    def _notify(self, execution: Execution) -> None:
        self._notifier.notify(execution)

    def _find_stack(self, generation: int) -> str:
        try:
            return self.last_stack if self.status()["generation"] <= generation + 1 else ""
        except KernelError:
            return ""

    def _open_notices(self) -> HubConnection:
        if self.is_closed:
            raise ConnectionLost(f"the connection to {self._address.shown} is gone; connect again")
        reader = self._open_events()
        reader.hello()  # no answer is read by who asks from here on
        return reader

    def _open_events(self, on_loss: Callable[[str], None] | None = None) -> HubConnection:
        def open_one(limit_s: float) -> HubConnection:
            return HubConnection(
                self._address,
                handshake.EVENTS,
                self._identity,
                self._settings,
                on_loss or self._on_loss,
                timeout_s=limit_s,
            )

        return self._try(open_one, self._timeout_s, math.inf)

    def _enter(self, channel: int, timeout_s: float) -> socket.socket:
        def enter(limit_s: float) -> socket.socket:
            return self._address.enter(channel, self._identity, limit_s, was_there=True)[0]

        return self._try(enter, timeout_s, timeout_s)

    def _try(self, enter: Callable[[float], _T], timeout_s: float, within_s: float) -> _T:
        """Make a further connection; where the kernel is out of reach, again and again until the time is over.

        Not where this process has no descriptor left: that is in its own hands, and nobody else mends it.
        """
        if not self._settings.reconnect_s:
            return enter(timeout_s)
        deadline = time.monotonic() + within_s
        attempts = Attempts(self._settings.reconnect_s)
        return come_back(
            enter, attempts, self._closing, timeout_s=timeout_s, deadline=deadline, told=_raise_own_shortage
        )

    # ------------------------------------------------------------------ stopping things

    def interrupt(self, execution: int | None = None, *, force: str = Force.SIGNAL, wait: float = 3.0) -> Interruption:
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

        Example:
            >>> run = kernel.submit("while True: pass")
            >>> started = next(event for event in run.events() if event.kind == "started")
            >>> kernel.interrupt(wait=30).status
            'stopped'
        """
        last = self._commands.hello()["last"]
        try:
            number = self._commands.call(commands.INTERRUPT, execution, force)
        except NotRunning:
            return Interruption("not-running", execution)
        with contextlib.suppress(ConnectionFailed):  # it is delivered, whether or not its effect can be watched
            if wait and self._sees_end(number, last, wait):
                return Interruption("stopped", number)
        stack = ""
        if wait:
            with contextlib.suppress(WorkerBusy, KernelDied):  # stopped by the system, or just gone
                stack = self.stack()
        return Interruption("unanswered", number, stack)

    def _sees_end(self, number: int, cursor: int, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        stream = EventStream(self._commands, cursor, execution=number)
        while (left := deadline - time.monotonic()) > 0:
            events = stream.read(left, is_eager=False, margin_s=_ANSWER_S)
            if any(event.kind == Kind.FINISHED for event in events):
                return True
        return False

    def cancel(self, execution: int) -> None:
        """Take a queued execution out of the queue.

        Args:
            execution: its number.

        Raises:
            NotQueued: it runs or has finished.
            NoSuchExecution: there never was one of this number.

        Example:
            >>> asking = kernel.submit("input()")
            >>> waiting = kernel.submit("1")
            >>> kernel.cancel(waiting.id)
            >>> waiting.exception(timeout=30).outcome
            'cancelled'
            >>> stopped = asking.interrupt()
        """
        self._commands.call(commands.CANCEL, execution)

    def approve(self, execution: int) -> None:
        """Let an execution go that somebody handed in who asks first.

        It takes its place in the queue: before all that was submitted later and still waits.

        Args:
            execution: its number.

        Raises:
            NotAsked: it waits for nobody's approval, or no longer.
            NoSuchExecution: there never was one of this number.
            NotPermitted: this client asks first itself, or only looks on.

        Example:
            >>> with rpyc_kernel.connect("demo", role="asker", name="agent") as agent:
            ...     asked = agent.submit("6 * 7")
            ...     status = asked.status
            ...     kernel.approve(asked.id)
            ...     status, asked.result(timeout=30)
            ('held', 42)
        """
        self._commands.call(commands.APPROVE, execution)

    def decline(self, execution: int, reason: str = "") -> None:
        """Have an execution that waits for approval end as cancelled.

        Args:
            execution: its number.
            reason: what whoever asked is told; its first thousand characters.

        Raises:
            NotAsked: it waits for nobody's approval, or no longer.
            NoSuchExecution: there never was one of this number.
            NotPermitted: this client asks first itself, or only looks on.

        Example:
            >>> with rpyc_kernel.connect("demo", role="asker", name="agent") as agent:
            ...     asked = agent.submit("import os; os.remove('results')")
            ...     kernel.decline(asked.id, "we need them")
            ...     str(asked.exception(timeout=30))
            'execution ... was cancelled: declined by ...: we need them'
        """
        self._commands.call(commands.DECLINE, execution, reason)

    def restart(self, *, timeout: float = 60.0) -> int:
        """Replace the worker and its namespace, and wait until the new one is ready.

        Returns:
            The number of the new generation.

        Raises:
            KernelDied: no worker could be started.
            CallTimeout: it was not ready in time.

        Example:
            >>> before = kernel.status()["generation"]
            >>> kernel.restart() == before + 1
            True
        """
        deadline = time.monotonic() + timeout
        stream = EventStream(self._commands, self._call(timeout, commands.HELLO)["last"])
        generation = self._call(timeout, commands.RESTART)
        reason = ""
        while (left := deadline - time.monotonic()) > 0:
            status = self.status(timeout=left)
            if status["generation"] >= generation:
                if status["state"] in (State.IDLE, State.BUSY):
                    return generation
                if status["state"] == State.DEAD and reason:
                    raise KernelDied(f"generation {generation} did not start: {reason}", reason, generation)
            events = stream.read(left, margin_s=_ANSWER_S)
            reason = next((e.reason for e in reversed(events) if e.kind == Kind.WORKER_DIED), reason)
        raise CallTimeout(f"generation {generation} was not ready within {timeout:g} s")

    def shutdown(self, *, timeout: float = 10.0) -> None:
        """End the kernel, worker and hub, and close this client when they are gone.

        Raises:
            CallTimeout: they are not gone yet; this client is closed all the same.

        Example:
            >>> brief = rpyc_kernel.start("brief", engine="plain")
            >>> brief.shutdown()
            >>> brief.is_closed
            True
        """
        self._call(timeout, commands.SHUTDOWN)
        is_over = self._commands.wait_until_closed(timeout)
        self._readers.clear()  # whoever follows events still reads the last ones, and then ends by itself
        self.close()
        if not is_over:
            raise CallTimeout(
                f"kernel {self.name!r} was told to end, but has not within {timeout:g} s; "
                f"'rpyc-kernel status {self.name}' shows its processes"
            )

    def wait_until_closed(self, timeout: float) -> bool:
        """Wait until the hub has ended the connection, the last thing it does when the kernel stops.

        Returns:
            Whether it has.

        Example:
            >>> kernel.wait_until_closed(0)
            False
        """
        return self._commands.wait_until_closed(timeout)

    def close(self) -> None:
        """Leave; the kernel and its executions go on. Whoever waits in this client gets `ConnectionLost`.

        Example:
            >>> client = rpyc_kernel.connect("demo")
            >>> client.close()
        """
        self._give_up(CLOSED)

    def _give_up(self, why: str) -> None:
        """Leave, and have whoever waits in this client know why."""
        self._closing.set()
        self._live.close()
        for reader in list(self._readers):
            reader.close(why)
        self._bulk.close()
        self._notifier.close(why)
        self._commands.close(why)

    # ------------------------------------------------------------------ looking, also while the kernel is busy

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return what the kernel is doing; always answers, unless its hub cannot.

        Args:
            timeout: in seconds, None for the client's own.

        Returns:
            Among others `state`, `generation`, `hub_pid`, `worker_pid`, `memory_bytes` (of the worker, about a second
            old), `busy_since` (seconds since the epoch), `running`, `queue` (the first 100, see `queue`),
            `queue_length`, `side`, `prompts` and `sessions`; ``docs/reference/status.md`` has all of them.

        Raises:
            CallTimeout: no answer came in time.

        Example:
            >>> status = kernel.status()
            >>> status["kernel"], status["queue_length"]
            ('demo', 0)
        """
        return self._call(timeout, commands.STATUS)

    def queue(self, *, after: int = 0, count: int | None = None) -> list[dict[str, Any]]:
        """List what waits for its turn.

        Args:
            after: leave out the executions up to this number.
            count: how many at most, None for all.

        Returns:
            The executions in order, each with `execution`, `session`, `name`, `count` and the beginning of its `code`.

        Example:
            >>> asking = kernel.submit("input()")
            >>> waiting = kernel.submit("6 * 7")
            >>> [item["code"] for item in kernel.queue()]
            ['6 * 7']
            >>> waiting.cancel()
            True
            >>> stopped = asking.interrupt()
        """
        found: list[dict[str, Any]] = []
        while count is None or len(found) < count:
            wanted = _QUEUE_PAGE if count is None else min(_QUEUE_PAGE, count - len(found))
            page = self._commands.call(commands.QUEUE, after, wanted, read=partial(answers.read_queue, after=after))
            found += page
            if len(page) < wanted:
                break
            after = page[-1]["execution"]
        return found

    def is_queued(self, execution: int) -> bool:
        """Whether an execution waits for its turn.

        Args:
            execution: its number.

        Example:
            >>> kernel.is_queued(kernel.execute("1").id)
            False
        """
        return any(item["execution"] == execution for item in self.queue(after=execution - 1, count=1))

    def sessions(self) -> list[dict[str, Any]]:
        """List who takes part.

        Returns:
            The sessions, those present first, each with `id`, `name`, `role`, `connections`, `viewers`, what it is
            `doing` with which `execution`, and its `channels`: from where and since when it is connected, and for what;
            ``docs/reference/status.md`` has all of it.

        Example:
            >>> with rpyc_kernel.connect("demo", name="alice"):
            ...     found = [session for session in kernel.sessions() if session["name"] == "alice"]
            >>> [(session["doing"], [channel["channel"] for channel in session["channels"]]) for session in found]
            [('idle', ['commands'])]
        """
        found: list[dict[str, Any]] = self.status()["sessions"]
        return found

    def stack(self, *, timeout: float = 2.0) -> str:
        """Return every thread's stack in the worker, also while a C call holds the interpreter lock.

        Returns:
            The stacks as text, the innermost call of each first.

        Raises:
            WorkerBusy: none came in time.

        Example:
            >>> "most recent call first" in kernel.stack(timeout=30)
            True
        """
        return self._commands.call(commands.STACK, timeout, timeout_s=timeout + _ANSWER_S)

    def answer_input(self, text: str | None, execution: int | None = None, *, is_refused: bool = False) -> None:
        """Answer a question of user code.

        Args:
            text: the answer, without a line end; None is end-of-file.
            execution: which one asks; None is the only one that does, or the first.
            is_refused: with None, say that nobody can be asked here, as a notebook that is run by a program does.

        Raises:
            NotAsked: nobody waits for an answer.

        Example:
            >>> asking = kernel.submit("name = input('who? ')")
            >>> question = next(event for event in asking.events() if event.kind == "input_requested")
            >>> kernel.answer_input("me")
            >>> asking.result(timeout=30)
            >>> kernel.eval("name")
            'me'
        """
        self._commands.call(commands.ANSWER_INPUT, text, execution, is_refused)

    def _call(self, timeout_s: float | None, command: Command[_T]) -> _T:
        """Ask the hub, within the client's limit and this one."""
        limit_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        return self._commands.call(command, timeout_s=limit_s)


def _require_code(code: str) -> None:
    require_encodable(code, "the code", BadCode)


def _raise_own_shortage(obstacle: Exception) -> None:
    from rpyc_kernel.system.descriptors import is_shortage

    if is_shortage(obstacle):
        raise obstacle
