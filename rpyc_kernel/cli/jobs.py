"""Commands for what goes on by itself, as scripts and cron use them: submit, wait, output, result."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time

from plumbum import cli

from rpyc_kernel.cli.application import OK, TIMED_OUT, JoiningCommand, UsageError, parse_execution, tell
from rpyc_kernel.cli.ending import Ending
from rpyc_kernel.cli.past import PastCommand
from rpyc_kernel.cli.reading import locate, read_code
from rpyc_kernel.cli.showing import text_of, write_stream
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.watching import tell_value
from rpyc_kernel.core.contract import Event, Kind, Lane, Outcome
from rpyc_kernel.errors import KernelDied, KernelError, WorkerBusy
from rpyc_kernel.faces.frontend.summaries import summarise_watched


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
    is_reloading = cli.Flag("--reload", help="with --file: first import anew what modules of yours have changed")
    is_beside = cli.Flag("--side", help="run the code at once, in a thread beside the queue")

    def main(self, name: str, *words: str) -> int:
        if self.file and self.is_beside:
            raise UsageError("a program runs in its turn, not beside the queue; leave out --side, or --file")
        if self.is_reloading and not self.file:
            raise UsageError("--reload is for programs; name one with --file, or leave it out")
        path = locate(self.file, name) if self.file else ""
        code = "" if path else read_code(words)
        with self.join(name) as kernel:
            who = {"kernel": kernel.name, "session": kernel.session}
            self.leave(kernel, name, lambda: self._submit(kernel, path, code, words), **who)
        return OK

    def _submit(self, kernel: KernelClient, path: str, code: str, words: tuple[str, ...]) -> Execution:
        if path:
            return kernel.run_file(path, words, reload=bool(self.is_reloading))
        return kernel.submit(code, lane=Lane.SIDE if self.is_beside else Lane.MAIN)


class Wait(PastCommand):
    """Wait until executions have ended, of any session, and say how; Ctrl-C leaves them running.

    The exit status is that of the code, as of exec: of several that of the first one, in their order, that did not end
    well. It is 124 if --timeout is over; the code goes on. With --json each execution is an object on a line of its
    own. Of a kernel that is stopped the journal is read.

    Without a number it waits until nothing is left that runs or will run; with --until for an expression to be true,
    which is looked at now and after each execution. The exit status is then 0, or 124; 2 if it is no expression.

    Examples:
        rpyc-kernel wait demo 3
        rpyc-kernel wait demo 3 4 5 --timeout 3600
        rpyc-kernel wait demo
        rpyc-kernel wait demo --until 'len(results) == 10' --timeout 60
    """

    USAGE = "    {progname} [SWITCHES] NAME [EXECUTION... | --until EXPRESSION]\n"

    timeout = cli.SwitchAttr("--timeout", float, help="wait no longer than so many seconds", argname="SECONDS")

    until = cli.SwitchAttr("--until", str, help="wait until this is true", argname="EXPRESSION")

    def main(self, name: str, *executions: str) -> int:
        if executions and self.until is not None:
            raise UsageError("wait for executions, or --until an expression is true, not for both at once")
        numbers = [parse_execution(text, name) for text in executions]
        deadline = _deadline_of(self.timeout)
        if self.until is not None:
            return self._wait_until_true(name, str(self.until))
        if not numbers:
            return self._wait_until_idle(name, deadline)
        statuses = []
        with self.open(name) as source:
            endings = [Ending(number, source, name) for number in numbers]  # all, before any is waited for
            for ending in endings:
                ending.wait_until(deadline)
                statuses.append(ending.status)
                print(json.dumps(ending.as_dict()) if self.as_json else ending.describe(), flush=True)
        return next((status for status in statuses if status != OK), OK)

    def _wait_until_true(self, name: str, expression: str) -> int:
        with self.connect(name, joins=False) as kernel:
            if sys.stderr.isatty():
                _tell_why_it_waits(kernel, expression)
            try:
                watched = kernel.wait(expression, timeout=self.timeout)
            except TimeoutError as error:
                if isinstance(error, KernelError):  # it is the kernel that did not answer
                    raise
                tell(str(error))
                return TIMED_OUT
        self.write_answer(dataclasses.asdict(watched), [summarise_watched(watched)])
        return OK

    def _wait_until_idle(self, name: str, deadline: float | None) -> int:
        with self.open(name) as source:
            while numbers := _list_unfinished(source):
                for number in numbers:
                    ending = Ending(number, source, name)
                    ending.wait_until(deadline)
                    print(json.dumps(ending.as_dict()) if self.as_json else ending.describe(), flush=True)
                    if ending.status == TIMED_OUT:
                        return TIMED_OUT
        return OK


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
        number = parse_execution(execution, name)
        with self.open(name) as source:
            for event in source.events(follow=bool(self.is_following), execution=number):
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
        number = parse_execution(execution, name)
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


def _tell_why_it_waits(kernel: KernelClient, expression: str) -> None:
    """Say what an expression is that is not true: a name may be wrong, and then it never is."""
    with contextlib.suppress(WorkerBusy, KernelDied):  # which is waited for, too
        (watched,) = kernel.evaluate([expression])
        if not watched.is_true:
            tell(f"{expression!r} is not true yet{tell_value(watched)}; Ctrl-C waits no longer")


def _list_unfinished(source: KernelClient | Archive) -> list[int]:
    """What runs, and what will without anybody's approval."""
    if isinstance(source, Archive):
        return []
    status = source.status()
    queued = [each for each in status["queue"] if not each["is_held"]]
    return [each["execution"] for each in (status["running"], *status["side"], *queued) if each]


def _deadline_of(timeout_s: float | None) -> float | None:
    limit_s = check_limit(timeout_s)
    return None if limit_s is None else time.monotonic() + limit_s
