"""Many kernels, spoken to as one."""

from __future__ import annotations

import heapq
import os
import shlex
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.bulk import check_names
from rpyc_kernel.client.course import begin_call, begin_run, begin_submission, push_packed
from rpyc_kernel.core.contract import Event, Force, Space
from rpyc_kernel.core.source import Program
from rpyc_kernel.errors import GroupFailed, RequestError
from rpyc_kernel.groups.execution import Begin, GroupExecution, Part
from rpyc_kernel.groups.fanning import fan_out
from rpyc_kernel.groups.merging import OnLoss, merge
from rpyc_kernel.groups.namespace import GroupNamespace
from rpyc_kernel.groups.shipping import Shipment, dump, pack_call
from rpyc_kernel.groups.side_by_side import SideBySide, place_side_by_side
from rpyc_kernel.groups.spreading import chunk, join, split
from rpyc_kernel.groups.spreading import flatten as flatten_piece
from rpyc_kernel.groups.stacks import FoldedStacks, fold

if TYPE_CHECKING:
    from rpyc_kernel.client.execution import Interruption
    from rpyc_kernel.client.kernel import KernelClient

_T = TypeVar("_T")
_TRANSFER_S = 60.0


@check_methods
class Group:
    """Clients of many kernels, for saying the same to all of them. Leaving it leaves the kernels running.

    What is asked of all is asked at once. Where some fail, the others have done it all the same, and `GroupFailed` says
    who has failed, and how. Names and meanings are those of ipyparallel's ``DirectView`` where they fit.

    An index or a slice gives a group of some of them, on the same connections; a name pulls a variable, and sets it.

    Args:
        members: the clients by name, in order.
        reopen: makes a new client for the kernel of a name, whose client has been closed.
        allow_pickle: whether values may come as pickles. To open one runs code that its kernel chooses.

    Example:
        >>> with rpyc_kernel.group(["demo"]) as group:
        ...     group["x"] = 5
        ...     group.execute("y = 2 * x").stdout
        ...     group["y"]
        {'demo': ''}
        [10]
    """

    def __init__(
        self,
        members: Mapping[str, KernelClient],
        *,
        reopen: Callable[[str], KernelClient] | None = None,
        allow_pickle: bool = False,
    ) -> None:
        self._members = dict(members)
        self._reopen = reopen
        self._allow_pickle = allow_pickle
        self._jobs: weakref.WeakValueDictionary[int, GroupExecution] = weakref.WeakValueDictionary()
        self._last: dict[str, GroupExecution] = {}  # by kernel: held, as with its end those before it have ended, too
        self._opened: list[KernelClient] = []  # by this group and those that it was made of
        self.missing: dict[str, Exception] = {}

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        names = list(self._members)
        shown = ", ".join(names if len(names) <= 5 else [*names[:3], "…", names[-1]])
        return f"<Group of {len(names)}: {shown}>"

    # ------------------------------------------------------------------ who

    @property
    def names(self) -> tuple[str, ...]:
        """What the kernels are called here: by their names; where two have the same, by their addresses.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.names
            ('demo',)
        """
        return tuple(self._members)

    @property
    def kernels(self) -> dict[str, KernelClient]:
        """The client of each kernel, by name.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.kernels["demo"].name
            'demo'
        """
        return dict(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[KernelClient]:
        return iter(self._members.values())

    def __getitem__(self, key: int | slice | str) -> Any:
        if isinstance(key, str):
            return self.pull(key)
        names = self.names
        try:
            return self.select(names[key] if isinstance(key, slice) else [names[key]])
        except IndexError:
            raise IndexError(f"there is no kernel {key}: the group has {len(names)}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.push({name: value})

    def select(self, names: str | Iterable[str]) -> Group:
        """Make a group of some of the kernels, on the same connections.

        Args:
            names: of the kernels, in the order that the new group is to have; or one.

        Returns:
            The group. It ends with this one.

        Raises:
            RequestError: there is no kernel of such a name in this group.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     len(group.select(["demo"]))
            1
        """
        members = self._members
        chosen = [names] if isinstance(names, str) else list(names)
        if len(set(chosen)) < len(chosen):
            raise RequestError(f"a group has each kernel once, which {', '.join(chosen)} does not")
        for name in chosen:
            if name not in members:
                raise RequestError(f"there is no kernel {name!r} in this group, which has {', '.join(members)}")
        part = Group({name: members[name] for name in chosen}, reopen=self._reopen, allow_pickle=self._allow_pickle)
        part._jobs, part._last, part._opened = self._jobs, self._last, self._opened
        return part

    def by_rank(self) -> Group:
        """Make a group of the same kernels in the order of their ranks; see `KernelClient.rank`.

        Returns:
            The group, on the same connections. It ends with this one.

        Raises:
            RequestError: not each of them is a rank, or two are the same one.
            GroupFailed: some have not answered.

        Example:
            >>> env = {"WORLD_SIZE": "1", "RANK": "0"}
            >>> with rpyc_kernel.group("solo", start=True, engine="plain", env=env) as group:
            ...     group.by_rank().names
            ...     group.shutdown()
            ('solo',)
        """
        ranks = self._ask_all("rank", lambda kernel: kernel.rank)
        by_rank = {rank: name for name, rank in ranks.items() if rank is not None}
        if len(by_rank) < len(ranks):
            told = ", ".join(f"{name}: {rank}" for name, rank in ranks.items())
            raise RequestError(f"the order of ranks needs one rank for each kernel; there are {told}")
        return self.select(by_rank[rank] for rank in sorted(by_rank))

    # ------------------------------------------------------------------ running code

    def execute(
        self, code: str, *, timeout: float | None = None, retry: int = 0, stop_on_error: bool = True
    ) -> GroupExecution:
        """Run code in all kernels, and wait for its end.

        Args:
            code: the source.
            timeout: in seconds; None waits as long as it takes.
            retry: how often it is run again where its kernel was lost, once that is there again. What has run may run
                again then; errors of the code are not tried again.
            stop_on_error: if it fails in a kernel, abort what this client has queued there behind it.

        Returns:
            What came of it, by kernel.

        Raises:
            GroupFailed: in some it has failed.
            TimeoutError: in some it goes on; use `submit` to keep hold of it, or `interrupt`.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("6 * 7").results
            {'demo': 42}
        """

        def begin(kernel: KernelClient, ring: Any) -> Any:
            return begin_run(kernel, ring, code, stop_on_error=stop_on_error)

        job = self._hand_in(_first_line(code), begin, retry)
        failure = job.exception(timeout)
        if failure is not None:
            raise failure
        return job

    def submit(self, code: str, *, retry: int = 0, stop_on_error: bool = True) -> GroupExecution:
        """Queue code in all kernels, and return at once.

        Args:
            code: as of `execute`.
            retry: as of `execute`.
            stop_on_error: as of `execute`.

        Returns:
            One future for all of it.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.submit("6 * 7").result(timeout=30)
            [42]
        """
        begin = partial(_begin_code, code=code, stop_on_error=stop_on_error)
        return self._hand_in(_first_line(code), begin, retry)

    def run_file(
        self,
        path: str | os.PathLike[str],
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        namespace: str = Space.CURRENT,
        reload: bool = False,
        retry: int = 0,
        stop_on_error: bool = True,
    ) -> GroupExecution:
        """Queue a file as a program named ``__main__`` in all kernels, and return at once.

        Args:
            path: of the file, as each worker sees it.
            args: what follows the path in ``sys.argv``.
            cwd: as of `KernelClient.run_file`.
            namespace: as of `KernelClient.run_file`.
            reload: as of `KernelClient.run_file`.
            retry: as of `execute`.
            stop_on_error: as of `execute`.

        Returns:
            One future for all of it.

        Example:
            >>> import tempfile
            >>> with tempfile.NamedTemporaryFile("w", suffix=".py") as file, rpyc_kernel.group(["demo"]) as group:
            ...     written = file.write("print('hello')")
            ...     file.flush()
            ...     run = group.run_file(file.name)
            ...     run.result(timeout=30), run.stdout["demo"].strip()
            ([None], 'hello')
        """
        file = os.fspath(path)
        program = Program(file, tuple(args), cwd, namespace, reload)
        code = f"# run {shlex.join([file, *args])}"
        begin = partial(_begin_code, code=code, stop_on_error=stop_on_error, source=program)
        return self._hand_in(file, begin, retry)

    def apply(
        self, function: Callable[..., Any], /, *args: Any, by_source: bool = False, retry: int = 0, **kwargs: Any
    ) -> list[Any]:
        """Call a function in all kernels, in turn with other executions, and wait for what it returns.

        It is sent with what it refers to, by cloudpickle; the names that it does not bring along it finds in the
        namespace of each kernel, when it runs.

        Args:
            function: of this program.
            *args: its arguments, of which the kernels get copies.
            by_source: send its source instead, as for another version of Python: then all its global names are those
                of the kernel, also those that it assigns.
            retry: as of `execute`.
            **kwargs: likewise.

        Returns:
            What each has returned, in order: copies, or netrefs where they could only be pickled and the group does not
            allow that.

        Raises:
            GroupFailed: in some it has failed.
            RequestError: it cannot be sent.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group["offset"] = 100
            ...     group.apply(lambda number: number + offset, 5)
            [105]
        """
        found: list[Any] = self.apply_async(function, *args, by_source=by_source, retry=retry, **kwargs).result()
        return found

    def apply_async(
        self, function: Callable[..., Any], /, *args: Any, by_source: bool = False, retry: int = 0, **kwargs: Any
    ) -> GroupExecution:
        """Queue the call of a function in all kernels, and return once they have it.

        Args:
            function: as of `apply`, as all else.
            *args: its arguments.
            by_source: whether to send its source.
            retry: as of `execute`.
            **kwargs: its keywords.

        Returns:
            One future for all of it.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.apply_async(divmod, 17, 5).result(timeout=30)
            [(3, 2)]
        """
        shipment = pack_call(function, args, kwargs, by_source=by_source)
        begin = partial(_begin_shipment, shipment=shipment)
        return self._hand_in(shipment.shown.removeprefix("# "), begin, retry, is_slow=shipment.sent is None)

    def map(
        self, function: Callable[..., Any], /, *sequences: Sequence[Any], by_source: bool = False, retry: int = 0
    ) -> list[Any]:
        """Call a function with each item, in as many parts as there are kernels, and wait for all it returns.

        Args:
            function: as of `apply`.
            *sequences: what it is called with: the first items, the second ones, and so on.
            by_source: as of `apply`.
            retry: how often a part is done again whose kernel was lost, by another one if it does not come back.

        Returns:
            What it has returned, in order.

        Raises:
            GroupFailed: some parts have failed.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.map(lambda number: number**2, range(5))
            [0, 1, 4, 9, 16]
        """
        found: list[Any] = self.map_async(function, *sequences, by_source=by_source, retry=retry).result()
        return found

    def map_async(
        self, function: Callable[..., Any], /, *sequences: Sequence[Any], by_source: bool = False, retry: int = 0
    ) -> GroupExecution:
        """Queue the calls of a function with each item, in a part for each kernel, and return once they have them.

        Args:
            function: as of `map`, as all else.
            *sequences: what it is called with.
            by_source: as of `apply`.
            retry: as of `map`.

        Returns:
            One future for all of it, whose result is the list of what the function has returned.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.map_async(pow, [2, 3], [4, 5]).result(timeout=30)
            [16, 243]
        """
        members = self._list_members()
        if not members:
            raise RequestError("a group without kernels cannot call anything")
        parts, is_slow = [], False
        for (name, kernel), pieces in zip(members.items(), chunk(sequences, len(members)), strict=True):
            if len(pieces[0]):
                shipment = pack_call(function, pieces, {}, by_source=by_source, is_map=True)
                parts.append(Part(name, kernel, partial(_begin_shipment, shipment=shipment)))
                is_slow = is_slow or shipment.sent is None
        shown = getattr(function, "__name__", type(function).__name__)
        return self._begin(f"map of {shown}", parts, retry, find=self._find_any, is_slow=is_slow, finish=_concatenate)

    def eval(self, expression: str, *, timeout: float | None = None) -> list[Any]:
        """Evaluate an expression in all kernels at once, beside their queues.

        Args:
            expression: in the namespace of each.
            timeout: in seconds, None for the clients' own.

        Returns:
            The values in order: by value where immutable and plain, else netrefs.

        Raises:
            GroupFailed: some have not answered, or it has raised there.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.eval("6 * 7")
            [42]
        """
        return list(self._ask_all(expression, lambda kernel: kernel.eval(expression, timeout=timeout)).values())

    # ------------------------------------------------------------------ values

    def push(
        self, values: Mapping[str, Any] | None = None, /, *, timeout: float | None = _TRANSFER_S, **more: Any
    ) -> None:
        """Set variables in all kernels to copies of values. Those on this machine share the memory of large ones.

        Args:
            values: by name; functions go as `apply` sends them.
            timeout: for how many seconds a kernel may take nothing, or not answer.
            **more: further values.

        Raises:
            GroupFailed: some could not be set.
            RequestError: a value cannot be pickled.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.push(weights=[0.5, 0.25])
            ...     group.pull("weights")
            [[0.5, 0.25]]
        """
        from rpyc_kernel.wire.bulk.codec import pack_named
        from rpyc_kernel.wire.bulk.parts import shared_among_many

        named = {**(values or {}), **more}
        check_names(named)
        parcel = pack_named(named, dump)
        with shared_among_many(parcel) as shared:
            self._ask_all("push", lambda kernel: push_packed(kernel, shared, timeout))

    def pull(self, names: str | Sequence[str], *, timeout: float | None = _TRANSFER_S) -> list[Any]:
        """Return copies of what a variable is in each kernel, or any expression.

        Args:
            names: of the variable; or several, for a list of their values from each kernel.
            timeout: for how many seconds nothing may come.

        Returns:
            The values, in order.

        Raises:
            GroupFailed: some have none, or it could only be pickled and the group does not allow that.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.push(x=1, y=2)
            ...     group.pull("x"), group.pull(["x", "y"])
            ([1], [[1, 2]])
        """
        wanted = names if isinstance(names, str) else f"[{', '.join(names)}]"
        return list(self._pull_all(wanted, timeout).values())

    def scatter(
        self, name: str, value: Any, *, axis: int = 0, flatten: bool = False, timeout: float | None = _TRANSFER_S
    ) -> None:
        """Divide a value among the kernels: each has its piece as a variable, the first kernels one item more.

        Args:
            name: of the variable.
            value: an array, a table or a sequence.
            axis: of an array, along which it is divided.
            flatten: set the item itself where a piece has only one, as for a number of each kernel.
            timeout: as of `push`.

        Raises:
            GroupFailed: some could not be set.
            RequestError: it cannot be divided.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.scatter("part", [1, 2, 3])
            ...     group.pull("part"), group.gather("part")
            ([[1, 2, 3]], [1, 2, 3])
        """
        check_names([name])
        members = self._list_members()
        pieces = dict(zip(members, split(value, len(members), axis), strict=True))
        if flatten:
            pieces = {each: flatten_piece(piece, axis) for each, piece in pieces.items()}
        fan_out("scatter", {each: partial(_push_one, members[each], name, pieces[each], timeout) for each in members})

    def gather(self, name: str, *, axis: int = 0, timeout: float | None = _TRANSFER_S) -> Any:
        """Put what is divided among the kernels together again.

        Args:
            name: of the variable, or any expression.
            axis: of arrays, along which they are joined.
            timeout: as of `pull`.

        Returns:
            An array, a table or a sequence, of the kind that the pieces are.

        Raises:
            GroupFailed: some have no such variable.
            RequestError: the pieces do not fit together.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.scatter("part", range(4))
            ...     done = group.execute("part = [number**2 for number in part]")
            ...     group.gather("part")
            [0, 1, 4, 9]
        """
        pieces = self._pull_all(name, timeout)
        return join([*pieces.values()], axis, names=[*pieces])

    @property
    def namespace(self) -> GroupNamespace:
        """The namespaces of all as one mapping, whose values are lists of live objects.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.namespace["answer"] = 42
            ...     group.namespace.answer
            [42]
        """
        return GroupNamespace(lambda: self._members)

    # ------------------------------------------------------------------ looking and stopping

    def status(self, *, timeout: float | None = None) -> dict[str, dict[str, Any]]:
        """Return what each kernel is doing, by name; see `KernelClient.status`.

        Args:
            timeout: in seconds, None for the clients' own.

        Raises:
            GroupFailed: some have not answered; it has the others' in `results`.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.status()["demo"]["state"] in ("idle", "busy")
            True
        """
        return self._ask_all("status", lambda kernel: kernel.status(timeout=timeout))

    def variables(self, *, timeout: float = 5.0) -> SideBySide:
        """List the variables of all kernels beside each other, also while they run code.

        Args:
            timeout: in seconds.

        Returns:
            A row for each name, of what each kernel has under it. `str` of it is a table that fits the terminal, with
            what is the same everywhere once.

        Raises:
            GroupFailed: some have not answered; it has the others' lists in `results`.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group["rate"] = 0.1
            ...     row = group.variables()["rate"]
            ...     row.is_same, row.variables["demo"].preview
            (True, '0.1')
        """
        return place_side_by_side(self._ask_all("variables", lambda kernel: kernel.variables(timeout=timeout)))

    def stack(self, *, timeout: float = 2.0) -> FoldedStacks:
        """Return what each kernel's threads do right now, folded: equal stacks stand once, with who has them.

        Of many that wait for each other, those stand apart that do something else. As text it is a tree.

        Args:
            timeout: in seconds.

        Returns:
            The stacks. It says of those that have not answered why, and so it does of those that the group goes
            without.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     print(group.stack(timeout=30))
            1: demo
              no code of the user's: idle, or what it runs awaits something
        """
        try:
            stacks, errors = self._ask_all("stack", lambda kernel: kernel.stack(timeout=timeout)), {}
        except GroupFailed as failed:
            stacks, errors = failed.results, failed.errors
        return fold(stacks, {**self.missing, **errors})

    def events(
        self,
        since: int | None = None,
        *,
        follow: bool = True,
        timeout: float | None = None,
        on_loss: OnLoss | None = None,
    ) -> Iterator[tuple[str, Event]]:
        """Yield what happens in all kernels, each with who said it.

        Args:
            since: the number of the last event of each that is not wanted; 0 begins with the first ever, None with what
                happens from now on.
            follow: go on as things happen, until all kernels have stopped; else end with what has happened by now.
            timeout: how long to wait for the next one, in seconds; None waits as long as it takes.
            on_loss: told at once of a kernel whose events cannot be had, or no longer: its name, and why.

        Yields:
            The name of the kernel, and an event of it. Those of one kernel are in the order of their numbers.

        Raises:
            TimeoutError: nothing came for ``timeout`` seconds.
            GroupFailed: some could not be read to their end, and there is no ``on_loss``; raised when the others have.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     name, event = next(group.events(since=0))
            ...     name, event.seq
            ('demo', 1)
        """
        if not follow:
            return self._list_past(since or 0)
        members = self._members
        cursors = dict.fromkeys(members, since)
        if since is None:  # from when this was asked for, not from when the first one is taken
            cursors |= self._find_last()
        return merge(
            {name: partial(_watch, kernel, cursors[name]) for name, kernel in members.items()}, timeout, on_loss
        )

    def _find_last(self) -> dict[str, int]:
        """The number of the newest event of each kernel that answers."""
        try:
            return self._ask_all("status", lambda kernel: kernel.status()["last"])
        except GroupFailed as failed:
            return failed.results

    def _list_past(self, since: int) -> Iterator[tuple[str, Event]]:
        def tell(name: str, kernel: KernelClient) -> list[tuple[str, Event]]:
            return [(name, event) for event in kernel.events(since, follow=False)]

        # A clock that was put back disorders no kernel's own events.
        return heapq.merge(*self._ask_each("events", tell).values(), key=lambda told: told[1].time)

    def wait(self, jobs: GroupExecution | Iterable[GroupExecution] | None = None, timeout: float | None = None) -> bool:
        """Wait for the end of what was submitted.

        Args:
            jobs: which; None for all that this group has handed in.
            timeout: for all of them, in seconds.

        Returns:
            Whether all have ended in time.

        Raises:
            RequestError: these are no executions of a group.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     job = group.submit("1")
            ...     group.wait(timeout=30)
            True
        """
        if jobs is None:
            held = [reference() for reference in self._jobs.valuerefs()]
            waited: list[Any] = [job for job in held if job is not None]
        else:
            given: Any = jobs
            waited = [*given] if isinstance(given, Iterable) else [given]
        if not all(isinstance(job, GroupExecution) for job in waited):
            raise RequestError("a group waits for what its submit, apply_async, map_async and run_file have returned")
        deadline = None if timeout is None else time.monotonic() + timeout
        return all(job.wait(None if deadline is None else max(0.0, deadline - time.monotonic())) for job in waited)

    def interrupt(self, *, force: str = Force.SIGNAL, wait: float = 3.0) -> dict[str, Interruption]:
        """Interrupt whatever runs in each kernel, and see whether it stops.

        Args:
            force: as of `KernelClient.interrupt`.
            wait: for how many seconds to wait for them to stop.

        Returns:
            What came of each, by name.

        Raises:
            GroupFailed: some could not be interrupted.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.interrupt()["demo"].status
            'not-running'
        """
        return self._ask_all("interrupt", lambda kernel: kernel.interrupt(force=force, wait=wait))

    def restart(self, *, timeout: float = 60.0) -> dict[str, int]:
        """Replace the workers of all kernels, and wait until the new ones are ready.

        Args:
            timeout: in seconds.

        Returns:
            The numbers of the new generations, by name.

        Raises:
            GroupFailed: some have not come back.

        Example:
            >>> with rpyc_kernel.group("brief-{1..2}", start=True, engine="plain") as group:
            ...     group.restart()
            ...     group.shutdown()
            {'brief-1': 2, 'brief-2': 2}
        """
        return self._ask_all("restart", lambda kernel: kernel.restart(timeout=timeout))

    def shutdown(self, *, timeout: float = 10.0) -> None:
        """End all kernels, and close this group.

        Args:
            timeout: in seconds, for each.

        Raises:
            GroupFailed: some have not ended.

        Example:
            >>> group = rpyc_kernel.group("brief", start=True, engine="plain")
            >>> group.shutdown()
        """
        self._ask_all("shutdown", lambda kernel: kernel.shutdown(timeout=timeout))
        self.close()

    def close(self) -> None:
        """Leave; the kernels and what runs there go on. Clients that the group was made of stay open.

        Example:
            >>> group = rpyc_kernel.group(["demo"])
            >>> group.close()
        """
        while self._opened:
            self._opened.pop().close()

    # ------------------------------------------------------------------ asking all

    def _ask_all(self, what: str, do: Callable[[KernelClient], _T]) -> dict[str, _T]:
        return self._ask_each(what, lambda _, kernel: do(kernel))

    def _ask_each(self, what: str, do: Callable[[str, KernelClient], _T]) -> dict[str, _T]:
        return fan_out(what, {name: partial(do, name, kernel) for name, kernel in self._list_members().items()})

    def _list_members(self) -> dict[str, KernelClient]:
        """Who is to do what is asked of all."""
        return self._members

    def _pull_all(self, wanted: str, timeout: float | None) -> dict[str, Any]:
        return self._ask_all(wanted, partial(_pull, wanted=wanted, timeout=timeout, allow_pickle=self._allow_pickle))

    def _hand_in(self, what: str, begin: Begin, retry: int, *, is_slow: bool = False) -> GroupExecution:
        parts = [Part(name, kernel, begin) for name, kernel in self._list_members().items()]
        return self._begin(what, parts, retry, find=self._find_again, is_slow=is_slow)

    def _begin(self, what: str, parts: list[Part], retry: int, **options: Any) -> GroupExecution:
        if retry < 0:
            raise RequestError(f"retry says how often something is tried again, and cannot be {retry}")
        job = GroupExecution(what, parts, retry=retry, allow_pickle=self._allow_pickle, **options)
        self._jobs[id(job)] = job
        self._last.update(dict.fromkeys(job.names, job))
        return job

    def _find_again(self, name: str) -> tuple[str, KernelClient]:
        """The kernel of a name that was lost, once it is there again."""
        kernel = self._members[name]
        if kernel.is_closed and self._reopen is not None:
            kernel = self._reopen(name)
            self._opened.append(kernel)
            self._members = {**self._members, name: kernel}
        return name, kernel

    def _find_any(self, name: str) -> tuple[str, KernelClient]:
        """The same; or where it does not come back, another one that has not failed."""
        try:
            found = self._find_again(name)
            found[1].status()
        except Exception:
            members = self._members
            names = list(members)
            after = names.index(name) + 1
            for other in (*names[after:], *names[: after - 1]):
                if members[other].is_connected:
                    return other, members[other]
            raise
        return found


def _begin_code(
    kernel: KernelClient, ring: Any, *, code: str, stop_on_error: bool, source: Program | None = None
) -> Any:
    return begin_submission(kernel, ring, code, stop_on_error=stop_on_error, source=source)


def _begin_shipment(kernel: KernelClient, ring: Any, *, shipment: Shipment) -> Any:
    if shipment.sent is not None:
        return begin_submission(kernel, ring, shipment.shown, call=shipment.sent)
    return begin_call(
        kernel, ring, shipment.parcel, source=shipment.source, is_map=shipment.is_map, shown=shipment.shown
    )


def _pull(kernel: KernelClient, *, wanted: str, timeout: float | None, allow_pickle: bool) -> Any:
    return kernel.pull(wanted, timeout=timeout, allow_pickle=allow_pickle)


def _push_one(kernel: KernelClient, name: str, value: Any, timeout_s: float | None) -> None:
    from rpyc_kernel.wire.bulk.codec import pack_named

    push_packed(kernel, pack_named({name: value}, dump), timeout_s)


def _watch(kernel: KernelClient, since: int | None) -> Any:
    return kernel.watch(kernel.status()["last"] if since is None else since)


def _first_line(code: str) -> str:
    line = code.strip().partition("\n")[0]
    return repr(line if len(line) <= 60 else f"{line[:59]}…")


def _concatenate(values: list[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(values))
