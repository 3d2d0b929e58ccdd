"""What a loop sees of an execution that waits for those of several kernels at once. Nothing in here waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client import answers
from rpyc_kernel.client.events import WAIT_S
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.hub_connection import KeptCall
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.contract import Lane, Outcome, freeze
from rpyc_kernel.core.source import Source, describe_source
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import BadCode, NotPlain
from rpyc_kernel.system.futures import NotDone

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient
    from rpyc_kernel.wire.bulk.parts import Parcel


class Course:
    """One execution from when it was handed in to its end. There is always a question on its way, until that.

    Args:
        kernel: where.
        ring: called with each question when its answer is there.
        command: what hands it in.
        *arguments: what that takes, without what says that it is the same if it has to be asked twice.

    Attributes:
        execution: what is known of it.
    """

    def __init__(
        self, kernel: KernelClient, ring: Callable[[object], object], command: Command[Any], *arguments: Any
    ) -> None:
        named = kernel._name_submission()
        self.execution = Execution(kernel, 0, cursor=named[1], keep_output=kernel._settings.keep_output)
        self._kernel = kernel
        self._ring = ring
        self._lock = threading.Lock()
        self._asked = self._ask(command, *arguments, *named)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come."""
        return self.execution._is_over

    @property
    def status(self) -> str:
        """As of `Execution`, as far as it is known; ``lost`` where nothing more will be known."""
        return Outcome.LOST if self.is_over and self.execution._end is None else self.execution._last_status

    @property
    def failure(self) -> Exception | None:
        """What came of it, where that is no value; only asked when it is over."""
        return self.execution._get_failure()

    @property
    def has_live_value(self) -> bool:
        """Whether its value, when it has ended well, has to be asked for."""
        return self.execution._has_live_value

    def go_on(self) -> None:
        """Take in the answer that has come, if one has, and ask for the next."""
        with self._lock:
            while not self.is_over and self._asked.is_settled:
                try:
                    self._take(self._asked)
                    if not self.is_over:
                        self._asked = self._ask(commands.FOLLOW, self.execution.id, self.execution._cursor, WAIT_S)
                except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                    self.execution._lose(error)

    def wait_for_number(self, timeout_s: float) -> None:
        """Wait until it is handed in; for who has just made this, before anybody else has it."""
        try:
            self._asked.result(timeout_s)
        except NotDone:
            raise self._kernel._commands.too_late(self._asked.command, timeout_s) from None

    def _ask(self, command: Command[Any], *arguments: Any) -> KeptCall:
        asked = self._kernel._commands.start(command, *arguments)
        asked.add_done_callback(self._ring)
        return asked

    def _take(self, asked: KeptCall) -> None:
        answer = asked.result(0)
        if asked.command is commands.EXECUTE:
            self.execution.id = answers.reader_of(commands.EXECUTE)(answer)
        else:
            cursor, events = answers.read_events(answer)
            self.execution._take(events, cursor)
            self._kernel._known = max(self._kernel._known, cursor)

    def copy_value(self, timeout_s: float | None, *, allow_pickle: bool) -> Any:
        """The value, when it has ended well: a copy, or where that would have to be pickled and may not, a netref."""
        execution = self.execution
        if execution._has_live_value:
            with contextlib.suppress(NotPlain):
                return self._kernel._bulk.pull(execution.id, timeout_s, None, allow_pickle=allow_pickle, max_bytes=None)
        return execution._get_value(timeout_s)


def begin_run(kernel: KernelClient, ring: Callable[[object], object], code: str, *, stop_on_error: bool) -> Course:
    """Hand code in and have its end told: one question for both, whose answer is the first to say its number."""
    require_encodable(code, "the code", BadCode)
    return Course(kernel, ring, commands.RUN, code, stop_on_error, WAIT_S)


def begin_submission(
    kernel: KernelClient,
    ring: Callable[[object], object],
    code: str,
    *,
    stop_on_error: bool = True,
    call: str | None = None,
    source: Source | None = None,
) -> Course:
    """Hand code in, or a call that was staged, and have its number told at once, and then its end."""
    require_encodable(code, "the code", BadCode)
    described = freeze(describe_source(source))
    return Course(kernel, ring, commands.EXECUTE, code, stop_on_error, Lane.MAIN, call, described, True)


def begin_call(
    kernel: KernelClient,
    ring: Callable[[object], object],
    parcel: Parcel,
    *,
    source: str | None,
    is_map: bool,
    shown: str,
) -> Course:
    """Hand a function in with its arguments, and wait until that is done; see `Bulk.staged`."""
    limit_s = kernel._timeout_s
    with kernel._bulk.staged(parcel, source, limit_s, is_map=is_map) as token:
        course = begin_submission(kernel, ring, shown, call=token)
        course.wait_for_number(limit_s)
    return course


def push_packed(kernel: KernelClient, parcel: Parcel, timeout_s: float | None) -> None:
    """Set variables that are packed already, as for several kernels."""
    kernel._bulk.push_packed(parcel, timeout_s)


def staged_call(
    kernel: KernelClient, name: str, arguments: Sequence[Any], *, source: str
) -> AbstractContextManager[str]:
    """Have a call kept for the queue, of a function by its source with plain arguments; see `Bulk.staged`."""
    from rpyc_kernel.wire.bulk import codec  # with its pickle, only loaded for a transfer

    parcel = codec.pack((name, tuple(arguments), {}), allow_pickle=False)
    return kernel._bulk.staged(parcel, source, kernel._timeout_s)
