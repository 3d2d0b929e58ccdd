"""Commands for what goes on by itself, as scripts and cron use them: submit, wait, output, result."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import Any

from plumbum import cli

from rpyc_kernel.cli.application import (
    OK,
    TIMED_OUT,
    JoiningCommand,
    UsageError,
    check_limit,
    parse_execution,
    tell,
)
from rpyc_kernel.cli.past import PastCommand
from rpyc_kernel.cli.reading import read_code, read_file
from rpyc_kernel.cli.showing import status_of_exit, status_of_outcome, text_of, write_stream
from rpyc_kernel.client.address import resolve
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.client.events import Watch
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Kind, Lane, Outcome
from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.faces.console.control_characters import sanitize_line
from rpyc_kernel.faces.console.following import follow
from rpyc_kernel.system.own_command import as_typed_here

_ELSEWHERE = ("ssh://", "tcp://", "rpyc+tls://")


class Submit(JoiningCommand):
    """Leave code in a kernel's queue, write the number of its execution, and go.

    Several pieces of code are joined by line ends; '-', or none at all, reads the code from standard input. With --file
    a program is run, which the kernel reads when its turn comes; what follows the kernel's name is for the program, in
    sys.argv. A program's own switches, and code that begins with a dash, need '--' before them.

    If code fails, what the same session has queued behind it is dropped: give the steps of a job one --session.

    Examples:
        rpyc-kernel submit demo 'train(epochs=100)'
        number=$(rpyc-kernel submit demo --file train.py -- --epochs 100)
        rpyc-kernel wait demo "$number" && rpyc-kernel output demo "$number"
    """

    USAGE = "    {progname} [SWITCHES] NAME [CODE... | - | --file FILE [ARGUMENTS...]]\n"

    file = cli.SwitchAttr("--file", str, help="run this program instead", argname="FILE")
    is_beside = cli.Flag("--side", help="run the code at once, in a thread beside the queue")

    def main(self, name: str, *words: str) -> int:
        if self.file and self.is_beside:
            raise UsageError("a program runs in its turn, not beside the queue; leave out --side, or --file")
        path = _locate(self.file, name) if self.file else ""
        code = "" if path else read_code(words)
        with self.join(name) as kernel:
            who = {"kernel": kernel.name, "session": kernel.session}
            self.leave(kernel, lambda: self._submit(kernel, path, code, words), **who)
        return OK

    def _submit(self, kernel: KernelClient, path: str, code: str, words: tuple[str, ...]) -> Execution:
        if path:
            return kernel.run_file(path, words)
        return kernel.submit(code, lane=Lane.SIDE if self.is_beside else Lane.MAIN)


class Wait(PastCommand):
    """Wait until executions have ended, of any session, and say how; Ctrl-C leaves them running.

    The exit status is that of the code, as of exec: of several that of the first one, in their order, that did not end
    well. It is 124 if --timeout is over; the code goes on. With --json each execution is an object on a line of its
    own. Of a kernel that is stopped the journal is read.

    Examples:
        rpyc-kernel wait demo 3
        rpyc-kernel wait demo 3 4 5 --timeout 3600
    """

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION...\n"

    timeout = cli.SwitchAttr("--timeout", float, help="wait no longer than so many seconds", argname="SECONDS")

    def main(self, name: str, first: str, *more: str) -> int:
        numbers = [parse_execution(text) for text in (first, *more)]
        deadline = _deadline_of(self.timeout)
        statuses = []
        with self.open(name) as source:
            endings = [
                Ending(number, source, name) for number in numbers
            ]  # that there is one, before any is waited for
            for ending in endings:
                ending.wait_until(deadline)
                statuses.append(ending.status)
                print(json.dumps(ending.as_dict()) if self.as_json else ending.describe(), flush=True)
        return next((status for status in statuses if status != OK), OK)


class Output(PastCommand):
    """Write what an execution has written, of any session: what went to standard output there, and error to error.

    Byte for byte, as it was. What the code has shown as values or errors is not in it; see result and log. With --json
    each piece is an object on a line of its own. Of a kernel that is stopped the journal is read.

    Examples:
        rpyc-kernel output demo 3 > train.log
        rpyc-kernel output demo 3 --follow --stream stderr
    """

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION\n"

    is_following = cli.Flag(["-f", "--follow"], help="go on as it writes, to its end")
    stream = cli.SwitchAttr("--stream", cli.Set("stdout", "stderr"), help="only what it has written there")

    def main(self, name: str, execution: str) -> int:
        number = parse_execution(execution)
        with self.open(name) as source:
            is_live = isinstance(source, KernelClient)
            options = {"follow": bool(self.is_following)} if is_live else {}
            for event in source.events(execution=number, **options):
                if event.kind == Kind.STREAM and self.stream in (None, event.name):
                    self._write(event)
        return OK

    def _write(self, event: Event) -> None:
        if self.as_json:
            print(json.dumps(event.as_dict()), flush=True)
        else:
            write_stream(event)


class Result(PastCommand):
    """Wait for the end of an execution, of any session, and write the value of its last expression.

    If it failed, its error goes to standard error, and the exit status is that of the code, as of exec; it is 124 if
    --timeout is over. With --json all there is to say is one object. Of a kernel that is stopped the journal is read.

    Examples:
        rpyc-kernel result demo 3
        rpyc-kernel result demo 3 --json --timeout 0
    """

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION\n"

    timeout = cli.SwitchAttr("--timeout", float, help="wait no longer than so many seconds", argname="SECONDS")

    def main(self, name: str, execution: str) -> int:
        number = parse_execution(execution)
        deadline = _deadline_of(self.timeout)
        with self.open(name) as source:
            ending = Ending(number, source, name)
            ending.wait_until(deadline)
        if self.as_json:
            print(json.dumps({**ending.as_dict(), **ending.describe_value()}, indent=1))
            return ending.status
        if ending.value is not None and ending.outcome == Outcome.OK:
            print(text_of(ending.value))
        if ending.status != OK:
            sys.stderr.write(ending.describe_failure())
        return ending.status


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
        self._target = target
        self._cursor = 0
        self._question: Event | None = None
        self._error: Event | None = None
        self._finished: Event | None = None
        # All that is there, also where there is no time to wait.
        past = source.events(execution=number, **({"follow": False} if isinstance(source, KernelClient) else {}))
        for event in past:
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


_OF_AN_ERROR = ("ename", "evalue", "traceback", "notes", "chain")


def _deadline_of(timeout_s: float | None) -> float | None:
    limit_s = check_limit(timeout_s)
    return None if limit_s is None else time.monotonic() + limit_s


def _locate(file: str, target: str) -> str:
    """The path of a program as the worker finds it, which is somewhere else than here."""
    if target.startswith(_ELSEWHERE):
        return file
    read_file(file, 0)  # that it can be read, while there is somebody who hears that it cannot
    return os.path.abspath(file)
