"""The same thing handed in to many kernels: one future for all of it, that knows what came of each.

There is a question on its way to each kernel, and whoever wants to know reads the answers, on the thread that does.
All is handed in before the future is there: what follows cannot overtake it. What is tried again has a thread for that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from functools import partial
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.course import Course
from rpyc_kernel.core.contract import CALL_IS_GONE, Event, Kind, Outcome
from rpyc_kernel.core.seconds import read_seconds
from rpyc_kernel.errors import ConnectionFailed, ExecutionError, GroupFailed, KernelDied, NotAvailable, RequestError
from rpyc_kernel.groups.fanning import fan_out, make_failure
from rpyc_kernel.groups.merging import OnLoss, merge
from rpyc_kernel.groups.waiting import Bell, Loop
from rpyc_kernel.system.futures import LazyFuture, NotDone
from rpyc_kernel.system.threads import make_thread, start_threads

if TYPE_CHECKING:
    from rpyc_kernel.client.execution import Execution, Interruption
    from rpyc_kernel.client.kernel import KernelClient

_LOST = (KernelDied, ConnectionFailed)
"""What is tried again where that is asked for: whatever is the kernel's, and never the code's."""
_DROPPED = (Outcome.CANCELLED, Outcome.ABORTED)
_FETCH_S = 60.0
"""For how long nothing of a value may come."""
_LEAST_S = 0.5
_RETURN_WHEN = (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION)

Ring = Callable[[object], object]
Begin = Callable[["KernelClient", Ring], Course]
"""Hands in what one kernel is to do, and has the second called whenever something of it has come."""
Find = Callable[[str], "tuple[str, KernelClient]"]
"""Finds where to try again what the kernel of this name was to do: the name of the kernel, and a client of it."""


class Part:
    """What one of the kernels does.

    Attributes:
        name: of the kernel that it was for.
        place: of that where it is done, which is another one where it was moved.
        kernel: a client of that.
        course: how far it is, None before it is handed in.
        failure: why it could not be.
        errors: those of the attempts before.
        again: the thread that tries it again, None if nothing was tried again.
    """

    def __init__(self, name: str, kernel: KernelClient, begin: Begin) -> None:
        self.name = self.place = name
        self.kernel = kernel
        self.course: Course | None = None
        self.failure: Exception | None = None
        self.errors: list[Exception] = []
        self.again: threading.Thread | None = None
        self._begin = begin

    @property
    def attempt(self) -> tuple[Course | None, Exception | None]:
        """What is known of this attempt, of which another thread may make the next."""
        return self.course, self.failure

    @property
    def is_over(self) -> bool:
        """Whether this attempt has ended."""
        course, failure = self.attempt
        return failure is not None or (course is not None and course.is_over)

    @property
    def error(self) -> Exception | None:
        """How it has failed; None as long as it has not. May ask the kernel for more of that."""
        course, failure = self.attempt
        return failure or (course.failure if course is not None and course.is_over else None)

    @property
    def execution(self) -> Execution | None:
        """The execution, once its number is known."""
        course = self.course
        return course.execution if course is not None and course.execution.id else None

    @property
    def status(self) -> str:
        """As of an execution; ``lost`` where it was not handed in, or where nobody knows what became of it."""
        course, failure = self.attempt
        if failure is not None:
            return Outcome.LOST
        return Kind.QUEUED if course is None else course.status

    def start(self, ring: Ring) -> None:
        """Hand it in."""
        try:
            self.course = self._begin(self.kernel, ring)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what has become of this part
            self.failure = error

    def begin_again(self, error: Exception, again: threading.Thread) -> None:
        """It has failed, and that thread is to hand it in once more."""
        self.errors.append(error)
        self.again = again
        self.course = self.failure = None

    # ---- what a loop asks ----

    def fileno(self) -> int:
        """See `KernelClient`."""
        return self.kernel.fileno()

    def read_ready(self, waited_s: float = 0.0) -> bool:
        """See `KernelClient`."""
        return self.kernel.read_ready(waited_s)


@check_methods
class GroupExecution(LazyFuture):
    """What was handed in to the kernels of a group: a future whose result is the list of what each made of it.

    Whoever looks at one that has not ended asks the kernels how far they are. Where some fail, the others go on.

    Attributes:
        names: of the kernels, in order.

    Example:
        >>> with rpyc_kernel.group(["demo"]) as group:
        ...     job = group.submit("print('begun'); 6 * 7")
        ...     job.result(timeout=30), job.stdout["demo"].strip()
        ([42], 'begun')
    """

    def __init__(
        self,
        what: str,
        parts: list[Part],
        *,
        retry: int = 0,
        find: Find | None = None,
        is_slow: bool = False,
        allow_pickle: bool = False,
        finish: Callable[[list[Any]], Any] = list,
    ) -> None:
        super().__init__()
        self.names: tuple[str, ...] = tuple(part.name for part in parts)
        self._what = what
        self._parts = parts
        self._retry = retry
        self._find = find
        self._allow_pickle = allow_pickle
        self._finish = finish
        self._bells: list[Bell] = []
        self._ended: dict[Part, None] = {}  # of whom nothing more is to come, in the order in which they have ended
        self._values: dict[str, Any] = {}
        if is_slow:
            fan_out(what, {part.name: partial(part.start, self._ring) for part in parts})
        else:
            for part in parts:
                part.start(self._ring)

    def __repr__(self) -> str:
        self._catch_up()
        failed = sum(part.error is not None for part in tuple(self._ended))
        return f"<GroupExecution of {self._what}: {len(self._ended)} of {len(self._parts)} ended, {failed} failed>"

    # ------------------------------------------------------------------ what came of it

    @property
    def executions(self) -> dict[str, Execution]:
        """The execution of each kernel by name, of those that have said its number.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("6 * 7").executions["demo"].value
            42
        """
        self._look()
        return self._list_executions()

    def _list_executions(self) -> dict[str, Execution]:
        return {part.name: part.execution for part in self._parts if part.execution is not None}

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each, as of an `Execution`; ``lost`` where nobody knows what has become of it.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").statuses
            {'demo': 'ok'}
        """
        self._look()
        return {part.name: part.status for part in self._parts}

    @property
    def pending(self) -> list[str]:
        """The names of those that have not ended.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").pending
            []
        """
        self._catch_up()
        return [part.name for part in self._parts if part not in self._ended]

    @property
    def results(self) -> dict[str, Any]:
        """The values of those that have ended well so far, by name.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("6 * 7").results
            {'demo': 42}
        """
        self._catch_up()
        return self._fetch([part for part in self._parts if part in self._ended and part.error is None])

    @property
    def errors(self) -> dict[str, Exception]:
        """What has come of those that have failed so far, by name.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     job = group.submit("1 / 0")
            ...     done = job.wait(timeout=30)
            ...     job.errors["demo"].ename
            'ZeroDivisionError'
        """
        self._catch_up()
        found = {part.name: part.error for part in self._parts if part in self._ended}
        return {name: error for name, error in found.items() if error is not None}

    @property
    def retried(self) -> dict[str, list[Exception]]:
        """What had come of the attempts before, of those that were tried again.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1", retry=1).retried
            {}
        """
        return {part.name: list(part.errors) for part in self._parts if part.errors}

    @property
    def stdout(self) -> dict[str, str]:
        """What each has printed to standard output so far.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("print('hello')").stdout["demo"].strip()
            'hello'
        """
        self._catch_up()
        return dict.fromkeys(self.names, "") | {name: run.stdout for name, run in self._list_executions().items()}

    @property
    def stderr(self) -> dict[str, str]:
        """What each has printed to standard error so far.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").stderr
            {'demo': ''}
        """
        self._catch_up()
        return dict.fromkeys(self.names, "") | {name: run.stderr for name, run in self._list_executions().items()}

    @property
    def outputs(self) -> dict[str, list[Event]]:
        """The displays and the result of each so far, as of an `Execution`.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     [shown.data["text/plain"] for shown in group.execute("6 * 7").outputs["demo"]]
            ['42']
        """
        self._catch_up()
        return {name: [] for name in self.names} | {n: run.outputs for n, run in self._list_executions().items()}

    # ------------------------------------------------------------------ waiting

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end of all, and return their values in order.

        Args:
            timeout: in seconds; for the values, once all have ended, there is at least half a second.

        Returns:
            A list. Values are copies, or netrefs where they could only be pickled and the group does not allow that.

        Raises:
            TimeoutError: some go on; nothing was interrupted.
            GroupFailed: some have failed; it has their errors, and the values of the others.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.submit("6 * 7").result(timeout=30)
            [42]
        """
        begun = time.monotonic()
        self._wait(timeout)
        failure = self._get_failure()
        if failure is not None:
            raise failure
        left_s = _FETCH_S if timeout is None else max(_LEAST_S, timeout - (time.monotonic() - begun))
        values = self._fetch(self._parts, left_s)
        return self._finish([values[part.name] for part in self._parts])

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait for the end of all, and return what `result` would raise, None if that is a list.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     list(group.submit("1 / 0").exception(timeout=30).errors)
            ['demo']
        """
        self._wait(timeout)
        return self._get_failure()

    def wait(self, timeout: float | None = None, return_when: str = ALL_COMPLETED) -> bool:
        """Wait for the end of all, of the first, or of the first that fails.

        Args:
            timeout: in seconds, None for as long as it takes.
            return_when: as of `concurrent.futures.wait`: ``ALL_COMPLETED``, ``FIRST_COMPLETED``, ``FIRST_EXCEPTION``.

        Returns:
            Whether that was so in time.

        Raises:
            RequestError: there is no such ``return_when``.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.submit("1").wait(timeout=30, return_when="FIRST_COMPLETED")
            True
        """
        if return_when not in _RETURN_WHEN:
            raise RequestError(f"there is no return_when {return_when!r}; choose one of {', '.join(_RETURN_WHEN)}")
        return self._follow(lambda: self._is_over or self._has_enough(return_when), _read_limit(timeout))

    def _has_enough(self, return_when: str) -> bool:
        if return_when == FIRST_COMPLETED:
            return bool(self._ended)
        return return_when == FIRST_EXCEPTION and any(part.error is not None for part in tuple(self._ended))

    def as_completed(self, timeout: float | None = None) -> Iterator[tuple[str, Execution | None]]:
        """Yield the kernels' names and executions in the order in which they end, well or not.

        Args:
            timeout: for all of them, in seconds.

        Yields:
            The name and the execution, or None where it could not be handed in; `errors` says why.

        Raises:
            TimeoutError: some have not ended in time.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     [(name, run.value) for name, run in group.submit("6 * 7").as_completed(timeout=30)]
            [('demo', 42)]
        """
        limit_s = _read_limit(timeout)
        deadline = None if limit_s is None else time.monotonic() + limit_s
        told: list[Part] = []
        while len(told) < len(self._parts):
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._follow(lambda: len(self._ended) > len(told), left_s):
                raise self._not_done(limit_s)
            for part in [*self._ended][len(told) :]:
                told.append(part)
                yield part.name, part.execution

    def events(self, timeout: float | None = None, *, on_loss: OnLoss | None = None) -> Iterator[tuple[str, Event]]:
        """Yield the events of all, each with the name of its kernel, as they come, up to the end of the last one.

        Args:
            timeout: how long to wait for the next one, in seconds; None waits as long as it takes.
            on_loss: told at once of a kernel whose events cannot be had, or no longer: its name, and why.

        Yields:
            The name of the kernel, and an event of it. Those of one kernel are in the order of their numbers.

        Raises:
            TimeoutError: nothing came for ``timeout`` seconds.
            GroupFailed: some could not be read to their end, and there is no ``on_loss``; raised when the others have.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     [(name, event.kind) for name, event in group.submit("1").events(timeout=30)][-1]
            ('demo', 'finished')
        """
        if not self._follow(self._is_handed_in, timeout):
            raise self._not_done(timeout)
        known = {part.name: (part, part.execution.id) for part in self._parts if part.execution is not None}
        starts = {name: partial(part.kernel.watch, 0, execution=number) for name, (part, number) in known.items()}
        for name, event in merge(starts, timeout, on_loss):
            yield known[name][0].place, event

    def done(self) -> bool:
        """Whether all have ended.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").done()
            True
        """
        self._catch_up()
        return self._is_over

    def running(self) -> bool:
        """Whether any of them runs now.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").running()
            False
        """
        return "running" in self.statuses.values()

    # ------------------------------------------------------------------ stopping

    def interrupt(self, **options: Any) -> dict[str, Interruption]:
        """Interrupt exactly these executions, those that run; what still waits for its turn goes on to do so.

        Args:
            **options: as of `KernelClient.interrupt`: ``force`` and ``wait``.

        Returns:
            What came of each, by name.

        Raises:
            GroupFailed: some could not be interrupted.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     job = group.submit("while True: pass")
            ...     started = next(event for _, event in job.events() if event.kind == "started")
            ...     bool(job.interrupt(wait=30)["demo"])
            True
        """
        chosen = self._list_pending()
        return fan_out("interrupt", {name: partial(run.interrupt, **options) for name, run in chosen.items()})

    def cancel(self) -> bool:
        """Take those out of their queues that have not begun.

        Returns:
            Whether none of them had begun.

        Raises:
            GroupFailed: some could not be asked; the others are done.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").cancel()
            False
        """
        found = fan_out("cancel", {name: run.cancel for name, run in self._list_pending().items()})
        taken_out = {name: found.get(name, status in _DROPPED) for name, status in self.statuses.items()}
        return bool(taken_out) and all(taken_out.values())

    def _list_pending(self) -> dict[str, Execution]:
        """Those that go on; waits for their numbers, which the kernels say at once."""
        self._follow(self._is_handed_in, max((part.kernel._timeout_s for part in self._parts), default=0.0))
        return {
            part.name: part.execution for part in self._parts if part not in self._ended and part.execution is not None
        }

    def cancelled(self) -> bool:
        """Whether all were taken out before they began.

        Example:
            >>> with rpyc_kernel.group(["demo"]) as group:
            ...     group.execute("1").cancelled()
            False
        """
        statuses = self.statuses
        return bool(statuses) and all(status in _DROPPED for status in statuses.values())

    # ------------------------------------------------------------------ reading

    @property
    def _is_over(self) -> bool:
        return len(self._ended) == len(self._parts)

    def _is_handed_in(self) -> bool:
        return all(part in self._ended or part.execution is not None for part in self._parts)

    def _get_failure(self) -> Exception | None:
        errors = {part.name: part.error for part in self._parts if part.error is not None}
        if not errors:
            return None
        try:
            values = self._fetch([part for part in self._parts if part.error is None])
        except GroupFailed as failed:
            values = failed.results
        return make_failure(self._what, errors, values)

    def _not_done(self, timeout_s: float | None) -> Exception:
        names = ", ".join(part.name for part in self._parts if part not in self._ended)
        return NotDone(f"not done within {timeout_s:g} s: {names}; what was begun goes on")

    def _wait(self, timeout: float | None) -> None:
        limit_s = _read_limit(timeout)
        if not self._follow(lambda: self._is_over, limit_s):
            raise self._not_done(limit_s)

    def _wait_completed(self, timeout_s: float | None) -> bool:
        return self._follow(lambda: self._is_over, timeout_s)

    def _catch_up(self) -> None:
        if not self._is_over:
            self._follow(lambda: self._is_over, 0)

    def _look(self) -> None:
        """Ask those that go on how far they are: what is on its way to each is told when it has ended."""
        self._catch_up()
        going_on = {part.name: part.execution for part in self._parts if part not in self._ended}
        asked = {name: run._catch_up for name, run in going_on.items() if run is not None}
        if asked:
            with contextlib.suppress(GroupFailed):  # who cannot be asked has told nothing new
                fan_out("look", asked)
            self._catch_up()

    def _follow(self, is_enough: Callable[[], bool], timeout_s: float | None) -> bool:
        if is_enough():
            return True
        bell = Bell()
        self._bells.append(bell)
        try:
            return Loop(bell, self._list_waited, self._take).run(is_enough, timeout_s)
        finally:
            self._bells.remove(bell)
            bell.close()

    def _list_waited(self) -> list[Part]:
        for part in self._parts:
            if part.again is not None and part.again.ident is None:  # as an interrupt may leave it
                self._start_thread(part)
            if part not in self._ended and part.is_over:  # as it could not be handed in
                self._take(part)
        return [part for part in self._parts if part not in self._ended and part.course is not None]

    def _take(self, part: Part) -> None:
        """Take in what has come of a part, and settle it if it has ended, or have it tried again."""
        attempt = part.attempt
        if attempt[0] is not None:
            attempt[0].go_on()
        if part in self._ended or not part.is_over:
            return
        error = part.error
        with self._taking:
            if part.attempt != attempt or part in self._ended:  # another thread was faster
                return
            if error is None or not _is_lost(error) or len(part.errors) >= self._retry:
                self._ended[part] = None
                return
            part.begin_again(error, make_thread(self._start_again, "rpyc_kernel-group", (part,)))
        self._start_thread(part)

    def _start_thread(self, part: Part) -> None:
        with self._taking:
            if part.again is not None and part.again.ident is None:
                start_threads(part.again)

    def _start_again(self, part: Part) -> None:
        try:
            assert self._find is not None
            part.place, part.kernel = self._find(part.place)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what has become of this part
            part.failure = error
        else:
            part.start(self._ring)
        self._ring()

    def _ring(self, _: object = None) -> None:
        for bell in tuple(self._bells):
            bell.ring()

    def _begin_telling(self) -> None:
        start_threads(make_thread(self._tell, "rpyc_kernel-group-notifier"))

    def _tell(self) -> None:
        self._follow(lambda: self._is_over, None)
        self._complete()

    def _fetch(self, parts: list[Part], silence_s: float = _FETCH_S) -> dict[str, Any]:
        """The values of these, which have ended well."""

        def fetch(part: Part) -> Callable[[], Any]:
            assert part.course is not None
            return partial(part.course.copy_value, silence_s, allow_pickle=self._allow_pickle)

        missing = [part for part in parts if part.name not in self._values]
        asked = {part.name: fetch(part) for part in missing if part.course is None or part.course.has_live_value}
        # What has come with the end is read here: nobody has to be asked for it.
        self._values.update({part.name: fetch(part)() for part in missing if part.name not in asked})
        self._values.update(fan_out(self._what, asked))
        return {part.name: self._values[part.name] for part in parts}


def _is_lost(error: Exception) -> bool:
    if isinstance(error, ExecutionError):  # it came to be queued when the worker that had been sent it was gone
        return error.ename == NotAvailable.__name__ and error.evalue.startswith(CALL_IS_GONE)
    return isinstance(error, _LOST)


def _read_limit(timeout: Any) -> float | None:
    return None if timeout is None else read_seconds(timeout, "timeout", may_be_past=True)  # as futures have it
