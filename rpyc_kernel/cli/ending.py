"""How an execution has ended, or is waited for, as its kernel's journal tells it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from rpyc_kernel.cli.application import TIMED_OUT, named_again, tell
from rpyc_kernel.cli.showing import status_of_exit, status_of_outcome, text_of
from rpyc_kernel.client.address import resolve
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.client.events import Watch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.following import follow
from rpyc_kernel.system.own_command import as_typed_here

_OF_AN_ERROR = ("ename", "evalue", "traceback", "notes", "chain")


class Ending:
    """How an execution ends, from its journal.

    Args:
        number: the execution's.
        source: its kernel, or what that has left.
        target: how the user names the kernel.

    Raises:
        NoSuchExecution: there never was one of this number.

    Attributes:
        value: the event with the value of its last expression, None without one.
    """

    def __init__(self, number: int, source: KernelClient | Archive, target: str) -> None:
        self.number = number
        self.value: Event | None = None
        self._source = source
        self._target = named_again(target)
        self._cursor = 0
        self._question: Event | None = None
        self._error: Event | None = None
        self._finished: Event | None = None
        # All that is there, also where there is no time to wait.
        for event in source.events(follow=False, execution=number):
            self._take(event)

    def wait_until(self, deadline: float | None) -> None:
        """Wait until it has ended, or it is as late as that."""
        if self._finished is not None:
            return
        if isinstance(self._source, Archive):
            resolve(self._source.name)  # which says what became of it
            raise NoSuchKernel(f"kernel {self._source.name!r} was not running a moment ago, and is now; ask again")
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is None or left_s > 0:
            self._tell_question()
            watch = self._source.watch(self._cursor, execution=self.number)
            with contextlib.suppress(asyncio.TimeoutError):
                asyncio.run(asyncio.wait_for(self._follow(watch), left_s))

    async def _follow(self, watch: Watch) -> None:
        async with contextlib.aclosing(follow(watch)) as batches:
            async for batch in batches:
                for event in batch:
                    self._take(event)
                    if event.kind == Kind.INPUT_REQUESTED:
                        self._tell_question()

    def _tell_question(self) -> None:
        """Say what keeps the code from going on: whoever waits might wait for ever."""
        if self._question is not None:
            prompt = sanitize_line(self._question.prompt).rstrip()
            how = f"'rpyc-kernel answer {self._target} --execution {self.number}' answers"
            tell(f"execution {self.number} asks: {prompt} ({how})")

    def _take(self, event: Event) -> None:
        self._cursor = event.seq
        match event.kind:
            case Kind.RESULT:
                self.value = event
            case Kind.ERROR:
                self._error = event
            case Kind.FINISHED:
                self._finished = event
            case Kind.INPUT_REQUESTED:
                self._question = event
            case Kind.INPUT_ANSWERED:
                self._question = None

    @property
    def outcome(self) -> str | None:
        """How it ended, None while it has not."""
        return None if self._finished is None else str(self._finished.outcome)

    @property
    def status(self) -> int:
        """The exit status for it."""
        if self._finished is None:
            return TIMED_OUT
        if self._error is not None and "exit_code" in self._error.payload:
            return status_of_exit(self._error.exit_code)
        return status_of_outcome(self._finished.outcome)

    def as_dict(self) -> dict[str, Any]:
        """What a program may want to know of its end."""
        payload = {} if self._finished is None else self._finished.payload
        return {
            "execution": self.number,
            "outcome": self.outcome,
            "status": self.status,
            "reason": payload.get("reason"),
            "duration_s": payload.get("duration_s"),
        }

    def describe_value(self) -> dict[str, Any]:
        """What a program may want to know of what it ended with."""
        value, error = self.value, None if self.outcome == Outcome.OK else self._error
        return {
            "text": None if value is None else text_of(value),
            "literal": None if value is None else value.literal,
            "data": None if value is None else value.data,
            "error": None if error is None else {name: error.payload.get(name) for name in _OF_AN_ERROR},
        }

    def describe(self) -> str:
        """A line for people."""
        if self._finished is None:
            return f"execution {self.number} goes on"
        duration_s, reason = (self._finished.payload.get(name) for name in ("duration_s", "reason"))
        took = "" if duration_s is None else f", after {duration_s:.1f} s"
        return f"execution {self.number}: {self.outcome}{took}{f' ({reason})' if reason else ''}"

    def describe_failure(self) -> str:
        """What went wrong, in lines for people; "" where the exit status says it all."""
        error, finished = self._error, self._finished
        if finished is None:
            how = as_typed_here(f"'rpyc-kernel wait {self._target} {self.number}' waits for it")
            return f"execution {self.number} goes on; {how}\n"
        if error is not None and "exit_code" in error.payload:
            return f"{error.exit_code}\n" if isinstance(error.exit_code, str) else ""
        if error is not None and finished.outcome in (Outcome.ERROR, Outcome.INTERRUPTED):
            return str(error.traceback)
        return f"execution {self.number} is {finished.outcome}{f': {finished.reason}' if finished.reason else ''}\n"
